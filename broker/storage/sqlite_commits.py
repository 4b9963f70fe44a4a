"""Commits that tasks hand to the writer thread of an SQLite store, and their outcomes.

INVARIANT: a commit is written only after it has begun, and one that was withdrawn is never written.
"""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from broker.causes import explained
from broker.storage.changes import FEED_LENGTH
from broker.storage.engine import (
    MARK_SIZE,
    NEVER_WRITTEN,
    Conflict,
    EngineUnavailable,
    OutcomeUnknown,
    Revision,
    Write,
)
from broker.storage.pauses import Pauses

REVISION = "SELECT revision, mark FROM revisions WHERE partition = ?"
_PUT = "INSERT OR REPLACE INTO records (partition, key, value, expires_at) VALUES (?, ?, ?, ?)"
_DELETE = "DELETE FROM records WHERE partition = ? AND key = ?"
_NOTE_CHANGES = "INSERT OR REPLACE INTO changes (partition, revision, mark, keys) VALUES (?, ?, ?, ?)"
_FORGET_CHANGES = "DELETE FROM changes WHERE partition = ? AND revision <= ?"
_SET_REVISION = "INSERT OR REPLACE INTO revisions (partition, revision, mark) VALUES (?, ?, ?)"
_NEXT_REVISION = (
    "INSERT INTO revisions (partition, revision, mark) VALUES (?, 1, ?)"
    " ON CONFLICT (partition) DO UPDATE SET revision = revision + 1, mark = excluded.mark"
)

# Seconds that a commit which has begun may take beyond its timeout.
_END_TIMEOUT = 10.0


class ToOne(msgspec.Struct, frozen=True):
    """Writes to one partition, as keys, values and expiry.

    `mark` is that of the new revision, `packed_keys` its entry in the feed of changes, if any.
    """

    partition: bytes
    rows: list[tuple[bytes, bytes | None, float | None]]
    expecting: Revision | None
    mark: bytes
    packed_keys: bytes


class ToEach(msgspec.Struct, frozen=True):
    """Writes to many partitions at any revision: keys that are gone, rows, and the marks of the new revisions."""

    gone: list[tuple[bytes, bytes]]
    rows: list[tuple[bytes, bytes, bytes, float | None]]
    marks: list[tuple[bytes, bytes]]


async def to_each(
    writes: Mapping[str, Sequence[Write]], entropy: Callable[[int], bytes], pauses: Pauses
) -> ToEach:
    """The last write of each key; `entropy(n)` returns n random bytes."""
    gone: dict[tuple[bytes, bytes], None] = {}
    rows: dict[tuple[bytes, bytes], tuple[bytes, bytes, bytes, float | None]] = {}
    for partition, some in writes.items():
        name = partition.encode()
        for write in some:
            record = (name, write.key.encode())
            if write.value is None:
                rows.pop(record, None)
                gone[record] = None
            else:
                gone.pop(record, None)
                rows[record] = (*record, write.value, write.expires_at)
            await pauses.count()
    marks = [(partition.encode(), entropy(MARK_SIZE)) for partition in writes]
    return ToEach(list(gone), list(rows.values()), marks)


