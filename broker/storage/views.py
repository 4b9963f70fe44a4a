"""The views of one transaction: what it reads of each partition is one state of it (`transaction.py`).

What is read can be recorded, for a cache of what is made of records: which keys of which partition.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from sys import intern
from typing import Any, TypeVar

from broker.cache import MadeOf
from broker.storage.cache import RecordCache
from broker.storage.collection import Collection
from broker.storage.engine import Conflict, Revision, is_at_least
from broker.storage.joined_pages import read_joined
from broker.storage.partition_snapshot import PartitionSnapshot
from broker.storage.view import View

T = TypeVar("T")

# How often a transaction is rebased for one read or commit.
MOST_REBASES = 8
_MOST_SLICED = 2

# What no partition has ever had.
_NO_REVISION = Revision(-1, b"")

# What was read of each partition; None where it was a scan, whose answer any write may change.
_Recording = dict[str, set[str] | None]

# Prefix, the key behind which it begins, limit; all by stored key.
Listing = tuple[Collection[Any], str, str, int | None]


class Views:
    """`of` has the views by partition."""

    __slots__ = ("_recordings", "cache", "of")

    def __init__(self, cache: RecordCache) -> None:
        self.cache = cache
        self.of: dict[str, View] = {}
        self._recordings: list[_Recording] = []

    async def open(self, partition: str) -> tuple[View, PartitionSnapshot]:
        """The view of `partition`, and its snapshot at the revision that the engine had at the first read."""
        view = self.of.get(partition)
        if view is not None and view.snapshot is not None:
            return view, view.snapshot
        snapshot = await self.cache.snapshot_now(partition)
        view = self.of.get(partition)
        if view is None:
            view = self.of[partition] = View(snapshot)
        elif view.snapshot is None:
            view.snapshot = snapshot
        else:  # two concurrent reads of this transaction: the first answer counts
            snapshot = view.snapshot
        return view, snapshot

    async def revision(self, partition: str) -> Revision:
        """See Transaction."""
        view, snapshot = await self.open(partition)
        view.is_pinned = True
        return snapshot.revision

    async def renewed(self, source: MadeOf) -> MadeOf | None:
        """See Transaction. What was made of a source that is current counts as read, in recordings, too."""
        view, snapshot = await self.open(source.partition)
        if view.is_pending(source.keys):
            return None
        if snapshot.revision != source.revision:
            assert isinstance(source.revision, Revision)
            if source.keys is None or not snapshot.is_unchanged(source.revision, source.keys):
                return None
            source = MadeOf(source.partition, snapshot.revision, source.keys)
        if source.keys is None:
            view.is_pinned = True
        else:
            view.made_of.update(source.keys)
        if self._recordings:
            self.note_read(source.partition, source.keys)
        return source

    async def recorded(self, make: Callable[[], Awaitable[T]]) -> tuple[T, tuple[MadeOf, ...]]:
        """See Transaction. What concurrent tasks of this transaction read meanwhile is taken for read by `make`."""
        recording: _Recording = {}
        self._recordings.append(recording)
        try:
            made = await make()
        finally:
            self._recordings = [one for one in self._recordings if one is not recording]
        return made, tuple([await self._source(partition, keys) for partition, keys in recording.items()])

    async def _source(self, partition: str, keys: set[str] | None) -> MadeOf:
        view, snapshot = await self.open(partition)
        if view.is_pending(keys):  # it may never be true
            return MadeOf(intern(partition), _NO_REVISION, None)
        return MadeOf(intern(partition), snapshot.revision, None if keys is None else tuple(keys))

    def note_read(self, partition: str, keys: Iterable[str] | None) -> None:
        """Add to what is being recorded; `keys` None: everything in the partition."""
        for recording in self._recordings:
            known = recording.setdefault(partition, set())
            if keys is None or known is None:
                recording[partition] = None
            else:
                known.update(keys)

    async def read_all(
        self, partition: str, view: View, wanted: Sequence[tuple[Collection[Any], str]]
    ) -> None:
        """Read what is stored, whatever this transaction writes."""
        if view.pending:
            for collection, key in wanted:
                if key in view.pending and key not in view.reads:
                    view.reads[key] = (collection, view.pending[key].record)
        unread = [(collection, key) for collection, key in wanted if key not in view.reads]
        found = await self.read_at_once(partition, view, unread) if unread else []
        for (collection, key), record in zip(unread, found, strict=True):
            view.reads[key] = (collection, record)
        if self._recordings:
            self.note_read(partition, [key for _, key in wanted])

    async def read_at_once(
        self, partition: str, view: View, wanted: Sequence[tuple[Collection[Any], str]]
    ) -> list[Any]:
        for attempt in range(MOST_REBASES):
            snapshot = view.snapshot
            assert snapshot is not None
            if attempt >= _MOST_SLICED:
                state, found_at_once = await self.cache.read_at_once(partition, wanted)
                if await self._follows_at_once(partition, view, state):
                    return found_at_once
            # Where others write all the time, slices would be interrupted for ever.
            is_sliced = attempt < _MOST_SLICED
            found = await self.cache.read(partition, snapshot, wanted, is_sliced=is_sliced)
            if found is None:
                await self.rebase(partition, view)
            elif view.snapshot is snapshot:
                return found
        raise conflict(partition)

    async def scan(
        self,
        partition: str,
        view: View,
        collection: Collection[Any],
        prefix: str,
        after: str,
        limit: int | None,
    ) -> list[tuple[str, Any]]:
        self.note_read(partition, None)
        listing = collection, prefix, after, limit
        is_long = False
        for attempt in range(MOST_REBASES):
            snapshot = view.snapshot
            assert snapshot is not None
            if attempt >= _MOST_SLICED and not is_long:
                at_once = await self.cache.scan_at_once(partition, *listing)
                is_long = at_once is None
                if at_once is not None and await self._follows_at_once(partition, view, at_once[0]):
                    view.scans[listing] = at_once[1]
                    return at_once[1]
            elif is_long:
                joined = await self._scan_joined(partition, view, snapshot, listing)
                if joined is not None:
                    view.scans[listing] = joined
                    return joined
                await self.rebase(partition, view)
                snapshot = view.snapshot  # where the feed has ended, the listing is read at a revision of now
                assert snapshot is not None
            found = await self.cache.scan(partition, snapshot, *listing)
            if found is None:
                await self.rebase(partition, view)
            elif view.snapshot is snapshot:
                view.scans[listing] = found
                return found
        raise conflict(partition)

    async def rebase_for_commit(self, partition: str, view: View) -> None:
        """As `rebase`, by one question where the feed answers it: the commit shows whether the answer is of now."""
        before = view.snapshot
        changes = None if before is None else await self.cache.changes(partition, before.revision)
        if before is None or changes is None or changes.revision == before.revision:
            await self.rebase(partition, view)
        elif view.snapshot is before and view.is_true_after(changes.present):
            view.snapshot = self.cache.renewed_by(partition, before, changes)
        else:
            await self.rebase(partition, view)

    async def require_unchanged(self, partition: str, view: View) -> None:
        """Raises Conflict where what the view has read is not so now."""
        snapshot = view.snapshot
        if snapshot is not None and await self.cache.engine.revision(partition) != snapshot.revision:
            await self.rebase(partition, view)

    async def _scan_joined(
        self, partition: str, view: View, before: PartitionSnapshot, listing: Listing
    ) -> list[tuple[str, Any]] | None:
        """None where what the view has read has changed meanwhile, or where that is not known."""
        collection, prefix, after, limit = listing
        decode = partial(collection.decode, partition)
        joined = await read_joined(self.cache.engine, partition, before.revision, prefix, after, decode)
        if joined is None:
            return None
        if view.snapshot is not before or not view.is_true_after(joined.changed):
            return None
        view.snapshot = PartitionSnapshot(joined.revision)
        return joined.records[:limit]

    async def rebase(self, partition: str, view: View) -> None:
        """Rebase the view on the partition's new revision; raises Conflict where what was read has changed."""
        if view.is_pinned or view.pending:
            raise conflict(partition)
        for attempt in range(MOST_REBASES):
            snapshot = await self.cache.snapshot_now(partition)
            if await self._follows(partition, view, snapshot):
                return
            if not view.is_comparable:
                break
            compared = len(view.reads), len(view.scans)
            is_sliced = attempt < _MOST_SLICED
            is_unchanged = await self._is_unchanged(partition, view, snapshot, is_sliced=is_sliced)
            if is_unchanged is False or not view.is_comparable:  # by a concurrent read, meanwhile
                break
            # What concurrent reads of this transaction have read meanwhile has to be compared, too.
            if is_unchanged and compared == (len(view.reads), len(view.scans)):
                view.snapshot = snapshot
                return
        raise conflict(partition)

    async def _follows_at_once(self, partition: str, view: View, answered: PartitionSnapshot) -> bool:
        """As `_follows`, of what one question to the engine has answered: no other commit has to be outrun."""
        # The feed goes on from it: so it was not lost with a server that was replaced.
        return await self.cache.changes(partition, answered.revision) is not None and await self._follows(
            partition, view, answered
        )

    async def _follows(self, partition: str, view: View, later: PartitionSnapshot) -> bool:
        """Whether `later` has the same of all that the view has read, by the feed; then it is the view's snapshot."""
        before = view.snapshot
        if before is None or not is_at_least(later.revision, before.revision):
            return False
        changes = await self.cache.changes(partition, before.revision)
        # The feed of SQLite ends where an early version of the broker has written since.
        if changes is None or not is_at_least(changes.revision, later.revision):
            return False
        if view.snapshot is not before or not view.is_true_after(changes.present):
            return False
        view.snapshot = later
        return True

    async def _is_unchanged(
        self, partition: str, view: View, snapshot: PartitionSnapshot, *, is_sliced: bool
    ) -> bool | None:
        """Whether `snapshot` has the same as the view has read; None if its revision is no longer the engine's."""
        wanted = [(collection, key) for key, (collection, _) in view.reads.items()]
        expected = [record for _, record in view.reads.values()]
        found = await self.cache.read(partition, snapshot, wanted, is_sliced=is_sliced)
        if found is None:
            return None
        if found != expected:
            return False
        for (collection, prefix, after, limit), seen in list(view.scans.items()):
            listed = await self.cache.scan(partition, snapshot, collection, prefix, after, limit)
            if listed is None:
                return None
            if listed != seen:
                return False
        return True


def conflict(partition: str) -> Conflict:
    return Conflict(f"{partition}: records that were read have changed meanwhile")
