"""Transactions: how handlers read and write records.

Law:
- A transaction reads a partition's revision from the engine once, before its first read there. So it sees every
  commit that was acknowledged before it began, whichever process made it.
- What it reads in one partition is one state of it. Where the revision changes in between, and what was read so far is
  unchanged, by the feed of changes or by reading it again, the transaction is rebased on the new revision, else it
  raises Conflict. That others write all the time, elsewhere in the partition, keeps no reader from its answer.
- A commit succeeds only if, at that moment, everything that the transaction read in the partition is unchanged.
- Where it is asked for (`require_unchanged`), what was read in partitions that the commit does not write to has to be
  unchanged, too: that is asked directly before the commit, for no engine commits two partitions at once.
- Partitions are committed one after another, each all or nothing. Where the process is killed in between, or the next
  partition has changed, the first ones stay committed (and a process that lives raises OutcomeUnknown). The order makes
  that harmless: what is put outside of accounts is committed before the accounts (a code is used up before what it
  proves exists, a global pointer exists before the record that it points to), and partitions outside of accounts with
  deletions only are committed last (a pointer outlives its record).
- Hints are committed as pointers are, but a deletion of hints is never part of another commit: it is committed last,
  and only if the hints that were read are unchanged. What fails with nothing but hints committed has failed; what fails
  with nothing but deletions of hints left has succeeded, for a leftover hint does no harm.
- What is derived from records is written with them (`derivation.py`).
- Calls that take turns may be committed together (`lines.py`). Each reads what those before it will write, and nobody
  is answered, refusals included, before that is written, to a state that has all that any of them has read unchanged.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from broker.cache import MadeOf
from broker.errors import Refusal
from broker.storage.cache import UNKNOWN
from broker.storage.collection import Collection, R
from broker.storage.collections import COUNTS, DERIVED, SOURCES, USAGE
from broker.storage.commit_order import ACCOUNTS, apart, commit_order, is_partly_done
from broker.storage.derivation import COUNTS_KEY, are_counted, derive, full_count, rebuild
from broker.storage.engine import (
    Conflict,
    Engine,
    EngineUnavailable,
    OutcomeUnknown,
    Revision,
    Write,
    account_partition,
)
from broker.storage.lines import Turn
from broker.storage.records import Usage
from broker.storage.view import Put, View
from broker.storage.views import MOST_REBASES, Views, conflict

T = TypeVar("T")

# How many records are handled before the event loop serves other requests.
_AT_ONCE = 200


class Transaction(msgspec.Struct, eq=False):
    """Reads one state, and writes at the commit. For one request; not to be used after it raised Conflict.

    `_latest` returns the later of a stored usage and a mark of (account, key) that is not yet written. `_required` are
    partitions that have to be as they were read. `is_dirty` is true while there are writes to commit.
    """

    _engine: Engine
    _views: Views
    _latest: Callable[[str, str, Usage | None], Usage | None]
    _unconditional: dict[str, dict[str, Put]] = {}
    _turn: Turn | None = None
    _required: tuple[str, ...] = ()
    is_dirty: bool = False

    def beside(self) -> "Transaction":
        """Another transaction of the same store, for its owner to throw away."""
        return Transaction(self._engine, Views(self._views.cache), self._latest)

    async def find(self, collection: Collection[R], account: str, key: str = "") -> R | None:
        """The record under `key` or None. Raises Conflict where something that was read before has changed."""
        if collection.is_derived:
            await self._require_counts(account)
            await self._derive(account)
        partition = collection.partition(account)
        view = self._views.of.get(partition)
        snapshot = None if view is None else view.snapshot
        if view is None or snapshot is None:
            view, snapshot = await self._views.open(partition)
        stored_key = collection.stored_key(key)
        record: R | None
        if view.writes and stored_key in view.writes:
            record = view.writes[stored_key].record
            return record
        found: Any
        if view.pending and stored_key in view.pending:
            found = view.pending[stored_key].record
        else:
            found = self._views.cache.find_known(partition, snapshot, collection, stored_key)
        if found is UNKNOWN:
            (found,) = await self._views.read_at_once(partition, view, [(collection, stored_key)])
        view.reads[stored_key] = (collection, found)
        self._views.note_read(partition, (stored_key,))
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

    async def find_all(self, collection: Collection[R], account: str, keys: Sequence[str]) -> list[R | None]:
        """The records under `keys`, each as `find` finds it, of which the engine is asked at once."""
        if not keys:
            return []
        if collection.is_derived:
            await self._require_counts(account)
            await self._derive(account)
        partition = collection.partition(account)
        view, _ = await self._views.open(partition)
        stored_keys = [collection.stored_key(key) for key in keys]
        await self._views.read_all(partition, view, [(collection, key) for key in stored_keys])
        if collection is USAGE:
            return await self._find_each(collection, account, keys)
        return [view.writes[key].record if key in view.writes else view.reads[key][1] for key in stored_keys]

    async def _find_each(
        self, collection: Collection[R], account: str, keys: Sequence[str]
    ) -> list[R | None]:
        found: list[R | None] = []
        for number, key in enumerate(keys, 1):
            found.append(await self.find(collection, account, key))
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)  # let the event loop serve requests
        return found

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
        if collection.is_derived:
            await self._require_counts(account)
            await self._derive(account)
        return await self._scan_merged(collection, account, prefix, after, limit)

    async def _scan_merged(
        self, collection: Collection[R], account: str, prefix: str, after: str | None, limit: int | None
    ) -> list[R]:
        partition = collection.partition(account)
        view, _ = await self._views.open(partition)
        stored_prefix = collection.prefix if collection.single else collection.stored_key(prefix)
        stored_after = "" if after is None else collection.stored_key(after)
        own = {
            key: put
            for key, put in ((view.pending | view.writes) if view.pending else view.writes).items()
            if key.startswith(stored_prefix) and key > stored_after
        }
        # Each own deletion may hide one record of the page.
        wanted = None if limit is None else limit + len(own)
        found = await self._views.scan(partition, view, collection, stored_prefix, stored_after, wanted)
        if not own:
            return [record for _, record in found]
        merged = dict(found) | {key: put.record for key, put in own.items()}
        return [merged[key] for key in sorted(merged) if merged[key] is not None][:limit]

    async def count(self, collection: Collection[Any], account: str) -> int:
        """How many records the collection holds, own writes included: all are read."""
        return len(await self.scan(collection, account))

    async def recount(self, account: str) -> list[str]:
        """Count the account's records again, and correct what is derived from them; returns what was wrong.

        Nothing is wrong in an account that was never counted: it is now.
        """
        partition = account_partition(account)
        view, _ = await self._views.open(partition)
        while True:
            written = dict(view.writes)
            sources = {one: await self._scan_merged(one, account, "", None, None) for one in SOURCES}
            stored = {one: await self._scan_merged(one, account, "", None, None) for one in DERIVED}
            # In a thread, for a full account would hold the event loop.
            wanted = await asyncio.to_thread(full_count, sources)
            if view.writes == written:  # else a concurrent task of this transaction has put something
                break
        wrong = rebuild(view, wanted, stored)
        self.is_dirty = self.is_dirty or bool(wrong)
        return wrong if any(stored.values()) else []

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
        self._write(collection, account, stored_key, Put(collection, record, expires_at))

    def delete(self, collection: Collection[R], account: str, key: str = "") -> None:
        self._write(collection, account, collection.stored_key(key), Put(collection, None, None))

    async def revision(self, partition: str) -> Revision:
        """The revision that this transaction reads; after this call it is never rebased on another one.

        For caches of values made of a partition's records: a value cached at this revision counts as read.
        """
        return await self._views.revision(partition)

    async def renewed(self, source: MadeOf) -> MadeOf | None:
        """`source` at the revision that this transaction reads; None where what it names has changed, or may have."""
        return await self._views.renewed(source)

    async def recorded(self, make: Callable[[], Awaitable[T]]) -> tuple[T, tuple[MadeOf, ...]]:
        """The answer of `make`, and the sources of it: everything that it has read through this transaction."""
        return await self._views.recorded(make)

    def require_unchanged(self) -> None:
        """Have the commit raise Conflict where anything that was read so far has changed, in whichever partition.

        For what proves who writes, and is not of the account that is written to.
        """
        self._required = tuple(self._views.of)

    async def take_turn(self, account: str) -> None:
        """Wait until no other call of this process is writing to the account; the turn ends with the call.

        For operations that will write. Raises Conflict where it has waited, and what was read before may have changed:
        then the call is tried again, and has its turn already. Only transactions of `transact` take turns.
        """
        partition = account_partition(account)
        if self._turn is None or not await self._turn.take(partition):
            return
        if self._views.of:
            # Who was before has written, most likely: to ask the engine would make all wait that come behind.
            raise conflict(partition)
        self.read_pending()

    def read_pending(self) -> None:
        """Read what those before this call in line have read and will write, where it has its turn."""
        if self._turn is not None:
            self._views.of.update(self._turn.views())

    async def commit(self) -> None:
        """Write what was put and deleted; raises Conflict where something that was read has changed.

        A transaction without writes never conflicts here. Raises OutcomeUnknown where some partitions are written and
        another is not.
        """
        for account in [one.removeprefix(ACCOUNTS) for one, view in self._views.of.items() if view.underived]:
            await self._derive(account)
        written = [
            (partition, part)
            for partition, view in self._views.of.items()
            if view.writes
            for part in apart(view)
        ]
        turn = self._turn
        if turn is not None and len(written) == 1 and turn.may_join(*written[0]):
            await turn.join(self._views.of, asyncio.get_running_loop().time)
            written = []
        elif turn is not None and turn.has_others():
            raise conflict("the account")  # this one is committed in an order of its own, after the others
        done: list[str] = []
        for partition, view in sorted(written, key=commit_order) if len(written) > 1 else written:
            is_hints = all(put.collection.hint for put in view.writes.values())
            try:
                await commit_view(self._engine, self._views, partition, view, self._beside(partition, done))
            except (EngineUnavailable, Conflict) as error:
                if is_hints and any(name.startswith(ACCOUNTS) for name in done):
                    continue
                if is_partly_done(done, error):
                    reason = f"committed in {', '.join(done)}, and not known to be in {partition}: {error}"
                    raise OutcomeUnknown(reason) from error
                raise
            if not is_hints:
                done.append(partition)
        self._views.of = {}
        self.is_dirty = False

    def _beside(self, partition: str, done: list[str]) -> dict[str, View]:
        """What has to be unchanged when `partition` is committed after `done`; nothing once an account is committed."""
        if any(name.startswith(ACCOUNTS) for name in done):
            return {}
        views = self._views.of
        return {one: views[one] for one in self._required if one in views and one not in (partition, *done)}

    def make_unconditional(self) -> None:
        """Have the writes made so far committed even where the call is refused: they record that it was tried."""
        self._unconditional = {partition: dict(view.writes) for partition, view in self._views.of.items()}

    async def commit_unconditional(self) -> None:
        """Commit only the writes that `make_unconditional` marked; raises as `commit` does."""
        for partition, view in self._views.of.items():
            view.writes = self._unconditional.get(partition, {})
            for key in [key for key, put in view.writes.items() if put.collection.is_derived]:
                del view.writes[key]
            view.underived = {
                key: None for key, put in view.writes.items() if put.collection.derive is not None
            }
            view.derived = {}
        await self.commit()

    async def _derive(self, account: str) -> None:
        """Bring what is derived from the account's records up to date with the writes made so far."""
        partition = account_partition(account)
        view, _ = await self._views.open(partition)
        while missing := derive(view):
            await self._views.read_all(partition, view, missing)
            if (COUNTS, COUNTS_KEY) in missing:
                await self._require_counts(account)

    async def _require_counts(self, account: str) -> None:
        """Count everything where a version of the broker wrote the account that counted nothing, or other things."""
        partition = account_partition(account)
        view, _ = await self._views.open(partition)
        if COUNTS_KEY not in view.writes:
            await self._views.read_all(partition, view, [(COUNTS, COUNTS_KEY)])
            if not are_counted(view.reads[COUNTS_KEY][1]):
                await self.recount(account)

    def _write(self, collection: Collection[Any], account: str, stored_key: str, put: Put) -> None:
        partition = collection.partition(account)
        view = self._views.of.get(partition)
        if view is None:
            view = self._views.of[partition] = View()
        view.writes[stored_key] = put
        if collection.derive is not None:
            view.underived[stored_key] = None
        self.is_dirty = True

    async def settle(self) -> None:
        """Wait for the commit of those whose writes this call, which writes nothing, may have read."""
        if self._turn is not None:
            await self._turn.settle(self._views.of, asyncio.get_running_loop().time)