class Commit(msgspec.Struct, eq=False):
    """`outcome` is the new revision (of many partitions no one's), or the error.

    `claimed` is acquired once: by the writer thread, which then begins the commit, or by the task when it gives up,
    which withdraws the commit.
    """

    content: ToOne | ToEach
    answer: asyncio.Future[Revision]
    outcome: Revision | Exception = NEVER_WRITTEN
    claimed: threading.Lock = msgspec.field(default_factory=threading.Lock)

    def claim(self) -> bool:
        """Whether this is the first claim."""
        return self.claimed.acquire(blocking=False)

    async def wait(self, path: Path, seconds: float) -> Revision:
        """The new revision; raises the error. The commit is withdrawn where it has not begun within `seconds`."""
        await asyncio.wait((self.answer,), timeout=seconds)
        if not self.answer.done():
            if self.claim():
                reason = (
                    f"no commit within {seconds:.0f} s: another process holds the lock, or the disk is slow"
                )
                raise EngineUnavailable(f"{path}: {reason}; it was withdrawn")
            await asyncio.wait((self.answer,), timeout=_END_TIMEOUT)
        if not self.answer.done():
            raise OutcomeUnknown(f"{path}: a commit has begun and does not end: the disk does not answer")
        return self.answer.result()

    def abandon(self, path: Path) -> None:
        """End the wait with an error, because the store is closed."""
        if self.answer.done():
            return
        if self.claim():
            reason = "the store was closed before the commit could begin; it was withdrawn"
            self.answer.set_exception(EngineUnavailable(f"{path}: {reason}"))
        else:
            self.answer.set_exception(OutcomeUnknown(f"{path}: the store was closed before a commit ended"))


def apply(connection: sqlite3.Connection, path: Path, commit: Commit) -> Revision | Exception:
    """Apply `commit` under a savepoint of its own, within the open transaction; returns its outcome."""
    content = commit.content
    before = NEVER_WRITTEN
    if isinstance(content, ToOne):
        row = connection.execute(REVISION, (content.partition,)).fetchone()
        before = Revision(*row) if row else NEVER_WRITTEN
        if content.expecting is not None and content.expecting != before:
            return Conflict(f"{content.partition.decode()}: at revision {before}, not {content.expecting}")
    connection.execute("SAVEPOINT one")
    try:
        if isinstance(content, ToOne):
            return _apply_to_one(connection, content, before.number + 1)
        _apply_to_each(connection, content)
        return NEVER_WRITTEN
    except sqlite3.DataError as error:
        # SQLite cannot hold such a value (a gigabyte): only this commit fails.
        connection.execute("ROLLBACK TO one")
        return unavailable(path, error)
    finally:
        if connection.in_transaction:
            connection.execute("RELEASE one")


def _apply_to_one(connection: sqlite3.Connection, content: ToOne, number: int) -> Revision:
    execute: Callable[..., Any] = connection.execute
    for key, value, expires_at in content.rows:
        if value is None:
            execute(_DELETE, (content.partition, key))
        else:
            execute(_PUT, (content.partition, key, value, expires_at))
    execute(_SET_REVISION, (content.partition, number, content.mark))
    if content.packed_keys:
        execute(_NOTE_CHANGES, (content.partition, number, content.mark, content.packed_keys))
        execute(_FORGET_CHANGES, (content.partition, number - FEED_LENGTH))
    return Revision(number, content.mark)


def _apply_to_each(connection: sqlite3.Connection, content: ToEach) -> None:
    connection.executemany(_DELETE, content.gone)
    connection.executemany(_PUT, content.rows)
    connection.executemany(_NEXT_REVISION, content.marks)


def deliver(group: Iterable[Commit]) -> None:
    """Give the outcomes to the tasks that wait: one callback per event loop, not one per commit."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Commit]] = {}
    for commit in group:
        by_loop.setdefault(commit.answer.get_loop(), []).append(commit)
    for loop, commits in by_loop.items():
        # On a loop that was closed meanwhile no task waits any more.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_deliver_in_loop, commits)


def _deliver_in_loop(commits: list[Commit]) -> None:
    for commit in commits:
        if commit.answer.done():
            continue
        if isinstance(commit.outcome, Exception):
            commit.answer.set_exception(commit.outcome)
        else:
            commit.answer.set_result(commit.outcome)


def unavailable(path: Path, error: Exception) -> EngineUnavailable:
    return EngineUnavailable(explained(error, path))


def failed(path: Path, error: Exception) -> EngineUnavailable:
    """The error of a failed transaction. After an I/O error it may be in the log, and be applied after a crash."""
    if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_IOERR:
        return OutcomeUnknown(explained(error, path))
    return unavailable(path, error)
