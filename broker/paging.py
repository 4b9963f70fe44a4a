"""Pages of a list: `Marker`, `MaxItems`, `IsTruncated`.

Law: items that are there from the first page to the last are shown once each, whatever comes and goes meanwhile. A list
is therefore in the order of its items' *places*, and a marker, opaque to the client, is the place of the last item of a
page: the next page begins behind it, whether or not that item is still there. A place is the item's key. The model
allows a marker 320 characters: of a longer key the place is the beginning and a digest of the whole.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from bisect import bisect_right
from collections.abc import Callable, Iterable
from hashlib import blake2b
from operator import itemgetter
from typing import Generic, TypeVar

import msgspec

from broker.errors import Refusal, validation_error

DEFAULT_MAX_ITEMS = 100

# Bytes. A place with a digest is longer than any without: the two are never the same.
_CHECK_SIZE = 4
_LONGEST_KEY = 200
_DIGEST_SIZE = 32

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True):
    """One page; `marker` is set where `is_truncated` is true."""

    items: tuple[T, ...]
    is_truncated: bool
    marker: str | None


def page(items: Iterable[T], key: Callable[[T], str], marker: str | None, max_items: int | None) -> Page[T]:
    """The page of `items` in order of `key` that begins behind `marker`; refuses a marker that is none of ours.

    Keys that differ only behind their first 200 bytes are in no order that means something.
    """
    ordered = sorted(((_place(key(item)), item) for item in items), key=_PLACE_OF)
    start = 0 if marker is None else bisect_right(ordered, _open_marker(marker), key=_PLACE_OF)
    end = start + (max_items or DEFAULT_MAX_ITEMS)
    chosen = tuple(item for _, item in ordered[start:end])
    if end >= len(ordered):
        return Page(chosen, False, None)
    return Page(chosen, True, _marker(ordered[end - 1][0]))


_PLACE_OF = itemgetter(0)


def _place(key: str) -> bytes:
    encoded = key.encode()
    if len(encoded) <= _LONGEST_KEY:
        return encoded
    return encoded[:_LONGEST_KEY] + blake2b(encoded, digest_size=_DIGEST_SIZE).digest()


def _marker(place: bytes) -> str:
    return urlsafe_b64encode(_check(place) + place).decode()


def _open_marker(marker: str) -> bytes:
    """The place in a marker that we made, or one that we could have made."""
    try:
        opened = urlsafe_b64decode(marker.encode("ascii"))
        check, place = opened[:_CHECK_SIZE], opened[_CHECK_SIZE:]
        if len(place) <= _LONGEST_KEY:
            place.decode()
    except ValueError:
        raise _invalid_marker() from None
    if check != _check(place) or _LONGEST_KEY < len(place) != _LONGEST_KEY + _DIGEST_SIZE:
        raise _invalid_marker()
    return place


def _check(place: bytes) -> bytes:
    """Tells a mangled marker from ours; no secret, for a marker grants nothing."""
    return blake2b(place, digest_size=_CHECK_SIZE, person=b"place").digest()


def _invalid_marker() -> Refusal:
    return validation_error("Invalid Marker.")