async def commit_view(
    engine: Engine, views: Views, partition: str, view: View, beside: Mapping[str, View]
) -> None:
    """Commit what is written in `view`, where all that it has read is unchanged, and all that `beside` has read.

    `beside`: views of other partitions, by partition. Raises as `Transaction.commit` does.
    """
    writes = await _encoded(view.writes)
    for attempt in range(MOST_REBASES):
        for other, read in beside.items():
            await views.require_unchanged(other, read)
        if attempt:  # the last question before the commit: the less comes between, the fewer are faster again
            await views.rebase_for_commit(partition, view)
        expecting = None if view.snapshot is None else view.snapshot.revision
        try:
            revision = await engine.commit(partition, writes, expecting)
        except Conflict:
            continue
        if view.snapshot is not None:
            puts = zip(view.writes.items(), writes, strict=True)
            written = [(put.collection, key, write.value) for (key, put), write in puts]
            views.cache.advance(partition, view.snapshot, revision, written)
        return
    raise conflict(partition)


async def _encoded(puts: Mapping[str, Put]) -> list[Write]:
    """In slices, between which other requests are served."""
    writes: list[Write] = []
    for number, (key, put) in enumerate(puts.items(), 1):
        value = None if put.record is None else put.collection.encode(put.record)
        writes.append(Write(key, value, put.expires_at))
        if number % _AT_ONCE == 0:
            await asyncio.sleep(0)
    return writes
