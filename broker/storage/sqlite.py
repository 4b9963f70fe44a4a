"""The embedded engine: one SQLite file in WAL mode, shared by the workers of one machine.

Reads are single statements on the event loop: a few microseconds, where a hop to a thread costs a hundred. Commits
go to one writer thread, which puts all that wait into one SQLite transaction, each under a savepoint of its own, and
waits for the disk once (`synchronous=FULL`).

The processes that share a file take turns to write under a lock file of our own, beside it. SQLite's own lock is
polled with sleeps of up to 100 ms; this one wakes who waits, and the kernel frees it when its holder is killed.
INVARIANT: whatever writes or checkpoints holds the lock. SQLite up to 3.51.2 (Debian 12 has 3.40) may corrupt a file
where a commit meets the checkpoint of another connection: https://www.sqlite.org/wal.html#walresetbug

The lock file also holds the *bell*, a number in memory that all processes share: whoever commits makes it odd before
and even again behind the commit, all under the lock. So a number that is even, and the same as at the last look into
the database, says that nothing was committed since, for the price of reading it: a fortieth of a look. It stays odd
where a writer was killed in between, and while it is odd everybody looks, until the next commit.

A file that was moved or deleted would still be written to, and all that is lost with the last process that has it open.
So before each commit, and with each look, all files have to be at their paths still, SQLite's own beside ours; else
nothing is answered.
"""

import asyncio
import contextlib
import fcntl
import os
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue

from broker.storage.engine import MARK_SIZE, NEVER_WRITTEN, EngineUnavailable, Revision, Write
from broker.storage.sqlite_commits import REVISION, Commit, answer, apply, failed, unavailable
from broker.storage.sqlite_files import (
    BELL_SIZE,
    files_of,
    open_bell,
    open_database,
    open_files,
    transaction,
)

_GET = "SELECT value FROM records WHERE partition = ? AND key = ? AND (expires_at IS NULL OR expires_at > ?)"
_FETCH = (
    "SELECT revision, mark, (SELECT value FROM records WHERE partition = ?1 AND key = ?2"
    " AND (expires_at IS NULL OR expires_at > ?3)) FROM revisions WHERE partition = ?1"
)
_SCAN = (
    "SELECT key, value FROM records WHERE partition = ? AND key >= ? AND key < ? AND key > ?"
    " AND (expires_at IS NULL OR expires_at > ?) ORDER BY key LIMIT ?"
)
_PARTITIONS = "SELECT partition FROM revisions WHERE partition >= ? AND partition < ? ORDER BY partition"
_SWEEP = (
    "DELETE FROM records WHERE (partition, key) IN"
    " (SELECT partition, key FROM records WHERE expires_at <= ? LIMIT ?)"
)

_NO_LIMIT = -1

# Seconds until a commit that has not begun is withdrawn; and until the engine is closed, whoever waits.
_COMMIT_TIMEOUT = 30.0
_CLOSE_TIMEOUT = 3.0
_LOCK_PAUSE = 0.02  # seconds between two attempts to have the lock, when the engine is closed

_GROUP_LIMIT = 256

# Seconds until commits are seen that were made by a program which does not ring the bell.
_DEAF_SECONDS = 1.0

# Strangers name accounts, too, in access key ids: how many revisions are remembered, and dropped as a whole.
_MOST_REVISIONS = 1 << 15

# Seconds between sweeps of expired records, and how many one sweep takes.
_SWEEP_INTERVAL = 60.0
_SWEEP_LIMIT = 1000


