import asyncio
import contextlib
import errno
import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from broker.storage import sqlite
from broker.storage.engine import NEVER_WRITTEN, Conflict, EngineUnavailable, OutcomeUnknown, Revision, Write
from broker.storage.sqlite import SqliteEngine
from broker.storage.sqlite_commits import failed
from broker.storage.sqlite_files import APPLICATION_ID
from tests.unit.storage.turns import Noted, Work

OpenSqlite = Callable[[], SqliteEngine]


def modes(folder: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()}


async def test_only_the_owner_may_read_the_files(open_sqlite: OpenSqlite, tmp_path: Path) -> None:
    await open_sqlite().commit("global", [Write("a", b"1")], NEVER_WRITTEN)
    names = ("store.db", "store.db-lock", "store.db-shm", "store.db-wal")
    assert modes(tmp_path) == dict.fromkeys(names, 0o600)


async def test_a_file_that_others_could_read_is_made_private(open_sqlite: OpenSqlite, tmp_path: Path) -> None:
    await open_sqlite().close()
    (tmp_path / "store.db").chmod(0o644)
    await open_sqlite().commit("global", [Write("a", b"1")], NEVER_WRITTEN)
    assert set(modes(tmp_path).values()) == {0o600}


async def test_a_device_or_a_pipe_is_no_store_and_keeps_its_mode(tmp_path: Path) -> None:
    """As `sqlite:/dev/null` has it: root would take the rights on the machine's device from everybody."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    path.chmod(0o666)
    with pytest.raises(EngineUnavailable, match="no regular file"):
        SqliteEngine(path, time.time, os.urandom)
    assert modes(tmp_path) == {"pipe": 0o666}


async def test_the_folder_is_made_where_it_is_missing(tmp_path: Path) -> None:
    engine = SqliteEngine(tmp_path / "new" / "folder" / "store.db", time.time, os.urandom)
    await engine.close()
    assert (tmp_path / "new" / "folder").stat().st_mode & 0o777 == 0o700


async def test_a_file_that_is_no_database_is_named_as_such(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_text("users:\n  - name: bob\n" * 100)
    with pytest.raises(EngineUnavailable, match=r"store\.db: file is not a database"):
        SqliteEngine(path, time.time, os.urandom)
    assert path.read_text().startswith("users:")


async def test_the_database_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with sqlite3.connect(path) as foreign:
        foreign.execute("CREATE TABLE bookmarks (url TEXT)")
    foreign.close()
    before = path.read_bytes()
    with pytest.raises(EngineUnavailable, match="an SQLite file of another program"):
        SqliteEngine(path, time.time, os.urandom)
    assert path.read_bytes() == before


async def test_the_store_of_a_newer_broker_is_refused(open_sqlite: OpenSqlite, tmp_path: Path) -> None:
    await open_sqlite().close()
    with sqlite3.connect(tmp_path / "store.db") as newer:
        newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(
        EngineUnavailable, match="store schema 99; this broker reads schema 2: run the version"
    ):
        open_sqlite()


async def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match="Is a directory"):
        SqliteEngine(tmp_path, time.time, os.urandom)


@pytest.mark.parametrize("part", [0.3, 0.6])
async def test_a_file_that_was_cut_short_is_not_read_as_if_whole(tmp_path: Path, part: float) -> None:
    path = tmp_path / "store.db"
    engine = SqliteEngine(path, time.time, os.urandom)
    await engine.commit("global", [Write(f"{n:04}", os.urandom(500)) for n in range(1000)], None)
    await engine.close()
    os.truncate(path, int(path.stat().st_size * part))
    with pytest.raises(EngineUnavailable, match="malformed"):
        await read_everything(path)


async def test_a_file_with_broken_pages_is_not_read_as_if_whole(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    engine = SqliteEngine(path, time.time, os.urandom)
    await engine.commit("global", [Write(f"{n:04}", os.urandom(500)) for n in range(1000)], None)
    await engine.close()
    with path.open("r+b") as file:
        file.seek(4096 * 4)
        file.write(b"\xa5" * 4096 * 20)
    with pytest.raises(EngineUnavailable, match="malformed"):
        await read_everything(path)


async def read_everything(path: Path) -> None:
    engine = SqliteEngine(path, time.time, os.urandom)
    try:
        await engine.scan("global", "")
    finally:
        await engine.close()


async def test_expired_records_are_deleted_from_the_file(tmp_path: Path) -> None:
    now = 1000.0
    engine = SqliteEngine(tmp_path / "store.db", lambda: now, os.urandom)
    writes = [Write(f"{n:04}", b"", now + 10) for n in range(2500)]
    await engine.commit("replay/1", [*writes, Write("stays", b""), Write("later", b"", 9999.0)], None)
    now = 1100.0
    assert await engine.scan("replay/1", "") == [("later", b""), ("stays", b"")]
    for _ in range(3):
        await engine.commit("global", [], None)
    assert (await engine.revision("replay/1")).number == 1
    await engine.close()
    with sqlite3.connect(tmp_path / "store.db") as file:
        assert file.execute("SELECT count(*) FROM records").fetchone() == (2,)
    file.close()


async def test_a_commit_waits_its_turn_while_another_process_writes(
    open_sqlite: OpenSqlite, tmp_path: Path
) -> None:
    engine = open_sqlite()
    with (tmp_path / "store.db-lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        commit = asyncio.create_task(engine.commit("global", [Write("a", b"1")], NEVER_WRITTEN))
        await asyncio.sleep(0.1)
        assert not commit.done()
        assert await engine.get("global", "a") is None
    assert (await commit).number == 1


async def test_closing_finishes_the_commits_that_wait(open_sqlite: OpenSqlite) -> None:
    engine = open_sqlite()
    commits = [asyncio.create_task(engine.commit("global", [Write(f"{n}", b"")], None)) for n in range(600)]
    await asyncio.sleep(0)
    await engine.close()
    assert sorted(made.number for made in await asyncio.gather(*commits)) == list(range(1, 601))
    assert len(await open_sqlite().scan("global", "")) == 600
    with pytest.raises(EngineUnavailable, match="closed"):
        await engine.commit("global", [], None)


async def test_a_call_that_no_longer_waits_for_its_commit_does_not_disturb_others(
    open_sqlite: OpenSqlite,
) -> None:
    engine = open_sqlite()
    commits = [asyncio.create_task(engine.commit("global", [Write(f"{n}", b"")], None)) for n in range(20)]
    await asyncio.sleep(0)
    for commit in commits[::2]:
        commit.cancel()
    outcomes = await asyncio.gather(*commits, return_exceptions=True)
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes[::2])
    assert all(isinstance(outcome, Revision) for outcome in outcomes[1::2])


@contextlib.contextmanager
def held_lock(path: Path) -> Iterator[None]:
    """As another process that writes, or was stopped while it wrote."""
    with path.with_name(f"{path.name}-lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


async def test_a_commit_that_timed_out_before_it_began_is_withdrawn_and_never_applied(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    engine = SqliteEngine(path, time.time, os.urandom, timeout=0.2)
    made = await engine.commit("global", [Write("a", b"1")], NEVER_WRITTEN)
    with held_lock(path):
        commits = [engine.commit("global", [Write("a", b"late")], expecting) for expecting in (made, None)]
        outcomes = await asyncio.gather(*commits, return_exceptions=True)
    assert all("it was withdrawn" in str(outcome) for outcome in outcomes)
    assert not any(isinstance(outcome, OutcomeUnknown) for outcome in outcomes)
    assert (await engine.commit("account/1", [Write("b", b"")], None)).number == 1  # all before it is over
    assert await engine.revision("global") == made
    assert await engine.get("global", "a") == b"1"
    await engine.close()


async def test_a_cancelled_call_withdraws_its_commit_unless_it_has_begun(
    open_sqlite: OpenSqlite, tmp_path: Path
) -> None:
    engine = open_sqlite()
    with held_lock(tmp_path / "store.db"):
        commit = asyncio.create_task(engine.commit("global", [Write("a", b"1")], None))
        await asyncio.sleep(0.1)
        commit.cancel()
        with pytest.raises(asyncio.CancelledError):
            await commit
    await engine.commit("account/1", [], None)
    assert await engine.revision("global") == NEVER_WRITTEN


async def test_a_commit_that_has_begun_in_time_is_waited_for(tmp_path: Path) -> None:
    """Between the lock and the disk it can no longer be withdrawn: here it waits for SQLite's own lock."""
    path = tmp_path / "store.db"
    engine = SqliteEngine(path, time.time, os.urandom, timeout=0.2)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        commit = asyncio.create_task(engine.commit("global", [Write("a", b"1")], NEVER_WRITTEN))
        await asyncio.sleep(0.5)
        assert not commit.done()
        other.execute("ROLLBACK")
    assert (await commit).number == 1
    await engine.close()


