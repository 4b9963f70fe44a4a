"""Records in memory, each partition's together with the one revision at which they are true.

INVARIANT: everything in a `Pages` is true at its revision. Where the partition has moved on, other pages take their
place; pages are never refreshed.

Records are cached encoded, which is small: a hundred thousand roles fit. Decoding one takes microseconds. A partition
is evicted as a whole, and one that is larger than the limit is not cached.
"""

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import Any

from broker.cache import Cache
from broker.storage.collection import Collection
from broker.storage.engine import Engine, Revision

# Bytes, as 100,000 roles were measured: what is around an encoded record. And, as 100,000 empty ones were, what is
# around a partition: an AssumeRole may name accounts that do not exist.
_RECORD_WEIGHT = 220
_PAGES_WEIGHT = 500

# How many records are decoded before other requests get their turn.
_SCAN_PAGE = 1000

UNKNOWN: Any = object()


class Pages:
    """One partition at one revision: `encoded` records by stored key (None: known to be absent), and whole listings.

    A listing holds, for a prefix, the sorted keys of *all* records under it; they are all in `encoded`.
    """

    __slots__ = ("encoded", "listings", "revision", "weight")

    def __init__(self, revision: Revision) -> None:
        self.revision = revision
        self.encoded: dict[str, bytes | None] = {}
        self.listings: dict[str, list[str]] = {}
        self.weight = _PAGES_WEIGHT


class RecordCache:
    """What the store has read, partition by partition; `limit` in bytes, estimated."""

    def __init__(self, engine: Engine, limit: int) -> None:
        self._engine = engine
        self._partitions: Cache[str, Pages] = Cache(limit)

    def pages_at(self, partition: str, revision: Revision) -> Pages:
        """The pages of the `revision` that the engine has just answered; empty ones where it has moved on."""
        pages = self._partitions.get(partition)
        if pages is None or pages.revision != revision:
            pages = Pages(revision)
            self._partitions.put(partition, pages, pages.weight)
        return pages

    async def read(
        self, partition: str, pages: Pages, wanted: Sequence[tuple[Collection[Any], str]]
    ) -> list[Any] | None:
        """The records of stored keys (None for absent ones) at the pages' revision; None if it has moved on."""
        found = {key: self.find_known(partition, pages, collection, key) for collection, key in wanted}
        missing = [(collection, key) for collection, key in wanted if found[key] is UNKNOWN]
        if missing:
            revision, values = await self._engine.fetch(partition, [key for _, key in missing])
            if revision != pages.revision:
                return None
            for (collection, key), value in zip(missing, values, strict=True):
                found[key] = self._taken(partition, pages, collection, key, value)
        return [found[key] for _, key in wanted]

    async def scan(
        self,
        partition: str,
        pages: Pages,
        collection: Collection[Any],
        prefix: str,
        after: str,
        limit: int | None,
    ) -> list[tuple[str, Any]] | None:
        """Stored keys and records under `prefix` and behind `after`, in order; None if the partition moved on."""
        listing = pages.listings.get(prefix)
        if listing is not None:
            start = bisect_right(listing, after)
            keys = listing[start:] if limit is None else listing[start : start + limit]
            return [(key, self.find_known(partition, pages, collection, key)) for key in keys]
        pairs = await self._scan_engine(partition, prefix, after, limit)
        if await self._engine.revision(partition) != pages.revision:
            return None
        found = [(key, self._taken(partition, pages, collection, key, value)) for key, value in pairs]
        if limit is None and not after and not collection.expiring:
            pages.listings[prefix] = [key for key, _ in found]
        return found

    def advance(
        self,
        partition: str,
        pages: Pages,
        revision: Revision,
        writes: Iterable[tuple[Collection[Any], str, Any, bytes | None]],
    ) -> None:
        """Carry `pages` over to the `revision` that our own commit, which expected theirs, has just made of them.

        Transactions that still hold the old pages find them empty, and ask the engine.
        """
        if self._partitions.get(partition) is not pages:
            return
        successor = Pages(revision)
        successor.encoded, pages.encoded = pages.encoded, {}
        successor.listings, pages.listings = pages.listings, {}
        successor.weight, pages.weight = pages.weight, _PAGES_WEIGHT
        self._partitions.put(partition, successor, successor.weight)
        for collection, key, record, value in writes:
            if not collection.expiring:
                _enlist(successor, key, present=record is not None)
                self._add(partition, successor, key, value)

    async def _scan_engine(
        self, partition: str, prefix: str, after: str, limit: int | None
    ) -> list[tuple[str, bytes]]:
        found: list[tuple[str, bytes]] = []
        while limit is None or len(found) < limit:
            page = _SCAN_PAGE if limit is None else min(_SCAN_PAGE, limit - len(found))
            pairs = await self._engine.scan(partition, prefix, after, page)
            found += pairs
            if len(pairs) < page:
                break
            after = pairs[-1][0]
            await asyncio.sleep(0)
        return found

    def find_known(self, partition: str, pages: Pages, collection: Collection[Any], key: str) -> Any:
        """The record as the pages have it; UNKNOWN where they have not."""
        value = pages.encoded.get(key, UNKNOWN)
        if value is None or value is UNKNOWN:
            return value
        return collection.decode(partition, key, value)

    def _taken(
        self, partition: str, pages: Pages, collection: Collection[Any], key: str, value: bytes | None
    ) -> Any:
        """The record that the engine answered with; no revision tells when one of an expiring collection expires."""
        record = None if value is None else collection.decode(partition, key, value)
        if not collection.expiring:
            self._add(partition, pages, key, value)
        return record

    def _add(self, partition: str, pages: Pages, key: str, value: bytes | None) -> None:
        if key in pages.encoded:
            pages.weight -= _weight(pages.encoded[key])
        pages.encoded[key] = value
        pages.weight += _weight(value)
        self._partitions.reweigh(partition, pages, pages.weight)


def _weight(value: bytes | None) -> int:
    return _RECORD_WEIGHT + len(value or b"")


def _enlist(pages: Pages, key: str, *, present: bool) -> None:
    """Put `key` into the listings that it belongs to, or take it out."""
    for prefix, listing in pages.listings.items():
        if not key.startswith(prefix):
            continue
        index = bisect_left(listing, key)
        is_listed = index < len(listing) and listing[index] == key
        if present and not is_listed:
            listing.insert(index, key)
        elif is_listed and not present:
            del listing[index]