class SqliteEngine:
    """An `Engine` over one file. Each process opens its own, after any fork."""

    def __init__(
        self,
        path: Path | str,
        clock: Callable[[], float],
        entropy: Callable[[int], bytes],
        *,
        may_create: bool = True,
        timeout: float = _COMMIT_TIMEOUT,
    ) -> None:
        """Open the store at `path`, or create it where that is allowed; raises EngineUnavailable with the reason.

        `entropy` gives that many fresh random bytes; `timeout` is how long a commit may wait to begin, in seconds.
        """
        self._path = Path(path)
        self._clock = clock
        self._entropy = entropy
        self._timeout = timeout
        with _explained(self._path):
            self._lock_file = open_files(self._path, may_create)
            try:
                with self._exclusively():
                    self._writer = open_database(self._path, may_create)
                    self._reader = open_database(self._path, may_create)
                    self._bell = open_bell(self._lock_file)
                    self._places = [(file, file.stat()) for file in files_of(self._path)]
            except BaseException:
                os.close(self._lock_file)
                raise
        self._execute = self._reader.cursor().execute
        self._data_version = -1
        self._heard = -1  # the bell at the last look
        self._revisions: dict[str, Revision] = {}
        self._next_sweep = clock()
        self._is_closed = False
        self._queue: SimpleQueue[Commit | None] = SimpleQueue()
        self._waiting: set[Commit] = set()
        self._thread = threading.Thread(target=self._write_until_closed, name="sqlite-writer", daemon=True)
        self._thread.start()

    async def revision(self, partition: str) -> Revision:
        """See Engine. `data_version` moves with every commit of another connection, our own writer's included.

        A look is only taken where the bell was rung. The bell is read before the look, so a commit that comes in
        between is looked for once more. Whoever has read records that may be newer asks for a new look all the same: a
        revision must never be older than the records it is compared with.
        """
        try:
            heard = self._bell[0]
            if heard != self._heard or heard & 1:
                self._look(heard)
            known = self._revisions.get(partition)
            if known is None:
                row = self._execute(REVISION, (partition.encode(),)).fetchone()
                if len(self._revisions) >= _MOST_REVISIONS:
                    self._revisions.clear()
                known = self._revisions[partition] = Revision(*row) if row else NEVER_WRITTEN
        except sqlite3.Error as error:
            raise unavailable(self._path, error) from error
        return known

    def _require_places(self) -> None:
        """Raises EngineUnavailable where another file, or none, is at the path of one that is open here."""
        for file, opened in self._places:
            try:
                is_there = os.path.samestat(opened, file.stat())
            except FileNotFoundError:
                is_there = False
            if not is_there:
                raise EngineUnavailable(f"{file}: the file was moved or deleted; put it back, or start anew")

    def _look(self, heard: int) -> None:
        self._require_places()
        version = self._execute("PRAGMA data_version").fetchone()[0]
        if version != self._data_version:
            self._revisions.clear()
            self._data_version = version
        self._heard = heard

    async def get(self, partition: str, key: str) -> bytes | None:
        with _explained(self._path):
            row = self._execute(_GET, (partition.encode(), key.encode(), self._clock())).fetchone()
            return row[0] if row else None

    async def fetch(self, partition: str, keys: Sequence[str]) -> tuple[Revision, list[bytes | None]]:
        """See Engine. One statement for one key; several keys are read inside one read transaction."""
        try:
            if len(keys) == 1:
                found = self._fetch(partition, keys)
            else:
                self._execute("BEGIN")
                try:
                    found = self._fetch(partition, keys)
                finally:
                    self._execute("COMMIT")
        except sqlite3.Error as error:
            raise unavailable(self._path, error) from error
        if found[0] != self._revisions.get(partition):
            self._heard = -1
        return found

    async def scan(
        self, partition: str, prefix: str, after: str = "", limit: int | None = None
    ) -> list[tuple[str, bytes]]:
        self._heard = -1
        first, most = prefix.encode(), _NO_LIMIT if limit is None else limit
        with _explained(self._path):
            bounds = (partition.encode(), first, first + b"\xff", after.encode(), self._clock(), most)
            return [(key.decode(), value) for key, value in self._execute(_SCAN, bounds).fetchall()]

    async def commit(self, partition: str, writes: Sequence[Write], expecting: Revision | None) -> Revision:
        """See Engine. Who is cancelled, or waits in vain, withdraws the commit unless it has begun."""
        if self._is_closed:
            raise EngineUnavailable(f"{self._path}: the store is closed")
        rows = [(write.key.encode(), write.value, write.expires_at) for write in writes]
        outcome: asyncio.Future[Revision] = asyncio.get_running_loop().create_future()
        commit = Commit(partition.encode(), rows, expecting, self._entropy(MARK_SIZE), outcome)
        self._waiting.add(commit)
        self._queue.put(commit)
        try:
            return await commit.wait(self._path, self._timeout)
        finally:
            commit.take()
            commit.answer.cancel()
            self._waiting.discard(commit)

    async def now(self) -> float:
        return self._clock()

    async def partitions(self, prefix: str) -> list[str]:
        first = prefix.encode()
        with _explained(self._path):
            rows = self._execute(_PARTITIONS, (first, first + b"\xff")).fetchall()
            return [name.decode() for (name,) in rows]

    async def close(self) -> None:
        """Finish the commits that wait, then let go of the file; withdraw them where that takes too long."""
        if self._is_closed:
            return
        self._is_closed = True
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join, _CLOSE_TIMEOUT)
        if self._thread.is_alive():  # it waits for the lock or the disk, and ends with the process
            for commit in self._waiting:
                commit.give_up(self._path)
            return
        self._heard = -1
        with _explained(self._path):
            if not await self._locks_within(_CLOSE_TIMEOUT):
                return  # whoever holds the lock has more to say about the file than we
            try:
                self._reader.close()
                self._writer.close()
            finally:
                fcntl.flock(
                    self._lock_file, fcntl.LOCK_UN
                )  # closing would not do: the bell has the file open, too
        os.close(self._lock_file)

    async def _locks_within(self, seconds: float) -> bool:
        deadline = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < deadline:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            await asyncio.sleep(_LOCK_PAUSE)
        return False

    def _fetch(self, partition: str, keys: Sequence[str]) -> tuple[Revision, list[bytes | None]]:
        name, now = partition.encode(), self._clock()
        revision = NEVER_WRITTEN
        values: list[bytes | None] = []
        for key in keys:
            row = self._execute(_FETCH, (name, key.encode(), now)).fetchone()
            if row is None:  # nothing was ever written there
                return NEVER_WRITTEN, [None] * len(keys)
            revision = Revision(row[0], row[1])
            values.append(row[2])
        return revision, values

    @contextlib.contextmanager
    def _exclusively(self) -> Iterator[None]:
        """One writer at a time, of all processes."""
        fcntl.flock(self._lock_file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._lock_file, fcntl.LOCK_UN)

    def _write_until_closed(self) -> None:
        is_open = True
        while is_open:
            group, is_open = self._next_group()
            if group:
                self._write_group(group)
                answer(group)

    def _next_group(self) -> tuple[list[Commit], bool]:
        """The commits that wait by now, none after a second without any; and whether more may come."""
        group: list[Commit] = []
        try:
            while len(group) < _GROUP_LIMIT:
                commit = self._queue.get(block=not group, timeout=_DEAF_SECONDS)
                if commit is None:
                    return group, False
                group.append(commit)
        except Empty:
            self._heard = -1
        return group, True

    def _write_group(self, group: list[Commit]) -> None:
        """One SQLite transaction for all of `group` that nobody has withdrawn; each commit gets its own outcome."""
        try:
            with self._exclusively():
                self._require_places()
                self._ring(self._bell[0] | 1)
                begun = [commit for commit in group if commit.take()]
                with transaction(self._writer):
                    for commit in begun:
                        commit.outcome = apply(self._writer, self._path, commit)
                    self._sweep_sometimes()
                # From here on all is committed. A bell that stays odd makes everybody look, which is no harm.
                with contextlib.suppress(OSError):
                    self._ring(self._bell[0] + 1)
        except EngineUnavailable as error:
            for commit in group:
                commit.outcome = error
        except (sqlite3.Error, OSError) as error:
            for commit in group:
                commit.outcome = failed(self._path, error)

    def _ring(self, bell: int) -> None:
        """By a write: where the disk is full it fails, but a store into mapped memory ends the process (SIGBUS)."""
        os.pwrite(self._lock_file, bell.to_bytes(BELL_SIZE, sys.byteorder), 0)

    def _sweep_sometimes(self) -> None:
        """Delete what expired; nobody sees it any more, so no revision moves."""
        now = self._clock()
        if now >= self._next_sweep:
            swept = self._writer.execute(_SWEEP, (now, _SWEEP_LIMIT)).rowcount
            self._next_sweep = now if swept == _SWEEP_LIMIT else now + _SWEEP_INTERVAL


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise unavailable(path, error) from error