async def test_closing_withdraws_what_cannot_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_CLOSE_TIMEOUT", 0.2)
    path = tmp_path / "store.db"
    engine = SqliteEngine(path, time.time, os.urandom)
    with held_lock(path):
        commit = asyncio.create_task(engine.commit("global", [Write("a", b"1")], None))
        await asyncio.sleep(0.1)
        await engine.close()
        with pytest.raises(EngineUnavailable, match="closed before the commit could begin; it was withdrawn"):
            await commit
    engine._thread.join()
    reader = SqliteEngine(path, time.time, os.urandom)
    assert await reader.revision("global") == NEVER_WRITTEN
    await reader.close()


async def test_closing_does_not_wait_for_another_process_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_CLOSE_TIMEOUT", 0.2)
    engine = SqliteEngine(tmp_path / "store.db", time.time, os.urandom)
    made = await engine.commit("global", [Write("a", b"1")], None)
    with held_lock(tmp_path / "store.db"):
        async with asyncio.timeout(20):
            await engine.close()
        with pytest.raises(EngineUnavailable, match="closed"):
            await engine.commit("global", [], None)
    reader = SqliteEngine(tmp_path / "store.db", time.time, os.urandom)
    assert await reader.revision("global") == made
    await reader.close()


async def test_a_commit_is_done_even_where_the_commit_counter_cannot_be_written_after_it(
    open_sqlite: OpenSqlite, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, set_counter = open_sqlite(), SqliteEngine._set_commit_counter

    def fail_after_the_commit(self: SqliteEngine, count: int) -> None:
        if count % 2 == 0:
            raise OSError(errno.EIO, "Input/output error")
        set_counter(self, count)

    monkeypatch.setattr(SqliteEngine, "_set_commit_counter", fail_after_the_commit)
    made = await engine.commit("global", [Write("a", b"1")], NEVER_WRITTEN)
    assert await open_sqlite().revision("global") == await engine.revision("global") == made


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_IOERR_FSYNC, OutcomeUnknown),
        (sqlite3.SQLITE_FULL, EngineUnavailable),
        (sqlite3.SQLITE_BUSY, EngineUnavailable),
    ],
)
def test_after_an_io_error_the_outcome_of_a_commit_is_unknown(code: int, kind: type[Exception]) -> None:
    error = sqlite3.OperationalError("disk")
    error.sqlite_errorcode = code
    assert type(failed(Path("store.db"), error)) is kind


