"""Transactions: what handlers are given to read and write records with.

Law:
- A transaction asks the engine for a partition's revision once, before it first reads there. So it sees every
  commit that was acknowledged before it began, whichever process made it.
- What it reads in one partition is one state of it. Where the partition moves on in between, what was read so far is
  read again; if that is unchanged the transaction goes on at the new revision, else it raises Conflict.
- A commit holds only if, at that moment, everything that the transaction read in the partition is still so.
- Partitions are committed one after another, each all or nothing; who is killed in between, or finds the next one
  changed, leaves the first ones done. So the order is such that what is left does no harm (and who is alive says that
  it was done in part): what is put outside of
  accounts goes before them (a code is spent before what it proves is there, a global pointer is there before the record
  that it leads to), and where things are only deleted outside, that goes last (a pointer outlives its record).
"""

from collections.abc import Callable
from typing import Any

import msgspec

from broker.errors import Refusal
from broker.storage.cache import UNKNOWN, Pages, RecordCache
from broker.storage.collection import USAGE, Collection, R
from broker.storage.engine import (
    Conflict,
    Engine,
    EngineUnavailable,
    OutcomeUnknown,
    Revision,
    Write,
    account_partition,
)
from broker.storage.records import Usage

_ACCOUNTS = account_partition("")

# How often a transaction follows a partition that moves under it.
_FOLLOW_LIMIT = 8


class _Put(msgspec.Struct, frozen=True):
    """A write that waits for the commit; `record` None deletes."""

    collection: Collection[Any]
    record: Any
    expires_at: float | None


class _View(msgspec.Struct, eq=False):
    """What one transaction has read, and wants to write, in one partition; `pages` None until it reads there."""

    pages: Pages | None = None
    reads: dict[str, tuple[Collection[Any], Any]] = {}
    scans: dict[tuple[Collection[Any], str, str, int | None], list[tuple[str, Any]]] = {}
    writes: dict[str, _Put] = {}
    is_pinned: bool = False


