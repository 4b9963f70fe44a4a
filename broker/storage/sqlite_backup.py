"""A backup is one SQLite file in the form of a store: of an SQLite store a copy, of a Redis the same records.

Values stay sealed as they are in the store. A backup of either engine can be restored to either.
"""

import contextlib
import fcntl
import os
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from broker.causes import explained
from broker.storage.engine import EngineUnavailable, Revision
from broker.storage.sqlite_files import open_database, open_files, transaction

_BUSY_MILLISECONDS = 500
_NOT_EMPTY = "SELECT count(*) FROM revisions"
_ALL = "SELECT partition, revision, mark FROM revisions ORDER BY partition"
_RECORDS = "SELECT key, value, expires_at FROM records WHERE partition = ? ORDER BY key"


class StoreInUse(Exception):
    """A restore would change a store that a process has open, or that holds records; the message says which."""


class PartitionCopy(msgspec.Struct, frozen=True):
    """All records of a partition at one revision: key, sealed value, and when it expires, in epoch seconds."""

    partition: str
    revision: Revision
    records: Sequence[tuple[str, bytes, float | None]]


def copy_store(path: Path, backup: Path) -> None:
    """Copy the store at `path`, which may be in use, as it is at one moment. Raises EngineUnavailable."""
    with (
        _translated(path),
        contextlib.closing(sqlite3.connect(_uri(path, "rw"), uri=True)) as source,
        opened_backup(backup, is_new=True) as target,
    ):
        source.backup(target)


@contextlib.contextmanager
def opened_backup(backup: Path, *, is_new: bool = False) -> Iterator[sqlite3.Connection]:
    """The backup's database; in the end it is one file again, and on the disk. Raises EngineUnavailable."""
    with _translated(backup):
        if is_new:
            os.close(os.open(backup, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        with contextlib.closing(open_database(backup, may_create=is_new)) as connection:
            yield connection
            connection.execute("PRAGMA journal_mode = DELETE")
        _sync(backup)


def put_partition(connection: sqlite3.Connection, copy: PartitionCopy) -> None:
    """Replace what the backup has of the partition."""
    name = copy.partition.encode()
    rows = [(name, key.encode(), value, expires_at) for key, value, expires_at in copy.records]
    with transaction(connection):
        connection.execute("DELETE FROM records WHERE partition = ?", (name,))
        connection.executemany("INSERT INTO records VALUES (?, ?, ?, ?)", rows)
        revision = (name, copy.revision.number, copy.revision.mark)
        connection.execute("INSERT OR REPLACE INTO revisions VALUES (?, ?, ?)", revision)


def read_partitions(connection: sqlite3.Connection) -> Iterator[PartitionCopy]:
    for name, number, mark in connection.execute(_ALL).fetchall():
        rows = connection.execute(_RECORDS, (name,)).fetchall()
        records = [(key.decode(), value, expires_at) for key, value, expires_at in rows]
        yield PartitionCopy(name.decode(), Revision(number, mark), records)


def put_in_place(backup: Path, path: Path, *, must_replace: bool) -> None:
    """Make the backup the store at `path`, at once. Raises StoreInUse and EngineUnavailable.

    The lock is held until the file is replaced: a broker that starts meanwhile waits, and opens the new one.
    """
    with _translated(path):
        lock = open_files(path, may_create=True)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            _require_unused(path, must_replace=must_replace)
            following = path.with_name(f"{path.name}-restored")
            shutil.copyfile(backup, following)
            following.chmod(0o600)
            _sync(following)
            for suffix in ("-wal", "-shm"):
                path.with_name(f"{path.name}{suffix}").unlink(missing_ok=True)
            following.replace(path)
            _sync(path.parent)
        finally:
            os.close(lock)


def _require_unused(path: Path, *, must_replace: bool) -> None:
    """SQLite leaves its WAL mode only where no other connection is open, of any process."""
    if not path.stat().st_size:
        return
    with contextlib.closing(sqlite3.connect(_uri(path, "rw"), uri=True, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA busy_timeout = {_BUSY_MILLISECONDS}")
        try:
            connection.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.OperationalError:
            raise StoreInUse(f"{path} is in use: stop the broker first, every worker and command") from None
        (partitions,) = connection.execute(_NOT_EMPTY).fetchone()
    if partitions and not must_replace:
        raise StoreInUse(f"{path} holds a store: --replace puts the backup in its place")


def _uri(path: Path, mode: str) -> str:
    return f"{path.absolute().as_uri()}?mode={mode}"


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise EngineUnavailable(explained(error, path)) from error