async def test_a_store_of_the_schema_before_is_read_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with contextlib.closing(sqlite3.connect(path)) as old:
        old.executescript(
            "CREATE TABLE revisions (partition BLOB PRIMARY KEY, revision INTEGER NOT NULL) WITHOUT ROWID;"
            "CREATE TABLE records (partition BLOB NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL,"
            " expires_at REAL, PRIMARY KEY (partition, key)) WITHOUT ROWID;"
            "CREATE INDEX expiry ON records (expires_at) WHERE expires_at IS NOT NULL;"
            "INSERT INTO revisions VALUES (CAST('global' AS BLOB), 57);"
            "INSERT INTO records VALUES (CAST('global' AS BLOB), CAST('a' AS BLOB), CAST('1' AS BLOB), NULL);"
            f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 1;"
        )
    engines = [SqliteEngine(path, time.time, os.urandom, may_create=is_first) for is_first in (True, False)]
    assert await engines[0].fetch("global", ["a"]) == (Revision(57, b""), [b"1"])
    made = await engines[0].commit("global", [Write("a", b"2")], Revision(57, b""))
    assert made.number == 58 and await engines[1].revision("global") == made
    with pytest.raises(Conflict):
        await engines[1].commit("global", [Write("a", b"3")], Revision(58, b""))
    for engine in engines:
        await engine.close()


async def test_commits_that_wait_together_share_one_transaction(
    open_sqlite: OpenSqlite, tmp_path: Path
) -> None:
    """Counted by the commit marks in the write-ahead log: frames whose header names the size of the database."""
    engine = open_sqlite()
    await engine.commit("global", [Write("a", b"")], None)
    before = committed_transactions(tmp_path / "store.db-wal")
    with (tmp_path / "store.db-lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        commits = [
            asyncio.create_task(engine.commit(f"account/{n}", [Write("a", b"")], NEVER_WRITTEN))
            for n in range(100)
        ]
        await asyncio.sleep(0.05)
    assert {made.number for made in await asyncio.gather(*commits)} == {1}
    assert committed_transactions(tmp_path / "store.db-wal") - before <= 2


def committed_transactions(log: Path) -> int:
    """https://www.sqlite.org/fileformat2.html#the_write_ahead_log: 32 bytes, then frames of 24 bytes and a page."""
    frames = log.read_bytes()[32:]
    return sum(1 for at in range(0, len(frames), 24 + 4096) if any(frames[at + 4 : at + 8]))


