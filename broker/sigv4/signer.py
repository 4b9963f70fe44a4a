"""Who signs, for what, and over which headers: the part of an authorization that a client repeats all day.

"Create a signed AWS API request": a credential is `keyid/date/region/service/aws4_request`; a SigV4A credential
has no region. Because this part comes again and again, it is read once and what follows from it is kept with it.
"""

import re
from functools import cached_property

import msgspec

from broker.sigv4 import refusals

SYMMETRIC = "AWS4-HMAC-SHA256"
ASYMMETRIC = "AWS4-ECDSA-P256-SHA256"
TERMINATOR = "aws4_request"

_SIGNED_HEADERS = re.compile(r"[!#$%&'*+.^_`|~0-9a-z;-]+")  # RFC 9110 tokens, lower case


class UnverifiedSigner(msgspec.Struct, frozen=True, dict=True):
    """A credential and the names of the signed headers, which are lower-case and sorted.

    `date` is YYYYMMDD. SigV4 names one `region`; SigV4A leaves it empty.
    """

    algorithm: str
    access_key_id: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]

    @cached_property
    def scope(self) -> str:
        """SigV4A leaves the region out: one signature is good for a set of them."""
        region = "" if self.algorithm == ASYMMETRIC else f"{self.region}/"
        return f"{self.date}/{region}{self.service}/{TERMINATOR}"

    @cached_property
    def key_name(self) -> tuple[str, ...]:
        """What a signing key is derived for, besides the secret."""
        if self.algorithm == ASYMMETRIC:
            return (self.access_key_id, ASYMMETRIC)
        return (self.access_key_id, self.date, self.region, self.service)

    @cached_property
    def signed(self) -> frozenset[str]:
        return frozenset(self.signed_headers)

    @cached_property
    def signed_line(self) -> str:
        """The signed headers as the canonical request names them."""
        return ";".join(self.signed_headers)


def read_signer(algorithm: str, credential: str, signed_headers: str) -> UnverifiedSigner:
    """Raises Refusal IncompleteSignature, or SignatureDoesNotMatch for a wrong terminator."""
    access_key_id, date, region, service = _parse_credential(algorithm, credential)
    names = _parse_signed_headers(signed_headers)
    return UnverifiedSigner(algorithm, access_key_id, date, region, service, names)


def _parse_credential(algorithm: str, credential: str) -> tuple[str, str, str, str]:
    """Access key id, date, region (empty for SigV4A) and service."""
    parts = credential.split("/")
    if algorithm == SYMMETRIC:
        if len(parts) != 5:
            raise refusals.malformed_credential(credential, "keyid/date/region/service/term")
        access_key_id, date, region, service, terminator = parts
    elif algorithm == ASYMMETRIC:
        if len(parts) != 4:
            raise refusals.malformed_credential(credential, "keyid/date/service/term")
        access_key_id, date, service, terminator = parts
        region = ""
    else:
        raise refusals.unsupported_algorithm(algorithm)
    if terminator != TERMINATOR:
        raise refusals.wrong_terminator(terminator, TERMINATOR)
    return access_key_id, date, region, service


def _parse_signed_headers(text: str) -> tuple[str, ...]:
    lowered = text.lower()
    # A presigned query could bring a line feed in here, and with it lines of its own into the canonical request.
    if _SIGNED_HEADERS.fullmatch(lowered) is None:
        raise refusals.malformed_signed_headers(text)
    return tuple(sorted({name for name in lowered.split(";") if name}))
