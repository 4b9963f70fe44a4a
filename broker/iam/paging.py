"""Pages of a list: `Marker`, `MaxItems`, `IsTruncated`.

A marker is the key of the last item of a page, opaque to the client: the next page begins behind that key, whether
or not its item is still there. Keys too long for a marker (the model allows 320 characters) stand in it as a digest.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import Generic, TypeVar

import msgspec

from broker.errors import Refusal, validation_error

DEFAULT_MAX_ITEMS = 100

_CHECK_SIZE = 4
_LONGEST_KEY = 200
_KEY, _DIGEST = b"k", b"d"

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True):
    """One page; `marker` is set where `is_truncated` is true."""

    items: tuple[T, ...]
    is_truncated: bool
    marker: str | None


def page(items: Iterable[T], key: Callable[[T], str], marker: str | None, max_items: int | None) -> Page[T]:
    """The page of `items` in order of `key` that begins behind `marker`; refuses a marker that is none of ours."""
    ordered = sorted(items, key=key)
    start = _start(ordered, key, marker) if marker is not None else 0
    end = start + (max_items or DEFAULT_MAX_ITEMS)
    chosen = tuple(ordered[start:end])
    if end >= len(ordered):
        return Page(chosen, False, None)
    return Page(chosen, True, _marker(key(chosen[-1])))


def _start(ordered: list[T], key: Callable[[T], str], marker: str) -> int:
    """Where the page behind `marker` begins."""
    kind, rest = _open_marker(marker)
    if kind == _DIGEST:
        here = [index for index, item in enumerate(ordered) if _body(key(item)) == kind + rest]
        if not here:
            raise _invalid_marker()
        return here[0] + 1
    last = rest.decode()
    return next((index for index, item in enumerate(ordered) if key(item) > last), len(ordered))


def _body(key: str) -> bytes:
    encoded = key.encode()
    if len(encoded) <= _LONGEST_KEY:
        return _KEY + encoded
    return _DIGEST + blake2b(encoded, digest_size=32).digest()


def _marker(key: str) -> str:
    body = _body(key)
    return urlsafe_b64encode(_check(body) + body).decode()


def _open_marker(marker: str) -> tuple[bytes, bytes]:
    """Kind and content of a marker that we made."""
    try:
        sealed = urlsafe_b64decode(marker.encode("ascii"))
    except ValueError:
        raise _invalid_marker() from None
    check, body = sealed[:_CHECK_SIZE], sealed[_CHECK_SIZE:]
    if not body or check != _check(body):
        raise _invalid_marker()
    return body[:1], body[1:]


def _check(body: bytes) -> bytes:
    """Tells a mangled marker from ours; no secret, for a marker grants nothing."""
    return blake2b(body, digest_size=_CHECK_SIZE).digest()


def _invalid_marker() -> Refusal:
    return validation_error("Invalid Marker.")
