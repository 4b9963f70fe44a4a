"""Commits on their way from a task to the writer thread of an SQLite store, and what became of them.

INVARIANT: what is written has been begun, and what was withdrawn is never written.
"""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from broker.storage.engine import NEVER_WRITTEN, Conflict, EngineUnavailable, OutcomeUnknown, Revision

REVISION = "SELECT revision, mark FROM revisions WHERE partition = ?"
_PUT = "INSERT OR REPLACE INTO records (partition, key, value, expires_at) VALUES (?, ?, ?, ?)"
_DELETE = "DELETE FROM records WHERE partition = ? AND key = ?"
_MOVE = "INSERT OR REPLACE INTO revisions (partition, revision, mark) VALUES (?, ?, ?)"

# Seconds for a commit that has begun to come to its end, once it has waited its time.
_END_TIMEOUT = 10.0


class Commit(msgspec.Struct, eq=False):
    """`mark` is that of the new revision. `outcome` is the new revision, or why there is none.

    `turn` is taken once: by the writer thread, which begins the commit then, or by who no longer waits for it, and so
    withdraws it.
    """

    partition: bytes
    rows: list[tuple[bytes, bytes | None, float | None]]
    expecting: Revision | None
    mark: bytes
    answer: asyncio.Future[Revision]
    outcome: Revision | Exception = NEVER_WRITTEN
    turn: threading.Lock = msgspec.field(default_factory=threading.Lock)

    def take(self) -> bool:
        """Whether the turn was still to be had."""
        return self.turn.acquire(blocking=False)

    async def wait(self, path: Path, seconds: float) -> Revision:
        """The new revision; raises what became of it. Withdrawn where it has not begun within `seconds`."""
        await asyncio.wait((self.answer,), timeout=seconds)
        if not self.answer.done():
            if self.take():
                reason = (
                    f"no commit within {seconds:.0f} s: another process holds the lock, or the disk is slow"
                )
                raise EngineUnavailable(f"{path}: {reason}; it was withdrawn")
            await asyncio.wait((self.answer,), timeout=_END_TIMEOUT)
        if not self.answer.done():
            raise OutcomeUnknown(f"{path}: a commit was begun and does not end: the disk does not answer")
        return self.answer.result()

    def give_up(self, path: Path) -> None:
        """The store is closed while this waits."""
        if self.answer.done():
            return
        if self.take():
            reason = "the store was closed before the commit could begin; it was withdrawn"
            self.answer.set_exception(EngineUnavailable(f"{path}: {reason}"))
        else:
            self.answer.set_exception(OutcomeUnknown(f"{path}: the store was closed before a commit ended"))


def apply(connection: sqlite3.Connection, path: Path, commit: Commit) -> Revision | Exception:
    """Apply `commit` under a savepoint of its own, within the transaction that is open; what became of it."""
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
        execute(_MOVE, (commit.partition, revision.number + 1, commit.mark))
    except sqlite3.DataError as error:
        # What SQLite cannot hold (a value of a gigabyte) is the fault of this commit alone.
        execute("ROLLBACK TO one")
        return unavailable(path, error)
    finally:
        if connection.in_transaction:
            execute("RELEASE one")
    return Revision(revision.number + 1, commit.mark)


def answer(group: Iterable[Commit]) -> None:
    """Wake the tasks that wait for `group`: once per event loop, not once per commit."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Commit]] = {}
    for commit in group:
        by_loop.setdefault(commit.answer.get_loop(), []).append(commit)
    for loop, commits in by_loop.items():
        # A loop that was closed meanwhile has nobody left who waits.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_settle, commits)


def _settle(commits: list[Commit]) -> None:
    for commit in commits:
        if commit.answer.done():
            continue
        if isinstance(commit.outcome, Exception):
            commit.answer.set_exception(commit.outcome)
        else:
            commit.answer.set_result(commit.outcome)


def unavailable(path: Path, error: Exception) -> EngineUnavailable:
    return EngineUnavailable(f"{path}: {error}")


def failed(path: Path, error: Exception) -> EngineUnavailable:
    """Why a transaction has failed. After an I/O error its frames may be in the log, and be read after a crash."""
    if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_IOERR:
        return OutcomeUnknown(f"{path}: {error}")
    return unavailable(path, error)
