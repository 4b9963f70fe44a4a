"""Pages of a list: `Marker`, `MaxItems`, `IsTruncated`.

Law: items that exist from the first page to the last are listed once each, whatever is added or deleted meanwhile. So a
list is sorted by the items' *positions*, and a marker, opaque to the client, is the position of the last item of a
page: the next page begins behind it, whether or not that item still exists. A position is the item's key. The model
limits a marker to 320 characters: of a long key the position is the beginning, and a digest of the whole.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from bisect import bisect_right
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from hashlib import blake2b
from operator import itemgetter
from typing import Generic, TypeVar

import msgspec

from broker.errors import Refusal, validation_error

DEFAULT_MAX_ITEMS = 100

# Bytes. A position with a digest is longer than any without, so the two never collide.
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
    """The page of `items` in order of `key` that begins behind `marker`; refuses a malformed marker.

    Keys that are equal in their first 200 bytes are in an arbitrary order.
    """
    ordered = sorted(((_position(key(item)), item) for item in items), key=_BY_POSITION)
    start = 0 if marker is None else bisect_right(ordered, _open_marker(marker), key=_BY_POSITION)
    end = start + (max_items or DEFAULT_MAX_ITEMS)
    chosen = tuple(item for _, item in ordered[start:end])
    if end >= len(ordered):
        return Page(chosen, False, None)
    return Page(chosen, True, _marker(ordered[end - 1][0]))


def page_after(
    items: Iterable[T],
    key: Callable[[T], str],
    unverified_token: str | None,
    most: int,
    refusal_of: Callable[[str], Refusal],
) -> tuple[list[T], str | None]:
    """The items behind that of the token, in the order of their keys, and the token of the next page (`NextToken`).

    A token is the key of the last item. It is no secret: who may list, may list all. `refusal_of` a sentence is what is
    raised where it is none.
    """
    after = key_before_page(unverified_token, refusal_of)
    ordered = sorted((item for item in items if key(item) > after), key=key)
    shown = ordered[:most]
    if len(ordered) <= most:
        return shown, None
    return shown, urlsafe_b64encode(key(shown[-1]).encode()).decode()


def key_before_page(unverified_token: str | None, refusal_of: Callable[[str], Refusal]) -> str:
    """The key in a token of `page_after`, behind which its page begins; "" for the first page."""
    if not unverified_token:
        return ""
    try:
        return urlsafe_b64decode(unverified_token.encode("ascii")).decode()
    except ValueError:
        raise refusal_of("Invalid NextToken.") from None


async def page_of_rows(
    rows: AsyncGenerator[T, None], key: Callable[[T], str], marker: str | None, max_items: int | None
) -> Page[T]:
    """As `page`, of rows that come in order of their keys, which differ within the first 200 bytes.

    Rows up to the marker are skipped: they may begin at `first_key`. None is read behind the first of the next page.
    """
    behind = b"" if marker is None else _open_marker(marker)
    most = max_items or DEFAULT_MAX_ITEMS
    chosen: list[T] = []
    async with aclosing(rows):
        async for row in rows:
            if _position(key(row)) <= behind:
                continue
            if len(chosen) == most:
                return Page(tuple(chosen), True, _marker(_position(key(chosen[-1]))))
            chosen.append(row)
    return Page(tuple(chosen), False, None)


def first_key(marker: str | None) -> str:
    """The key behind which the page of `marker` begins, "" for the first page; refuses a malformed marker."""
    return "" if marker is None else _open_marker(marker)[:_LONGEST_KEY].decode(errors="ignore")


def rows_at_once(max_items: int | None) -> int:
    """How many rows to read for a page: one more tells whether there is another page."""
    return (max_items or DEFAULT_MAX_ITEMS) + 1


_BY_POSITION = itemgetter(0)


def _position(key: str) -> bytes:
    encoded = key.encode()
    if len(encoded) <= _LONGEST_KEY:
        return encoded
    return encoded[:_LONGEST_KEY] + blake2b(encoded, digest_size=_DIGEST_SIZE).digest()


def _marker(position: bytes) -> str:
    return urlsafe_b64encode(_check(position) + position).decode()


def _open_marker(marker: str) -> bytes:
    """The position in a marker of `_marker`."""
    try:
        opened = urlsafe_b64decode(marker.encode("ascii"))
        check, position = opened[:_CHECK_SIZE], opened[_CHECK_SIZE:]
        if len(position) <= _LONGEST_KEY:
            position.decode()
    except ValueError:
        raise _invalid_marker() from None
    if check != _check(position) or _LONGEST_KEY < len(position) != _LONGEST_KEY + _DIGEST_SIZE:
        raise _invalid_marker()
    return position


def _check(position: bytes) -> bytes:
    """A checksum, against mangled markers; not secret, because a marker grants nothing.

    The personalization is part of the format: markers of an earlier version are still in use.
    """
    return blake2b(position, digest_size=_CHECK_SIZE, person=b"place").digest()


def _invalid_marker() -> Refusal:
    return validation_error("Invalid Marker.")
