"""Records in memory, each partition's together with the one revision at which they are true.

INVARIANT: everything in a `Pages` is true at its revision. Whoever finds that the partition has moved takes other
pages; nobody refreshes pages in place.

Every record is kept encoded, which is small: a hundred thousand roles fit. Those that are asked for again and again are
kept decoded as well: to keep what is asked for once, and to throw out another for it, costs more than to decode it.
Memory is bounded by an estimate of what both weigh. Of the encoded ones partitions go in the order in which they came,
but one that was used since its turn came last is passed over; a partition that fills the cache alone loses the older
half of itself. Of the decoded ones the first decoded goes first, and is decoded anew, in microseconds, if it is in use.
"""

import asyncio
from bisect import bisect_left, bisect_right
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from broker.storage.collection import Collection
from broker.storage.engine import Engine, Revision

# Bytes, as 100,000 roles were measured: what is around an encoded record; what is around a decoded one, and how many
# times the size of its encoding it has itself. And, as 100,000 empty ones were, what is around a partition: strangers
# name accounts that do not exist.
_ENCODED_WEIGHT = 220
_DECODED_WEIGHT = 300
_DECODED_PER_BYTE = 2
_PAGES_WEIGHT = 500

# One part in so many of the memory is for decoded records.
_DECODED_SHARE = 8

# A record is kept decoded if it was decoded before among the last so many, about.
_LATELY = 4096

# How many records are decoded before other requests get their turn.
_SCAN_PAGE = 1000

UNKNOWN: Any = object()


class Pages:
    """One partition at one revision: `encoded` records by stored key (None: known to be absent), and whole listings.

    `records` are those that are decoded. A listing holds, for a prefix, the sorted keys of *all* records under it;
    they are all in `encoded`. `weight` is that of `encoded`, and the partition's own. `is_used` says whether anybody
    asked for them since it was last looked at.
    """

    __slots__ = ("encoded", "is_used", "listings", "records", "revision", "weight")

    def __init__(self, revision: Revision) -> None:
        self.revision = revision
        self.encoded: dict[str, bytes | None] = {}
        self.records: dict[str, Any] = {}
        self.listings: dict[str, list[str]] = {}
        self.weight = _PAGES_WEIGHT
        self.is_used = False


class RecordCache:
    """What the store has read, partition by partition; `limit` in bytes, estimated."""

    def __init__(self, engine: Engine, limit: int) -> None:
        self._engine = engine
        self._decoded_limit = limit // _DECODED_SHARE
        self._limit = limit - self._decoded_limit
        self._partitions: OrderedDict[str, Pages] = OrderedDict()
        # Whose `records`, which key in them, and its weight, in the order of decoding.
        self._decoded: deque[tuple[dict[str, Any], str, int]] = deque()
        # The encodings that were decoded lately, by identity. One that is gone may lend its number to another, which is
        # then kept decoded a little early.
        self._lately: set[int] = set()
        self.weight = 0
        self.decoded_weight = 0

    def pages_at(self, partition: str, revision: Revision) -> Pages:
        """The pages of the `revision` that the engine has just answered; begun anew where it has moved."""
        pages = self._partitions.get(partition)
        if pages is None or pages.revision != revision:
            if pages is not None:
                self.weight -= pages.weight
            pages = self._partitions[partition] = Pages(revision)
            self.weight += pages.weight
        else:
            pages.is_used = True
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
        whole = limit is None and not after and not collection.expiring
        if whole and all(key in pages.encoded for key, _ in found):
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
        successor.records, pages.records = pages.records, {}
        successor.listings, pages.listings = pages.listings, {}
        successor.weight, pages.weight = pages.weight, 0
        self._partitions[partition] = successor
        for collection, key, record, value in writes:
            if not collection.expiring:
                _enlist(successor, key, present=record is not None)
                self._keep(partition, successor, key, record, value)

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
        record = pages.records.get(key)
        if record is None:
            value = pages.encoded.get(key, UNKNOWN)
            if value is None or value is UNKNOWN:
                return value
            record = collection.decode(partition, key, value)
            self._keep_decoded(pages, key, record, value)
        return record

    def _taken(
        self, partition: str, pages: Pages, collection: Collection[Any], key: str, value: bytes | None
    ) -> Any:
        """The record that the engine answered with, kept if it may be."""
        record = self.find_known(partition, pages, collection, key)
        if record is UNKNOWN:
            record = None if value is None else collection.decode(partition, key, value)
            if not collection.expiring:
                self._keep(partition, pages, key, record, value)
        return record

    def _keep(self, partition: str, pages: Pages, key: str, record: Any, value: bytes | None) -> None:
        before = _weight(pages.encoded[key]) if key in pages.encoded else 0
        weight = _weight(value) - before
        pages.encoded[key] = value
        pages.weight += weight
        pages.records.pop(key, None)
        if value is not None:
            self._keep_decoded(pages, key, record, value)
        if self._partitions.get(partition) is pages:
            self.weight += weight
            if self.weight > self._limit:
                self._shrink()

    def _keep_decoded(self, pages: Pages, key: str, record: Any, value: bytes) -> None:
        """Keep the `record` that was made of `value`, if not for the first time."""
        if id(value) not in self._lately:
            if len(self._lately) >= _LATELY:
                self._lately.clear()
            self._lately.add(id(value))
            return
        weight = _DECODED_WEIGHT + _DECODED_PER_BYTE * len(value)
        pages.records[key] = record
        self._decoded.append((pages.records, key, weight))
        self.decoded_weight += weight
        while self.decoded_weight > self._decoded_limit:
            records, first, lightened = self._decoded.popleft()
            records.pop(first, None)
            self.decoded_weight -= lightened

    def _shrink(self) -> None:
        while self.weight > self._limit and len(self._partitions) > 1:
            partition, oldest = self._partitions.popitem(last=False)
            if oldest.is_used:
                oldest.is_used = False
                self._partitions[partition] = oldest
            else:
                self.weight -= oldest.weight
        if self.weight > self._limit:
            (pages,) = self._partitions.values()
            pages.listings.clear()
            for key in list(islice(pages.encoded, (len(pages.encoded) + 1) // 2)):
                pages.weight -= _weight(pages.encoded.pop(key))
            self.weight = pages.weight


def _weight(value: bytes | None) -> int:
    return _ENCODED_WEIGHT + len(value or b"")


def _enlist(pages: Pages, key: str, *, present: bool) -> None:
    """Put `key` into the listings that it belongs to, or take it out."""
    for prefix, listing in pages.listings.items():
        if not key.startswith(prefix):
            continue
        place = bisect_left(listing, key)
        is_listed = place < len(listing) and listing[place] == key
        if present and not is_listed:
            listing.insert(place, key)
        elif is_listed and not present:
            del listing[place]
