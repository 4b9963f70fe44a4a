"""Writers of one account wait in line, in the order in which they came: of each account in a line of its own.

Without it many writers would work on the same state at the same time, and all but the one whose commit comes first
would have to begin again. The lines are of one process: between processes, and for what takes no turn, the engine's
revisions decide as ever.

Those who wait are committed together: a call that has its turn leaves what it has read and writes in the *batch* of the
line, and the next one reads it there. The last one has the batch committed, all or nothing; until then nobody is
answered, not even who is refused, for what they have read may not come true. What another process has committed
meanwhile does no harm, unless a call of the batch, refused ones included, has read it: then all of them stand in line
again, and begin again when it is their turn. Where the commit fails for another reason, all fail.
"""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from broker.storage.engine import Conflict, EngineUnavailable, OutcomeUnknown
from broker.storage.partition_snapshot import PartitionSnapshot
from broker.storage.view import View

# Seconds for which a batch takes in more calls.
_BATCH_SECONDS = 0.1
# Calls of a batch, at most, where none has lost to another process.
_MOST_CALLS = 1024
# Seconds for which a line without anybody stays for those whose batch has lost: they may have been cancelled.
_AWAITED_SECONDS = 10.0


class Batch(msgspec.Struct, eq=False):
    """What calls that had their turn have read and will write: `view`, as if they were one transaction.

    `read` are the snapshots of other partitions that they have read, which the commit requires to be those of today.
    `begun_at` by the event loop's clock, in seconds. `calls` is how many they are.
    """

    view: View
    outcome: asyncio.Future[None]
    begun_at: float
    read: dict[str, PartitionSnapshot] = {}
    calls: int = 0


class _Line(msgspec.Struct, eq=False):
    """`size` counts the callers in it; `is_awaited`: those whose batch has lost will come again, if there are none now.

    `most` is how many calls a batch takes in. Each batch that loses to another process halves it, so that one of
    them comes soon enough to be written, however long the line is; each that is written makes it four times as many.
    """

    lock: asyncio.Lock
    size: int = 0
    batch: Batch | None = None
    most: int = _MOST_CALLS
    is_awaited: bool = False

    def is_complete(self, now: float) -> bool:
        """Whether the batch has taken in calls for long enough, or enough of them."""
        batch = self.batch
        return batch is not None and (batch.calls >= self.most or now >= batch.begun_at + _BATCH_SECONDS)

    def note_lost(self, batch: Batch) -> None:
        self.most = max(1, min(self.most, batch.calls) // 2)
        self.is_awaited = True

    def note_written(self) -> None:
        self.most = min(4 * self.most, _MOST_CALLS)


class Lines:
    """The lines of a store; a line exists while a writer waits in it, or will come again to it.

    `write` commits a batch of a partition.
    """

    def __init__(self, write: Callable[[str, Batch], Awaitable[None]]) -> None:
        self._write = write
        self._lines: dict[str, _Line] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._lines)

    async def enter(self, partition: str) -> tuple[_Line, bool]:
        """Wait until it is this task's turn; the line, and whether others came before."""
        line = self._lines.get(partition)
        if line is None:
            line = self._lines[partition] = _Line(asyncio.Lock())
        line.size += 1
        line.is_awaited = False
        has_waited = line.size > 1 or line.batch is not None
        try:
            await line.lock.acquire()
        except BaseException:
            if line.size == 1 and line.batch is not None:  # those before counted on this one
                self._start(self._commit_alone(partition, line))
            else:
                self._leave(partition, line)
            raise
        return line, has_waited

    def leave(self, partition: str, line: _Line, now: float) -> None:
        """The next one's turn; where nobody waits, or the batch is complete, the turn is that of its commit."""
        if line.batch is not None and (line.size == 1 or line.is_complete(now)):
            self._start(self._commit_and_leave(partition, line))
            return
        self.release(partition, line)

    def start_commit(self, partition: str, line: _Line) -> asyncio.Task[None]:
        """Commit the batch of the line, whose turn the caller has and keeps until the task has ended."""
        return self._start(self._commit(partition, line))

    def release(self, partition: str, line: _Line) -> None:
        """The next one's turn."""
        line.lock.release()
        self._leave(partition, line)

    async def _commit(self, partition: str, line: _Line) -> None:
        """The outcome is told to all who wait for it."""
        batch, line.batch = line.batch, None
        if batch is None:
            return
        try:
            await self._write(partition, batch)
        except (Conflict, EngineUnavailable) as error:
            if isinstance(error, Conflict):
                line.note_lost(batch)
            batch.outcome.set_exception(error)
            batch.outcome.exception()  # marked as retrieved: all who waited may have been cancelled
        except BaseException:
            batch.outcome.set_exception(OutcomeUnknown(f"{partition}: the commit of a batch was interrupted"))
            batch.outcome.exception()
            raise
        else:
            line.note_written()
            batch.outcome.set_result(None)

    async def _commit_and_leave(self, partition: str, line: _Line) -> None:
        try:
            await self._commit(partition, line)
        finally:
            self.release(partition, line)

    async def _commit_alone(self, partition: str, line: _Line) -> None:
        await line.lock.acquire()
        await self._commit_and_leave(partition, line)

    def _start(self, work: Awaitable[None]) -> asyncio.Task[None]:
        """In a task, for the call that has brought it about may be cancelled."""
        task = asyncio.ensure_future(work)
        assert isinstance(task, asyncio.Task)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _leave(self, partition: str, line: _Line) -> None:
        line.size -= 1
        if line.size:
            return
        if line.is_awaited:
            asyncio.get_running_loop().call_later(_AWAITED_SECONDS, self._forget, partition, line)
        else:
            del self._lines[partition]

    def _forget(self, partition: str, line: _Line) -> None:
        if not line.size and self._lines.get(partition) is line:
            del self._lines[partition]


