"""Percent-encoding as SigV4 wants it ("Create a signed AWS API request", the UriEncode function).

Unreserved characters (letters, digits, `-._~`) stand for themselves; every other byte is `%XX` in upper case.
Text from the wire may hold bytes that are not UTF-8; they are surrogate escapes.
"""

import re
from urllib.parse import quote, quote_from_bytes, unquote_to_bytes

# What encoding and decoding leave as it is; most paths are so.
is_plain_path = re.compile(r"[A-Za-z0-9/._~-]*").fullmatch


def wire_bytes(text: str) -> bytes:
    """The bytes that `text` was decoded from. Raises UnicodeEncodeError for text that no bytes decode to."""
    return text.encode("utf-8", "surrogateescape")


def wire_text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def trimmed(value: str) -> str:
    """The clause: "Trim(value)": no white space at the ends, one space where there is more inside."""
    return " ".join(value.split())


def query_pairs(query: str) -> list[tuple[bytes, bytes]]:
    """The decoded names and values of a raw query, in order; `+` is a space, a missing `=` an empty value.

    INVARIANT: the form parser reads a query in the same way, so that what was signed is what is executed.
    """
    pairs = []
    for piece in query.split("&"):
        if not piece:
            continue
        name, _, value = piece.replace("+", " ").partition("=")
        pairs.append((unquote_to_bytes(wire_bytes(name)), unquote_to_bytes(wire_bytes(value))))
    return pairs


def encode(raw: bytes) -> str:
    return quote_from_bytes(raw, safe="-_.~")


def encode_path(path: str) -> str:
    """`path` with every byte but the slashes and the unreserved ones encoded, `%` included."""
    if is_plain_path(path):
        return path
    return quote(path, safe="/-_.~", encoding="utf-8", errors="surrogateescape")