def test_a_file_of_another_program_keeps_its_mode(tmp_path):
    path = tmp_path / "passwd"
    path.write_text("root:x:0:0:root:/root:/bin/bash\n")
    path.chmod(0o644)
    with pytest.raises(EngineUnavailable, match="not a database"):
        SqliteEngine(path, lambda: 0.0, os.urandom)
    assert path.stat().st_mode & 0o777 == 0o644


async def test_a_revision_is_never_older_than_the_records_that_were_read(
    open_sqlite: OpenSqlite, tmp_path: Path
) -> None:
    engine = open_sqlite()
    made = await engine.commit("global", [Write("a", b"1")], NEVER_WRITTEN)
    # The other program does not change the commit counter, so the engine has no other reason to check.
    assert await engine.revision("global") == made
    assert await engine.fetch("global", ["a"]) == (made, [b"1"])
    with sqlite3.connect(tmp_path / "store.db") as another:
        another.execute("UPDATE records SET value = ? WHERE key = ?", (b"2", b"a"))
        another.execute("UPDATE revisions SET revision = 2 WHERE partition = ?", (b"global",))
    another.close()
    assert await engine.fetch("global", ["a"]) == (Revision(2, made.mark), [b"2"])
    assert await engine.revision("global") == Revision(2, made.mark)