class Turn:
    """The place in line of one call, which may try several transactions; it has one account's turn at most."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._partition = ""
        self._line: _Line | None = None
        self._begun_at = 0.0
        self._read: Batch | None = None  # whose writes this call reads

    @property
    def has_stood_in_line(self) -> bool:
        return bool(self._partition)

    async def take(self, partition: str) -> bool:
        """Wait for the turn of `partition`, unless this call has one already; whether others came before."""
        if self._line is not None:
            return False
        self._line, has_waited = await self._lines.enter(partition)
        self._partition = partition
        self._begun_at = asyncio.get_running_loop().time()
        return has_waited

    async def take_again(self) -> None:
        """Wait for the turn that this call has had, before it reads anything."""
        if self._partition:
            await self.take(self._partition)

    def views(self) -> dict[str, View]:
        """By partition, views that read what the calls before this one have read, and will write."""
        self._read = batch = None if self._line is None else self._line.batch
        if batch is None:
            return {}
        views = {partition: View(snapshot) for partition, snapshot in batch.read.items()}
        return {**views, self._partition: View(batch.view.snapshot, pending=dict(batch.view.writes))}

    def may_join(self, partition: str, view: View) -> bool:
        """Whether the writes of `view` are committed with those of the others in line."""
        line = self._line
        if line is None or partition != self._partition or view.snapshot is None:
            return False
        if line.batch is None:
            return line.size > 1
        # INVARIANT: who joins a batch has read what it writes, all of it.
        return self._read is line.batch and view.snapshot is line.batch.view.snapshot

    async def join(self, views: dict[str, View], now: Callable[[], float]) -> None:
        """Leave the line, and the writes of its view in its batch; wait for the commit, and raise what it does."""
        line, view = self._line, views[self._partition]
        assert line is not None and view.snapshot is not None
        if line.batch is None:
            outcome = asyncio.get_running_loop().create_future()
            line.batch = Batch(View(view.snapshot), outcome, self._begun_at)
        batch = line.batch
        batch.calls += 1
        batch.view.include_reads(view)
        batch.view.writes.update(view.writes)
        for partition, other in views.items():
            if other.snapshot is not None and partition != self._partition:
                batch.read.setdefault(partition, other.snapshot)  # where it is another one, the commit fails
        self.leave(now)
        await asyncio.shield(batch.outcome)

    async def settle(self, views: dict[str, View], now: Callable[[], float]) -> None:
        """Leave the line, and wait for the commit of what this call may have read; raises what it does."""
        batch = None if self._line is None else self._line.batch
        if batch is not None:
            batch.calls += 1
            view = views.get(self._partition)
            if view is not None:
                batch.view.include_reads(view)
            self.leave(now)
            await asyncio.shield(batch.outcome)

    async def be_alone(self) -> None:
        """After a Conflict: have the batch committed, if any, that this call has read and could not join.

        The turn is kept. Where this call is cancelled meanwhile, its turn ends with the commit, which goes on.
        """
        line, partition = self._line, self._partition
        if line is None or line.batch is None or line.batch is not self._read:
            return
        committing = self._lines.start_commit(partition, line)
        try:
            await asyncio.shield(committing)
        except asyncio.CancelledError:
            self._line = None
            committing.add_done_callback(lambda _: self._lines.release(partition, line))
            raise

    def has_others(self) -> bool:
        return self._line is not None and self._line.batch is not None

    def leave(self, now: Callable[[], float]) -> None:
        if self._line is not None:
            line, self._line = self._line, None
            self._lines.leave(self._partition, line, now())
