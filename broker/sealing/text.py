"""Envelopes as text: URL-safe base64, one spelling per envelope.

The URL-safe alphabet survives headers, XML, shells and query strings whose author forgot to escape `+`.
Envelopes are a multiple of three bytes long (`packing.py`), so there is no `=` and no unused bit: two different texts
never decode to the same envelope, so the text may be the key of a cache.
"""

import binascii

from broker.sealing.envelope import SealBroken

_FROM_URL_SAFE = bytes.maketrans(b"-_+/=", b"+/\0\0\0")  # the three of the standard alphabet become invalid


def encode_text(envelope: bytes) -> str:
    """`envelope`, a multiple of three bytes long, as text."""
    return binascii.b2a_base64(envelope, newline=False).decode().replace("+", "-").replace("/", "_")


def decode_text(unverified_text: str, longest: int) -> bytes:
    """The bytes of `unverified_text`, of at most `longest` characters; raises SealBroken."""
    if len(unverified_text) > longest:
        raise SealBroken(f"{len(unverified_text)} characters are more than the {longest} allowed")
    if not unverified_text.isascii() or len(unverified_text) % 4:
        raise SealBroken("the text is not the base64 of an envelope: it was cut or altered")
    try:
        return binascii.a2b_base64(unverified_text.encode().translate(_FROM_URL_SAFE), strict_mode=True)
    except binascii.Error:
        raise SealBroken("the text has characters that are not in the alphabet of URL-safe base64") from None
