"""The files of an SQLite store: made private, opened, and checked to be stores of the broker."""

import contextlib
import errno
import mmap
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from broker.storage.engine import EngineUnavailable

# In the header of the file: "BRKR", which marks it as ours; and the version of its schema.
APPLICATION_ID = 0x42524B52
SCHEMA_VERSION = 2

# Names and keys are blobs of UTF-8: they sort by their bytes, and `prefix + 0xff` is behind all that begin with it.
_SCHEMA = (
    "CREATE TABLE revisions (partition BLOB PRIMARY KEY, revision INTEGER NOT NULL, mark BLOB NOT NULL DEFAULT x'')"
    " WITHOUT ROWID",
    "CREATE TABLE records (partition BLOB NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, expires_at REAL,"
    " PRIMARY KEY (partition, key)) WITHOUT ROWID",
    "CREATE INDEX expiry ON records (expires_at) WHERE expires_at IS NOT NULL",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)

# Stores of an early version lack it, whose commits leave no entries in it: see `changes.py`.
_FEED = (
    "CREATE TABLE IF NOT EXISTS changes (partition BLOB NOT NULL, revision INTEGER NOT NULL, mark BLOB NOT NULL,"
    " keys BLOB NOT NULL, PRIMARY KEY (partition, revision)) WITHOUT ROWID"
)

# By schema version: the statements that upgrade a store to the next version.
_UPGRADES = {
    1: ("ALTER TABLE revisions ADD COLUMN mark BLOB NOT NULL DEFAULT x''", "PRAGMA user_version = 2"),
}

_BUSY_MILLISECONDS = 5000
COUNTER_SIZE = 8  # bytes


def open_files(path: Path, may_create: bool) -> int:
    """Create the store's file before SQLite does, readable by its owner only; returns the lock file."""
    flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if may_create else 0)
    if may_create:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Of /dev/null root would take the rights from everybody.
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError(errno.EINVAL, "it is no regular file, and no store is one", str(path))
    os.close(os.open(path, flags, 0o600))
    # The path may be mistyped: a file of another program must keep its mode.
    if path.stat().st_mode & 0o077 and _may_be_ours(path):
        path.chmod(0o600)
    return os.open(lock_path(path), flags, 0o600)


def lock_path(path: Path) -> Path:
    return path.with_name(f"{path.name}-lock")


def files_of(path: Path) -> list[Path]:
    """The files of an open store: the database, our lock, and SQLite's own beside it, which exist while it is open."""
    real = path.resolve()  # as SQLite follows links
    beside = (real.with_name(f"{real.name}{suffix}") for suffix in ("-wal", "-shm"))
    return [path, lock_path(path), *(file for file in beside if file.exists())]


def open_commit_counter(lock_file: int) -> memoryview:
    if os.fstat(lock_file).st_size < COUNTER_SIZE:
        os.pwrite(
            lock_file, bytes(COUNTER_SIZE), 0
        )  # written, for a hole in the file could raise SIGBUS on a full disk
    return memoryview(mmap.mmap(lock_file, COUNTER_SIZE, access=mmap.ACCESS_READ)).cast("Q")


def _may_be_ours(path: Path) -> bool:
    """Whether the file is empty, or its header has our application id at SQLite's offset."""
    with path.open("rb") as file:
        header = file.read(72)
    return not header or header[68:72] == APPLICATION_ID.to_bytes(4)


def open_database(path: Path, may_create: bool) -> sqlite3.Connection:
    """A connection to the store at `path`, whose tables are made where the file is empty and that is allowed."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        connection.execute(f"PRAGMA busy_timeout = {_BUSY_MILLISECONDS}")
        _require_ours(connection, path, may_create)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
    except BaseException:
        connection.close()
        raise
    return connection


def _require_ours(connection: sqlite3.Connection, path: Path, may_create: bool) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if not (application or version or tables):
        if not may_create:
            raise EngineUnavailable(f"{path}: the file is empty: the store in it was deleted")
        with transaction(connection):
            for statement in _SCHEMA:
                connection.execute(statement)
    elif application != APPLICATION_ID:
        raise EngineUnavailable(f"{path}: an SQLite file of another program, not a store of the broker")
    elif version != SCHEMA_VERSION and version not in _UPGRADES:
        raise EngineUnavailable(
            f"{path}: written with store schema {version}; this broker reads schema {SCHEMA_VERSION}: "
            "run the version that wrote it, or a later one"
        )
    for old in range(version, SCHEMA_VERSION) if version else ():
        with transaction(connection):
            for statement in _UPGRADES[old]:
                connection.execute(statement)
    connection.execute(_FEED)


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # A full disk or an I/O error has rolled back already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
