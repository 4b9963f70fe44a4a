"""The embedded engine: one SQLite file in WAL mode, shared by the workers of one machine.

Reads are single statements on the event loop: a few microseconds, where the way to a thread and back costs a hundred.
Commits go to one writer thread. It puts all waiting commits into one SQLite transaction, each under a savepoint of its
own, and waits for the disk once (`synchronous=FULL`).

The processes that share a file write one at a time, under a lock file of our own beside it. SQLite's own lock is
polled with sleeps of up to 100 ms; with ours the kernel wakes the next process, and frees the lock of a killed one.
INVARIANT: a process holds the lock while it writes or checkpoints. SQLite up to 3.51.2 (Debian 12 has 3.40) may corrupt
a file where a commit meets the checkpoint of another connection: https://www.sqlite.org/wal.html#walresetbug

The lock file also holds the *commit counter*, a sequence lock in memory that all processes share: each commit makes it
odd before it begins and even when it is done, under the lock. A counter that is even, and the same as when the database
was last checked, proves that nothing was committed since; reading it costs a fortieth of such a check. It stays odd
where a writer was killed. While it is odd, every read checks the database, until the next commit.

A file that was moved or deleted can still be written to, but its content is lost when the last process closes it. So
before each commit, and with each check, all files must still be at their paths, SQLite's own among them; else
EngineUnavailable is raised.
"""

import asyncio
import contextlib
import fcntl
import os
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue

