"""Paths of requests that stand before another server: taken where all readers agree on what they mean, or refused.

Proxy, broker and the server behind read the same path, and each has its own idea of `..`, `//`, `%2e` or `;`. So a path
with more than one reading is refused, and not repaired. What is left has one spelling, and one list of segments.

Law, tested by `tests/unit/authorize/test_paths.py`: an accepted path is what its segments are encoded to.
"""

import re
from urllib.parse import unquote_to_bytes

LONGEST_PATH = 4096
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# RFC 3986, 3.3: what a segment may hold as it is, but for `;`, which some servers cut segments at.
_SEGMENT = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,=:@-]|%[0-9A-Fa-f]{2})*").fullmatch
_ENCODED = re.compile(r"%([0-9A-Fa-f]{2})")
_SEPARATORS = frozenset(b"/\\%;")


def path_segments(path: str) -> tuple[str, ...]:
    """The decoded segments of a raw path; the last is "" where it ends with a slash. Raises ValueError."""
    if len(path) > LONGEST_PATH:
        raise ValueError("the path is too long")
    if not path.startswith("/"):
        raise ValueError("the path does not begin with a slash")
    raw = path[1:].split("/")
    if "" in raw[:-1]:
        raise ValueError("the path has an empty segment")
    return tuple([_decoded(segment) for segment in raw])


def _decoded(segment: str) -> str:
    if segment.isalnum() and segment.isascii():
        return segment  # most are
    if _SEGMENT(segment) is None:
        raise ValueError("the path holds a character that has to be encoded, or a broken escape")
    for found in _ENCODED.finditer(segment):
        octet = int(found[1], 16)
        if octet in _UNRESERVED:
            raise ValueError("the path encodes what needs no encoding")
        if octet in _SEPARATORS:
            raise ValueError("the path encodes a separator")
    try:
        text = unquote_to_bytes(segment).decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("the path is not UTF-8") from None
    if text in (".", ".."):
        raise ValueError("the path has a dot segment")
    if not text.isprintable():
        raise ValueError("the path holds a control character")
    return text
