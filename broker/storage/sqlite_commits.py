"""Commits that tasks hand to the writer thread of an SQLite store, and their outcomes.

INVARIANT: a commit is written only after it has begun, and one that was withdrawn is never written.
"""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from broker.causes import explained
from broker.storage.changes import FEED_LENGTH
from broker.storage.engine import NEVER_WRITTEN, Conflict, EngineUnavailable, OutcomeUnknown, Revision

REVISION = "SELECT revision, mark FROM revisions WHERE partition = ?"
_PUT = "INSERT OR REPLACE INTO records (partition, key, value, expires_at) VALUES (?, ?, ?, ?)"
_DELETE = "DELETE FROM records WHERE partition = ? AND key = ?"
_NOTE_CHANGES = "INSERT OR REPLACE INTO changes (partition, revision, mark, keys) VALUES (?, ?, ?, ?)"
_FORGET_CHANGES = "DELETE FROM changes WHERE partition = ? AND revision <= ?"
_SET_REVISION = "INSERT OR REPLACE INTO revisions (partition, revision, mark) VALUES (?, ?, ?)"

# Seconds that a commit which has begun may take beyond its timeout.
_END_TIMEOUT = 10.0


class Commit(msgspec.Struct, eq=False):
    """`mark` is that of the new revision, `packed_keys` its entry in the feed of changes, if any.

    `outcome` is the new revision, or the error.

    `claimed` is acquired once: by the writer thread, which then begins the commit, or by the task when it gives up,
    which withdraws the commit.
    """

    partition: bytes
    rows: list[tuple[bytes, bytes | None, float | None]]
    expecting: Revision | None
    mark: bytes
    packed_keys: bytes
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
    execute: Callable[..., Any] = connection.execute
    row = execute(REVISION, (commit.partition,)).fetchone()
    revision = Revision(*row) if row else NEVER_WRITTEN
    if commit.expecting is not None and commit.expecting != revision:
        return Conflict(f"{commit.partition.decode()}: at revision {revision}, not {commit.expecting}")
    execute("SAVEPOINT one")
    try:
        for key, value, expires_at in commit.rows:
            if value is None:
                execute(_DELETE, (commit.partition, key))
            else:
                execute(_PUT, (commit.partition, key, value, expires_at))
        number = revision.number + 1
        execute(_SET_REVISION, (commit.partition, number, commit.mark))
        if commit.packed_keys:
            execute(_NOTE_CHANGES, (commit.partition, number, commit.mark, commit.packed_keys))
            execute(_FORGET_CHANGES, (commit.partition, number - FEED_LENGTH))
    except sqlite3.DataError as error:
        # SQLite cannot hold such a value (a gigabyte): only this commit fails.
        execute("ROLLBACK TO one")
        return unavailable(path, error)
    finally:
        if connection.in_transaction:
            execute("RELEASE one")
    return Revision(revision.number + 1, commit.mark)


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