def commit_uncounted(path: Path, partition: str) -> None:
    """As a program that is not the broker does, or a process that is killed right after the commit."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(
            "UPDATE revisions SET revision = revision + 1 WHERE partition = ?", (partition.encode(),)
        )


async def test_the_commit_counter_shows_every_process_a_commit_and_is_even_after_it(
    open_sqlite: OpenSqlite,
) -> None:
    first, second = open_sqlite(), open_sqlite()
    for number in range(1, 20):
        assert (await first.commit("account/1", [Write("a", b"1")], None)).number == number
        seen = await second.revision("account/1")
        assert seen == await first.revision("account/1") and seen.number == number
        assert first._commit_counter[0] == second._commit_counter[0] and first._commit_counter[0] % 2 == 0


async def test_a_full_disk_does_not_end_the_process_where_the_commit_counter_is_mapped(
    open_sqlite: OpenSqlite, tmp_path: Path
) -> None:
    """On a full disk a store into a mapped file raises SIGBUS, and so, on tmpfs, does a read of a hole."""
    (tmp_path / "store.db-lock").touch()  # as early brokers made it, without a commit counter
    engine = open_sqlite()
    assert engine._commit_counter.readonly
    assert os.lseek(engine._lock_file, 0, os.SEEK_DATA) == 0
    os.close(engine._lock_file)
    engine._lock_file = os.open(os.devnull, os.O_RDONLY)
    with pytest.raises(EngineUnavailable):
        await engine.commit("global", [Write("a", b"1")], None)
    assert await engine.get("global", "a") is None


async def test_a_commit_of_a_process_that_was_killed_before_the_counter_was_even_again_is_seen(
    open_sqlite: OpenSqlite,
) -> None:
    engine, other = open_sqlite(), open_sqlite()
    await engine.commit("account/1", [Write("a", b"1")], None)
    assert (await other.revision("account/1")).number == 1
    engine._set_commit_counter(engine._commit_counter[0] | 1)  # a writer began ...
    commit_uncounted(engine._path, "account/1")  # ... wrote, and was killed
    assert (await other.revision("account/1")).number == 2
    commit_uncounted(engine._path, "account/1")
    seen = await other.revision("account/1")
    assert seen == await engine.revision("account/1") and seen.number == 3
    assert (await engine.commit("account/1", [], None)).number == 4
    assert (await other.revision("account/1")).number == 4 and engine._commit_counter[0] % 2 == 0


async def test_a_commit_of_a_program_that_does_not_count_it_is_seen_after_a_second(
    open_sqlite: OpenSqlite,
) -> None:
    engine = open_sqlite()
    await engine.commit("account/1", [Write("a", b"1")], None)
    assert (await engine.revision("account/1")).number == 1
    commit_uncounted(engine._path, "account/1")
    async with asyncio.timeout(5):
        while (await engine.revision("account/1")).number == 1:
            await asyncio.sleep(0.05)


async def test_revisions_of_any_number_of_accounts_are_cached_within_a_bound(open_sqlite: OpenSqlite) -> None:
    engine = open_sqlite()
    assert (await engine.commit("account/1", [Write("a", b"1")], None)).number == 1
    for number in range(2, 2 * sqlite._MOST_REVISIONS):
        assert (await engine.revision(f"account/{number}")).number == 0
    assert len(engine._revisions) <= sqlite._MOST_REVISIONS
    assert (await engine.revision("account/1")).number == 1


async def test_a_closed_engine_answers_nothing_from_memory(open_sqlite: OpenSqlite) -> None:
    engine = open_sqlite()
    assert (await engine.revision("account/1")).number == 0
    await engine.close()
    with pytest.raises(EngineUnavailable):
        await engine.revision("account/1")


@pytest.mark.parametrize("name", ["store.db", "store.db-lock", "store.db-wal", "store.db-shm"])
async def test_a_file_that_is_no_longer_at_its_path_is_neither_written_nor_read(
    open_sqlite: OpenSqlite, tmp_path: Path, name: str
) -> None:
    engine, file = open_sqlite(), tmp_path / name
    await engine.commit("global", [Write("a", b"1")], NEVER_WRITTEN)
    file.rename(tmp_path / "away")
    for _ in range(2):
        with pytest.raises(EngineUnavailable, match=f"{name}: the file was moved or deleted"):
            await engine.commit("global", [Write("a", b"2")], None)
        file.touch()  # nor where another file is at its path
    await asyncio.sleep(1.1)
    with pytest.raises(EngineUnavailable, match=f"{name}: the file was moved or deleted"):
        await engine.revision("global")
    (tmp_path / "away").rename(file)
    assert (await engine.revision("global")).number == 1
    assert (await engine.commit("global", [Write("a", b"2")], None)).number == 2


async def test_where_the_folder_of_the_files_cannot_be_read_the_store_is_away(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    engine = SqliteEngine(tmp_path / "disk" / "store.db", time.time, os.urandom)
    await engine.commit("global", [Write("a", b"1")], NEVER_WRITTEN)
    (tmp_path / "disk").rename(tmp_path / "away")
    (tmp_path / "disk").touch()
    await engine.scan("global", "")  # so that the files are looked at
    with pytest.raises(EngineUnavailable, match="Not a directory"):
        await engine.revision("global")
    (tmp_path / "disk").unlink()
    (tmp_path / "away").rename(tmp_path / "disk")
    assert (await engine.revision("global")).number == 1
    await engine.close()


async def test_a_store_may_be_reached_by_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "store.db").symlink_to(tmp_path / "disk" / "real.db")
    engine = SqliteEngine(tmp_path / "store.db", time.time, os.urandom)
    await engine.commit("global", [Write("a", b"1")], NEVER_WRITTEN)
    (tmp_path / "disk" / "real.db-wal").unlink()
    with pytest.raises(EngineUnavailable, match=r"real\.db-wal: the file was moved or deleted"):
        await engine.commit("global", [Write("a", b"2")], None)
    await engine.close()
    # What was in the deleted file is in the database since the end.
    engine = SqliteEngine(tmp_path / "store.db", time.time, os.urandom)
    assert await engine.get("global", "a") == b"1"
    await engine.close()


async def test_without_permission_to_create_it_the_store_must_exist(
    open_sqlite: OpenSqlite, tmp_path: Path
) -> None:
    for prepare in (lambda: None, (tmp_path / "store.db").touch):
        prepare()
        with pytest.raises(EngineUnavailable):
            SqliteEngine(tmp_path / "store.db", time.time, os.urandom, may_create=False)
    assert [file.name for file in tmp_path.iterdir()] == ["store.db"]
    (tmp_path / "store.db-lock").touch()
    with pytest.raises(EngineUnavailable, match="the store in it was deleted"):
        SqliteEngine(tmp_path / "store.db", time.time, os.urandom, may_create=False)
    await open_sqlite().commit("global", [Write("a", b"1")], NEVER_WRITTEN)
    engine = SqliteEngine(tmp_path / "store.db", time.time, os.urandom, may_create=False)
    assert await engine.get("global", "a") == b"1"
    await engine.close()


async def test_the_event_loop_runs_while_the_rows_of_a_commit_to_many_partitions_are_made(
    open_sqlite: OpenSqlite,
) -> None:
    engine, made = open_sqlite(), Work()
    writes = Noted([Write(f"key/{number}", b"1") for number in range(90)], made)
    async with made.watched():
        await engine.commit_each({f"usage/{number}": writes for number in range(10)})
    assert made.noted >= 900
    assert made.most <= 200
    assert len(await engine.scan("usage/9", "")) == 90
