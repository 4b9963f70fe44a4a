"""The cache of records: for each partition a snapshot of what was read, at one revision.

INVARIANT: everything in a snapshot is true at its revision. When the partition has a newer revision, a new snapshot
replaces it, which takes over what the engine's feed of changes does not name; where the feed does not reach so far
back, it is empty. A snapshot is never updated from the engine at another revision.

Records are cached encoded, which is small: a hundred thousand roles fit. Decoding one takes microseconds. A partition
is evicted as a whole, and one that is larger than the limit is not cached.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from broker.cache import CacheSize
from broker.storage.collection import Collection
from broker.storage.engine import Changes, Engine, Revision, is_at_least
from broker.storage.partition_cache import PartitionCache
from broker.storage.partition_snapshot import PartitionSnapshot

# How often a snapshot may be replaced by another transaction while the changes since are asked for.
_MOST_REPLACED = 8

# How many records are read before the event loop serves other requests: they take two or three milliseconds.
_SCAN_PAGE = 200

# A commit of more records than this drops the snapshot: to correct what it lists would hold the event loop.
_MOST_ADVANCED = 2000

# How many are read at once where slices are interrupted all the time.
_MOST_AT_ONCE = 10_000

UNKNOWN: Any = object()


class RecordCache:
    """What the store has read of `engine`, partition by partition; `limit` in bytes, estimated."""

    def __init__(self, engine: Engine, limit: int) -> None:
        self.engine = engine
        self._partitions = PartitionCache(limit)

    @property
    def size(self) -> CacheSize:
        return self._partitions.size

    async def snapshot_now(self, partition: str) -> PartitionSnapshot:
        """The snapshot at a revision that the engine has, or has had since this call."""
        revision = await self.engine.revision(partition)
        snapshot = self._partitions.get(partition)
        if snapshot is not None and snapshot.revision == revision:
            return snapshot
        return await self._renewed(partition, snapshot, revision)

    async def _renewed(
        self, partition: str, snapshot: PartitionSnapshot | None, revision: Revision
    ) -> PartitionSnapshot:
        for _ in range(_MOST_REPLACED):
            if snapshot is None or snapshot.revision == revision:
                break
            changes = await self.engine.changes(partition, snapshot.revision)
            present = self._partitions.get(partition)
            if present is snapshot:
                if changes is None or not is_at_least(changes.revision, revision):
                    break
                return self._successor(partition, snapshot, changes)
            # Another transaction has replaced it meanwhile: the engine may be further by now.
            revision, snapshot = await self.engine.revision(partition), self._partitions.get(partition)
        if snapshot is None or snapshot.revision != revision:
            snapshot = PartitionSnapshot(revision)
            self._partitions.put(partition, snapshot)
        return snapshot

    def renewed_by(self, partition: str, before: PartitionSnapshot, changes: Changes) -> PartitionSnapshot:
        """The snapshot at the revision of `changes`, which are those since the one `before`."""
        present = self._partitions.get(partition)
        if present is before:
            return self._successor(partition, before, changes)
        if present is not None and present.revision == changes.revision:
            return present
        return PartitionSnapshot(changes.revision)

    def _successor(self, partition: str, snapshot: PartitionSnapshot, changes: Changes) -> PartitionSnapshot:
        """The snapshot after `changes`, instead of `snapshot`: what they name is unknown in it.

        It is a copy: transactions that still have `snapshot` go on with the state that they began with.
        """
        successor = snapshot.successor(changes.revision, changes.present)
        successor.encoded, successor.absent = dict(snapshot.encoded), dict(snapshot.absent)
        successor.pages = dict(snapshot.pages)
        successor.listings = {prefix: list(keys) for prefix, keys in snapshot.listings.items()}
        self._partitions.put(partition, successor)
        successor.forget(changes.present)
        self._partitions.reweigh(partition, successor)
        return successor

    async def read(
        self,
        partition: str,
        snapshot: PartitionSnapshot,
        wanted: Sequence[tuple[Collection[Any], str]],
        *,
        is_sliced: bool = True,
    ) -> list[Any] | None:
        """The records of stored keys (None for absent ones) at the snapshot's revision; None if it has changed.

        In slices, other requests have their turn in between; but the more often another commit comes between two.
        """
        if len(wanted) <= _SCAN_PAGE or not is_sliced:
            return await self._read_some(partition, snapshot, wanted)
        records: list[Any] = []
        for start in range(0, len(wanted), _SCAN_PAGE):
            if start:
                await asyncio.sleep(0)  # let the event loop serve requests
            some = await self._read_some(partition, snapshot, wanted[start : start + _SCAN_PAGE])
            if some is None:
                return None
            records += some
        return records

    async def _read_some(
        self, partition: str, snapshot: PartitionSnapshot, wanted: Sequence[tuple[Collection[Any], str]]
    ) -> list[Any] | None:
        found = {key: self.find_known(partition, snapshot, collection, key) for collection, key in wanted}
        missing = [(collection, key) for collection, key in wanted if found[key] is UNKNOWN]
        if missing:
            revision, values = await self.engine.fetch(partition, [key for _, key in missing])
            if revision != snapshot.revision:
                return None
            for (collection, key), value in zip(missing, values, strict=True):
                found[key] = self._decode_and_cache(partition, snapshot, collection, key, value)
        return [found[key] for _, key in wanted]

    async def scan(
        self,
        partition: str,
        snapshot: PartitionSnapshot,
        collection: Collection[Any],
        prefix: str,
        after: str,
        limit: int | None,
    ) -> list[tuple[str, Any]] | None:
        """Stored keys and records under `prefix` and behind `after`, in order; None if the revision has changed."""
        keys = snapshot.listed(prefix, after, limit)
        if keys is not None:
            return await self._read_listed(partition, snapshot, collection, keys)
        pairs = await self._scan_engine(partition, snapshot.revision, prefix, after, limit)
        if pairs is None:
            return None
        return await self._decode_listed(partition, snapshot, collection, pairs, (prefix, after, limit))

    async def read_at_once(
        self, partition: str, wanted: Sequence[tuple[Collection[Any], str]]
    ) -> tuple[PartitionSnapshot, list[Any]]:
        """The records of stored keys by one question to the engine, and a snapshot of what that has answered.

        No commit can come between, however many there are. The snapshot is not cached: it may be older than the one
        that is.
        """
        revision, values = await self.engine.fetch(partition, [key for _, key in wanted])
        snapshot = PartitionSnapshot(revision)
        pairs = zip(wanted, values, strict=True)
        return snapshot, [
            self._decode_and_cache(partition, snapshot, collection, key, value)
            for (collection, key), value in pairs
        ]

    async def scan_at_once(
        self, partition: str, collection: Collection[Any], prefix: str, after: str, limit: int | None
    ) -> tuple[PartitionSnapshot, list[tuple[str, Any]]] | None:
        """What `scan` finds, as `read_at_once`; None where that is too much (`joined_pages.py`)."""
        wanted = _MOST_AT_ONCE if limit is None else limit
        if wanted > _MOST_AT_ONCE:
            return None
        revision, pairs = await self.engine.page(partition, prefix, after, wanted)
        if limit is None and len(pairs) == wanted:
            return None
        snapshot = PartitionSnapshot(revision)
        return snapshot, await self._decode_listed(
            partition, snapshot, collection, pairs, (prefix, after, limit)
        )

    async def changes(self, partition: str, since: Revision) -> Changes | None:
        """See Engine."""
        return await self.engine.changes(partition, since)

    async def _decode_listed(
        self,
        partition: str,
        snapshot: PartitionSnapshot,
        collection: Collection[Any],
        pairs: Sequence[tuple[str, bytes]],
        listing: tuple[str, str, int | None],
    ) -> list[tuple[str, Any]]:
        found = []
        for number, (key, value) in enumerate(pairs, 1):
            found.append((key, self._decode_and_cache(partition, snapshot, collection, key, value)))
            if number % _SCAN_PAGE == 0:
                await asyncio.sleep(0)
        if not collection.expiring:
            snapshot.note_listed(*listing, [key for key, _ in found])
            self._partitions.reweigh(partition, snapshot)
        return found

    async def _read_listed(
        self, partition: str, snapshot: PartitionSnapshot, collection: Collection[Any], keys: list[str]
    ) -> list[tuple[str, Any]] | None:
        found: list[tuple[str, Any]] = []
        for start in range(0, len(keys), _SCAN_PAGE):
            if start:
                await asyncio.sleep(0)
            some = keys[start : start + _SCAN_PAGE]
            records = await self.read(partition, snapshot, [(collection, key) for key in some])
            if records is None:
                return None
            found += [(key, one) for key, one in zip(some, records, strict=True) if one is not None]
        return found

    def advance(
        self,
        partition: str,
        snapshot: PartitionSnapshot,
        revision: Revision,
        writes: Sequence[tuple[Collection[Any], str, bytes | None]],
    ) -> None:
        """Turn `snapshot` into the snapshot of `revision`, made by our own commit of `writes` on top of it.

        Transactions that still have the old snapshot find it empty, and read from the engine.
        """
        if self._partitions.get(partition) is not snapshot:
            return
        if len(writes) > _MOST_ADVANCED:
            self._partitions.drop(partition)
            return
        successor = snapshot.successor(revision, [key for _, key, _ in writes])
        snapshot.give_all(successor)
        self._partitions.put(partition, successor)
        lasting = [(key, value) for collection, key, value in writes if not collection.expiring]
        moved = [pair for pair in lasting if pair[1] is None or pair[0] not in successor.encoded]
        successor.note_presence({key: value is not None for key, value in moved})
        for key, value in lasting:
            self._add(partition, successor, key, value)

    async def _scan_engine(
        self, partition: str, revision: Revision, prefix: str, after: str, limit: int | None
    ) -> list[tuple[str, bytes]] | None:
        """None if the partition does not have `revision` any more."""
        found: list[tuple[str, bytes]] = []
        while limit is None or len(found) < limit:
            wanted = _SCAN_PAGE if limit is None else min(_SCAN_PAGE, limit - len(found))
            seen, pairs = await self.engine.page(partition, prefix, after, wanted)
            if seen != revision:
                return None
            found += pairs
            if len(pairs) < wanted:
                break
            after = pairs[-1][0]
            await asyncio.sleep(0)
        return found

    def find_known(
        self, partition: str, snapshot: PartitionSnapshot, collection: Collection[Any], key: str
    ) -> Any:
        """The record in the snapshot, None where it is known to be absent; UNKNOWN where it was not read yet."""
        value = snapshot.encoded.get(key)
        if value is None:
            return None if snapshot.is_absent(key) else UNKNOWN
        return collection.decode(partition, key, value)

    def _decode_and_cache(
        self,
        partition: str,
        snapshot: PartitionSnapshot,
        collection: Collection[Any],
        key: str,
        value: bytes | None,
    ) -> Any:
        """The decoded `value`, which is cached, unless it may expire: that changes no revision."""
        record = None if value is None else collection.decode(partition, key, value)
        if not collection.expiring:
            self._add(partition, snapshot, key, value)
        return record

    def _add(self, partition: str, snapshot: PartitionSnapshot, key: str, value: bytes | None) -> None:
        snapshot.add(key, value)
        self._partitions.reweigh(partition, snapshot)