class Transaction(msgspec.Struct, eq=False):
    """Reads at one moment, writes at the end. Not for two requests; not after its Conflict.

    `_latest` answers with the later of a stored usage and a mark of (account, key) that is not yet written. `is_dirty`
    says whether anything waits for the commit.
    """

    _engine: Engine
    _cache: RecordCache
    _latest: Callable[[str, str, Usage | None], Usage | None]
    _views: dict[str, _View] = {}
    _kept: dict[str, dict[str, _Put]] = {}
    is_dirty: bool = False

    def beside(self) -> "Transaction":
        """Another transaction of the same store, for its owner to throw away."""
        return Transaction(self._engine, self._cache, self._latest)

    async def find(self, collection: Collection[R], account: str, key: str = "") -> R | None:
        """The record under `key` or None. Raises Conflict if what was read before has changed since."""
        partition = collection.partition(account)
        view = self._views.get(partition)
        pages = None if view is None else view.pages
        if view is None or pages is None:
            view, pages = await self._open(partition)
        stored_key = collection.stored_key(key)
        record: R | None
        if view.writes and stored_key in view.writes:
            record = view.writes[stored_key].record
            return record
        found: Any = self._cache.find_known(partition, pages, collection, stored_key)
        if found is UNKNOWN:
            found = await self._read(partition, view, collection, stored_key)
        view.reads[stored_key] = (collection, found)
        if collection is USAGE:
            found = self._latest(account, key, found)
        record = found
        return record

    async def get(
        self, collection: Collection[R], account: str, key: str, missing: Callable[[str], Refusal]
    ) -> R:
        """The record under `key`; raises the refusal that `missing` makes of the key."""
        record = await self.find(collection, account, key)
        if record is None:
            raise missing(key)
        return record

    async def scan(
        self,
        collection: Collection[R],
        account: str,
        prefix: str = "",
        *,
        after: str | None = None,
        limit: int | None = None,
    ) -> list[R]:
        """Records whose key begins with `prefix` and sorts behind `after`, in key order; own writes included."""
        partition = collection.partition(account)
        view, _ = await self._open(partition)
        stored_prefix = collection.prefix if collection.single else collection.stored_key(prefix)
        stored_after = "" if after is None else collection.stored_key(after)
        own = {
            key: put
            for key, put in view.writes.items()
            if key.startswith(stored_prefix) and key > stored_after
        }
        # Own deletions may hide as many records as they are.
        wanted = None if limit is None else limit + len(own)
        found = await self._scan(partition, view, collection, stored_prefix, stored_after, wanted)
        if not own:
            return [record for _, record in found]
        merged = dict(found) | {key: put.record for key, put in own.items()}
        return [merged[key] for key in sorted(merged) if merged[key] is not None][:limit]

    async def count(self, collection: Collection[Any], account: str) -> int:
        """How many records the collection holds, own writes included."""
        return len(await self.scan(collection, account))

    def put(
        self,
        collection: Collection[R],
        account: str,
        record: R,
        *,
        key: str | None = None,
        expires_at: float | None = None,
    ) -> None:
        """Write `record` at commit; `key` only for collections whose records do not carry it (USAGE, ONCE)."""
        if collection.takes_expiry is (expires_at is None):
            raise ValueError(f"{collection!r}: expires_at belongs to expiring collections, and only to them")
        stored_key = collection.stored_key(collection.key_of(record) if key is None else key)
        self._write(collection, account, stored_key, _Put(collection, record, expires_at))

    def delete(self, collection: Collection[R], account: str, key: str = "") -> None:
        self._write(collection, account, collection.stored_key(key), _Put(collection, None, None))

    async def revision(self, partition: str) -> Revision:
        """The revision that this transaction sees; from here on it is bound to exactly this one.

        For caches of what was made from a partition's records: a value that was cached at this revision counts as read.
        """
        view = self._views.get(partition)
        pages = None if view is None else view.pages
        if view is None or pages is None:
            view, pages = await self._open(partition)
        view.is_pinned = True
        return pages.revision

    async def commit(self) -> None:
        """Write what was put and deleted; raises Conflict where what was read is no longer so.

        A transaction that wrote nothing has nothing to commit and never conflicts here. Raises OutcomeUnknown where
        some partitions are written and another is not.
        """
        written = [(partition, view) for partition, view in self._views.items() if view.writes]
        done: list[str] = []
        for partition, view in sorted(written, key=_turn) if len(written) > 1 else written:
            try:
                await self._commit(partition, view)
            except (EngineUnavailable, Conflict) as error:
                if _is_partly_done(done, error):
                    reason = f"committed in {', '.join(done)}, and not known to be in {partition}: {error}"
                    raise OutcomeUnknown(reason) from error
                raise
            done.append(partition)
        self._views = {}
        self.is_dirty = False

    def keep(self) -> None:
        """What is written so far shall be written even where the call is refused: that it was tried is a fact."""
        self._kept = {partition: dict(view.writes) for partition, view in self._views.items()}

    async def commit_kept(self) -> None:
        """Write what was there at the last `keep`, and nothing since; raises Conflict as `commit` does."""
        for partition, view in self._views.items():
            view.writes = self._kept.get(partition, {})
        await self.commit()

    async def _open(self, partition: str) -> tuple[_View, Pages]:
        """The view of `partition`, and its pages, which are those of the engine's revision as of its first read."""
        view = self._views.get(partition)
        if view is not None and view.pages is not None:
            return view, view.pages
        pages = self._cache.pages_at(partition, await self._engine.revision(partition))
        view = self._views.get(partition)
        if view is None:
            view = self._views[partition] = _View(pages)
        elif view.pages is None:
            view.pages = pages
        else:  # Two reads of one transaction have asked at once: the first answer counts.
            pages = view.pages
        return view, pages

    async def _read(self, partition: str, view: _View, collection: Collection[Any], stored_key: str) -> Any:
        for _ in range(_FOLLOW_LIMIT):
            pages = view.pages
            assert pages is not None
            found = await self._cache.read(partition, pages, [(collection, stored_key)])
            if found is None:
                await self._follow(partition, view)
            elif view.pages is pages:
                return found[0]
        raise _moved(partition)

    async def _scan(
        self,
        partition: str,
        view: _View,
        collection: Collection[Any],
        prefix: str,
        after: str,
        limit: int | None,
    ) -> list[tuple[str, Any]]:
        for _ in range(_FOLLOW_LIMIT):
            pages = view.pages
            assert pages is not None
            found = await self._cache.scan(partition, pages, collection, prefix, after, limit)
            if found is None:
                await self._follow(partition, view)
            elif view.pages is pages:
                view.scans[collection, prefix, after, limit] = found
                return found
        raise _moved(partition)

    async def _follow(self, partition: str, view: _View) -> None:
        """Take the partition's newer pages if all that was read so far is the same there; else Conflict."""
        if view.is_pinned:
            raise _moved(partition)
        for _ in range(_FOLLOW_LIMIT):
            pages = self._cache.pages_at(partition, await self._engine.revision(partition))
            looked_at = len(view.reads), len(view.scans)
            is_same = await self._is_same(partition, view, pages)
            if is_same is False or view.is_pinned:  # pinned beside us, while we looked
                break
            # Reads of one transaction may run side by side: what another has read meanwhile counts as well.
            if is_same and looked_at == (len(view.reads), len(view.scans)):
                view.pages = pages
                return
        raise _moved(partition)

    async def _is_same(self, partition: str, view: _View, pages: Pages) -> bool | None:
        """Whether `pages` hold what the view has read; None if they have moved on in the meantime."""
        wanted = [(collection, key) for key, (collection, _) in view.reads.items()]
        expected = [record for _, record in view.reads.values()]
        found = await self._cache.read(partition, pages, wanted)
        if found is None:
            return None
        if found != expected:
            return False
        for (collection, prefix, after, limit), seen in list(view.scans.items()):
            listed = await self._cache.scan(partition, pages, collection, prefix, after, limit)
            if listed is None:
                return None
            if listed != seen:
                return False
        return True

    def _write(self, collection: Collection[Any], account: str, stored_key: str, put: _Put) -> None:
        partition = collection.partition(account)
        view = self._views.get(partition)
        if view is None:
            view = self._views[partition] = _View()
        view.writes[stored_key] = put
        self.is_dirty = True

    async def _commit(self, partition: str, view: _View) -> None:
        writes = [
            Write(key, None if put.record is None else put.collection.encode(put.record), put.expires_at)
            for key, put in view.writes.items()
        ]
        for _ in range(_FOLLOW_LIMIT):
            expecting = None if view.pages is None else view.pages.revision
            try:
                revision = await self._engine.commit(partition, writes, expecting)
            except Conflict:
                await self._follow(partition, view)
                continue
            if view.pages is not None:
                puts = zip(view.writes.items(), writes, strict=True)
                written = [(put.collection, key, put.record, write.value) for (key, put), write in puts]
                self._cache.advance(partition, view.pages, revision, written)
            return
        raise _moved(partition)


def _turn(written: tuple[str, _View]) -> int:
    """Which partitions are committed first, see the law above."""
    partition, view = written
    if partition.startswith(_ACCOUNTS):
        return 1
    return 0 if any(put.record is not None for put in view.writes.values()) else 2


def _is_partly_done(done: list[str], error: Exception) -> bool:
    """Whether part of it holds, so that it has not failed. Up to the first account a Conflict may begin anew."""
    if isinstance(error, Conflict):
        return any(partition.startswith(_ACCOUNTS) for partition in done)
    return bool(done)


def _moved(partition: str) -> Conflict:
    return Conflict(f"{partition}: what was read has changed meanwhile")