from broker.storage.changes import changes_since, packed_changes, require_no_feed
from broker.storage.engine import MARK_SIZE, NEVER_WRITTEN, Changes, EngineUnavailable, Revision, Write
from broker.storage.pauses import Pauses
from broker.storage.sqlite_commits import (
    REVISION,
    Commit,
    ToEach,
    ToOne,
    apply,
    deliver,
    failed,
    to_each,
    unavailable,
)
from broker.storage.sqlite_files import (
    COUNTER_SIZE,
    files_of,
    open_commit_counter,
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
_CHANGES = "SELECT revision, mark, keys FROM changes WHERE partition = ? AND revision >= ? ORDER BY revision"
_PARTITIONS = "SELECT partition FROM revisions WHERE partition >= ? AND partition < ? ORDER BY partition"
_SWEEP = (
    "DELETE FROM records WHERE (partition, key) IN"
    " (SELECT partition, key FROM records WHERE expires_at <= ? LIMIT ?)"
)

_NO_LIMIT = -1

# Seconds until a commit that has not begun is withdrawn; and that closing the engine may take.
_COMMIT_TIMEOUT = 30.0
_CLOSE_TIMEOUT = 3.0
_LOCK_PAUSE = 0.02  # seconds between two attempts to get the lock, when the engine is closed

_GROUP_LIMIT = 256

# How many rows of a commit to many partitions are made before the event loop serves other requests.
_AT_ONCE = 200

# Seconds until commits are seen of a program that does not change the commit counter.
_UNCOUNTED_SECONDS = 1.0

# How many revisions are cached; then all are dropped. Any client can name accounts, in access key ids.
_MOST_REVISIONS = 1 << 15

# Seconds between sweeps of expired records, and how many one sweep deletes.
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

        `entropy(n)` returns n fresh random bytes; `timeout` is how long a commit may wait to begin, in seconds.
        """
        self._path = Path(path)
        self._clock = clock
        self._entropy = entropy
        self._timeout = timeout
        with _translated_errors(self._path):
            self._lock_file = open_files(self._path, may_create)
            try:
                with self._locked():
                    self._writer = open_database(self._path, may_create)
                    self._reader = open_database(self._path, may_create)
                    self._commit_counter = open_commit_counter(self._lock_file)
                    self._opened_files = [(file, file.stat()) for file in files_of(self._path)]
            except BaseException:
                os.close(self._lock_file)
                raise
        self._execute = self._reader.cursor().execute
        self._data_version = -1
        self._checked_count = -1  # the commit counter at the last check of the database
        self._revisions: dict[str, Revision] = {}
        self._next_sweep = clock()
        self._is_closed = False
        self._queue: SimpleQueue[Commit | None] = SimpleQueue()
        self._waiting: set[Commit] = set()
        self._thread = threading.Thread(target=self._write_until_closed, name="sqlite-writer", daemon=True)
        self._thread.start()

    async def revision(self, partition: str) -> Revision:
        """See Engine. The database is checked only where the commit counter has changed, or is odd.

        The counter is read before the check, so a commit during the check causes another one. `fetch` and `scan` may
        have read newer records, and so force a check: a revision must never be older than the records it is compared
        with.
        """
        try:
            count = self._commit_counter[0]
            if count != self._checked_count or count & 1:
                self._check_database(count)
            known = self._revisions.get(partition)
            if known is None:
                row = self._execute(REVISION, (partition.encode(),)).fetchone()
                if len(self._revisions) >= _MOST_REVISIONS:
                    self._revisions.clear()
                known = self._revisions[partition] = Revision(*row) if row else NEVER_WRITTEN
        except (sqlite3.Error, OSError) as error:
            raise unavailable(self._path, error) from error
        return known

    def _require_files_in_place(self) -> None:
        """Raises EngineUnavailable where another file, or none, is at the path of one that is open here."""
        for file, opened in self._opened_files:
            try:
                is_there = os.path.samestat(opened, file.stat())
            except FileNotFoundError:
                is_there = False
            if not is_there:
                raise EngineUnavailable(
                    f"{file}: the file was moved or deleted; put it back, or restart the broker"
                )

    def _check_database(self, count: int) -> None:
        """Drop the cached revisions where another connection has committed; our own writer is another one, too."""
        self._require_files_in_place()
        version = self._execute("PRAGMA data_version").fetchone()[0]
        if version != self._data_version:
            self._revisions.clear()
            self._data_version = version
        self._checked_count = count

    async def get(self, partition: str, key: str) -> bytes | None:
        with _translated_errors(self._path):
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
            self._checked_count = -1
        return found

    async def scan(
        self, partition: str, prefix: str, after: str = "", limit: int | None = None
    ) -> list[tuple[str, bytes]]:
        self._checked_count = -1
        first, most = prefix.encode(), _NO_LIMIT if limit is None else limit
        with _translated_errors(self._path):
            bounds = (partition.encode(), first, first + b"\xff", after.encode(), self._clock(), most)
            return [(key.decode(), value) for key, value in self._execute(_SCAN, bounds).fetchall()]

    async def page(
        self, partition: str, prefix: str, after: str, limit: int
    ) -> tuple[Revision, list[tuple[str, bytes]]]:
        with _translated_errors(self._path):
            self._execute("BEGIN")
            try:
                row = self._execute(REVISION, (partition.encode(),)).fetchone()
                pairs = await self.scan(partition, prefix, after, limit)
            finally:
                self._execute("COMMIT")
        return (Revision(*row) if row else NEVER_WRITTEN), pairs

    async def changes(self, partition: str, since: Revision) -> Changes | None:
        """See Engine. What was written by an early version since the last entry is not seen: the revision tells."""
        with _translated_errors(self._path):
            rows = self._execute(_CHANGES, (partition.encode(), since.number)).fetchall()
        self._checked_count = -1
        return changes_since(since, [(Revision(number, mark), packed) for number, mark, packed in rows])

    async def commit(self, partition: str, writes: Sequence[Write], expecting: Revision | None) -> Revision:
        """See Engine. A cancellation or a timeout withdraws the commit, unless it has begun."""
        rows = [(write.key.encode(), write.value, write.expires_at) for write in writes]
        mark, packed = self._entropy(MARK_SIZE), packed_changes(partition, writes)
        return await self._commit(ToOne(partition.encode(), rows, expecting, mark, packed))

    async def commit_each(self, writes: Mapping[str, Sequence[Write]]) -> dict[str, EngineUnavailable]:
        """See Engine. It is one commit: all partitions are written, or none."""
        require_no_feed(writes)
        content = await to_each(writes, self._entropy, Pauses(_AT_ONCE))
        try:
            await self._commit(content)
        except EngineUnavailable as error:
            return dict.fromkeys(writes, error)
        return {}

    async def _commit(self, content: ToOne | ToEach) -> Revision:
        if self._is_closed:
            raise EngineUnavailable(f"{self._path}: the store is closed")
        commit = Commit(content, asyncio.get_running_loop().create_future())
        self._waiting.add(commit)
        self._queue.put(commit)
        try:
            return await commit.wait(self._path, self._timeout)
        finally:
            commit.claim()
            commit.answer.cancel()
            self._waiting.discard(commit)

    async def now(self) -> float:
        return self._clock()

    async def partitions(self, prefix: str) -> list[str]:
        first = prefix.encode()
        with _translated_errors(self._path):
            rows = self._execute(_PARTITIONS, (first, first + b"\xff")).fetchall()
            return [name.decode() for (name,) in rows]

    async def close(self) -> None:
        """Finish the waiting commits, then close the files; withdraw the commits where that takes too long."""
        if self._is_closed:
            return
        self._is_closed = True
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join, _CLOSE_TIMEOUT)
        if self._thread.is_alive():
            # It waits for the lock or the disk; it is a daemon, and ends with the process.
            for commit in self._waiting:
                commit.abandon(self._path)
            return
        self._checked_count = -1
        with _translated_errors(self._path):
            if not await self._lock_within(_CLOSE_TIMEOUT):
                return  # another process has the lock: to close may checkpoint, which needs it
            try:
                self._reader.close()
                self._writer.close()
            finally:
                # Closing the file does not unlock it: the mapping of the commit counter has it open, too.
                fcntl.flock(self._lock_file, fcntl.LOCK_UN)
        os.close(self._lock_file)

    async def _lock_within(self, seconds: float) -> bool:
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
            if row is None:  # nothing was ever committed to the partition
                return NEVER_WRITTEN, [None] * len(keys)
            revision = Revision(row[0], row[1])
            values.append(row[2])
        return revision, values

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock: one writer at a time, of all processes."""
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
                deliver(group)

    def _next_group(self) -> tuple[list[Commit], bool]:
        """The waiting commits, none after _UNCOUNTED_SECONDS without any; and whether the engine is still open."""
        group: list[Commit] = []
        try:
            while len(group) < _GROUP_LIMIT:
                commit = self._queue.get(block=not group, timeout=_UNCOUNTED_SECONDS)
                if commit is None:
                    return group, False
                group.append(commit)
        except Empty:
            self._checked_count = -1
        return group, True

    def _write_group(self, group: list[Commit]) -> None:
        """One SQLite transaction for the commits of `group` that were not withdrawn; each gets its own outcome."""
        try:
            with self._locked():
                self._require_files_in_place()
                self._set_commit_counter(self._commit_counter[0] | 1)
                begun = [commit for commit in group if commit.claim()]
                with transaction(self._writer):
                    for commit in begun:
                        commit.outcome = apply(self._writer, self._path, commit)
                    self._sweep_sometimes()
                # All is committed. If the counter stays odd, every read checks the database, which is slow but right.
                with contextlib.suppress(OSError):
                    self._set_commit_counter(self._commit_counter[0] + 1)
        except EngineUnavailable as error:
            for commit in group:
                commit.outcome = error
        except (sqlite3.Error, OSError) as error:
            for commit in group:
                commit.outcome = failed(self._path, error)

    def _set_commit_counter(self, count: int) -> None:
        """By a write, which fails on a full disk; a store into mapped memory would end the process (SIGBUS)."""
        os.pwrite(self._lock_file, count.to_bytes(COUNTER_SIZE, sys.byteorder), 0)

    def _sweep_sometimes(self) -> None:
        """Delete expired records. No read returns them any more, so no revision changes."""
        now = self._clock()
        if now >= self._next_sweep:
            swept = self._writer.execute(_SWEEP, (now, _SWEEP_LIMIT)).rowcount
            self._next_sweep = now if swept == _SWEEP_LIMIT else now + _SWEEP_INTERVAL


@contextlib.contextmanager
def _translated_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise unavailable(path, error) from error
