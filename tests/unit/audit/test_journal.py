"""The journal keeps every record, whole, through rotation and several writers."""

import asyncio
import errno
import json
import multiprocessing
import os
import resource
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from broker.audit.event import Event, UserIdentity, begin_event, recordable, shortened
from broker.audit.journal import Journal, JournalUnavailable, Sync
from tests.conditions import until


def event(number: int) -> Event:
    made = unauthenticated(number)
    made.user_identity = UserIdentity("Root", account_id="111111111111")
    return made


def unauthenticated(number: int) -> Event:
    """The record of an unauthenticated caller."""
    return begin_event(1_767_225_600.9, f"request-{number}", "10.0.0.1", "aws-cli/2", bytes(16))


def lines(folder: Path) -> list[dict]:
    return [
        json.loads(line) for file in folder.glob("audit.jsonl*") for line in file.read_text().splitlines()
    ]


def test_a_record_is_on_disk_when_write_returns(tmp_path):
    journal = Journal(tmp_path / "audit.jsonl")
    journal.write(event(1))
    (record,) = lines(tmp_path)
    journal.close()
    assert record["requestID"] == "request-1"
    assert record["eventTime"] == "2026-01-01T00:00:00Z"
    assert record["userIdentity"] == {"type": "Root", "accountId": "111111111111"}
    assert (record["requestParameters"], record["responseElements"]) == (None, None)
    assert record["sourceIPAddress"] == "10.0.0.1"


def test_rotation_loses_no_record_and_bounds_the_file(tmp_path):
    journal = Journal(tmp_path / "audit.jsonl", maximum_size=20_000, keep=100)
    for number in range(1000):
        journal.write(event(number))
    journal.close()
    assert {record["requestID"] for record in lines(tmp_path)} == {f"request-{n}" for n in range(1000)}
    assert all(file.stat().st_size <= 20_000 for file in tmp_path.iterdir())
    assert len(list(tmp_path.iterdir())) > 3


def test_only_the_stated_number_of_rotated_files_is_kept(tmp_path):
    journal = Journal(tmp_path / "audit.jsonl", maximum_size=1000, keep=2)
    for number in range(1000):
        journal.write(event(number))
    journal.close()
    assert {file.name for file in tmp_path.iterdir()} == {"audit.jsonl", "audit.jsonl.1", "audit.jsonl.2"}


def write_many(path: Path, worker: int) -> None:
    journal = Journal(path, maximum_size=30_000, keep=1000)
    for number in range(500):
        journal.write(event(worker * 1000 + number))
    journal.close()


def test_several_processes_share_one_journal_and_lose_nothing(tmp_path):
    workers = [
        multiprocessing.get_context("spawn").Process(
            target=write_many, args=(tmp_path / "audit.jsonl", worker)
        )
        for worker in range(3)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert len({record["requestID"] for record in lines(tmp_path)}) == 1500


def test_where_the_folder_is_gone_no_record_goes_to_the_file_that_was_deleted(tmp_path: Path):
    folder = tmp_path / "journal"
    journal = Journal(folder / "audit.jsonl")
    journal.write(event(0))
    shutil.rmtree(folder)
    with pytest.raises(JournalUnavailable, match="No such file or directory"):
        asyncio.run(journal.reopen_if_moved())
    for number in range(1, 200):
        with pytest.raises(JournalUnavailable, match="No such file or directory"):
            journal.write(event(number))
    folder.mkdir()
    journal.write(event(200))
    journal.close()
    assert [record["requestID"] for record in lines(folder)] == [f"request-{n}" for n in range(1, 201)]


def test_a_journal_that_was_moved_is_created_again_at_the_next_check(tmp_path: Path):
    journal = Journal(tmp_path / "audit.jsonl")
    for number in range(3):
        journal.write(event(number))
        (tmp_path / "audit.jsonl").rename(tmp_path / f"moved-{number}")
        asyncio.run(journal.reopen_if_moved())
    journal.close()
    assert [len((tmp_path / f"moved-{n}").read_text().splitlines()) for n in range(3)] == [1, 1, 1]


def test_a_journal_that_cannot_be_written_raises_and_logs_the_lost_record(caplog: pytest.LogCaptureFixture):
    journal = Journal(Path("/dev/full"))
    with pytest.raises(JournalUnavailable, match="No space left"):
        journal.write(event(1))
    with pytest.raises(JournalUnavailable, match="No space left"):
        journal.catch_up()
    journal.close()
    assert "request-1" in caplog.text, "a record that was never written is in the operator's log"


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file of this process may become larger: what is beyond is not written, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("room", [0, 100], ids=["nothing", "a part"])
def test_records_that_could_not_be_written_are_written_first_when_there_is_room_again(
    tmp_path: Path, room: int
):
    journal = Journal(tmp_path / "audit.jsonl")
    journal.write(event(0))
    with room_for((tmp_path / "audit.jsonl").stat().st_size + room):
        for number in (1, 2):
            with pytest.raises(JournalUnavailable):
                journal.write(event(number))
    journal.catch_up()
    journal.write(event(3))
    journal.close()
    assert [record["requestID"] for record in lines(tmp_path)] == [f"request-{n}" for n in range(4)]


def test_a_partly_written_record_damages_none_that_another_worker_writes_after_it(tmp_path: Path):
    journal, other = Journal(tmp_path / "audit.jsonl"), Journal(tmp_path / "audit.jsonl")
    with room_for(100), pytest.raises(JournalUnavailable):
        journal.write(event(1))
    other.write(event(2))
    journal.write(event(3))
    assert [record["requestID"] for record in lines(tmp_path)] == ["request-2", "request-1", "request-3"]
    other.close()
    journal.close()


def test_a_partly_written_record_that_cannot_be_truncated_is_repeated_on_a_line_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fails(descriptor: int, size: int) -> None:
        raise PermissionError("append only")

    monkeypatch.setattr(os, "ftruncate", fails)
    journal = Journal(tmp_path / "audit.jsonl")
    with room_for(100), pytest.raises(JournalUnavailable):
        journal.write(event(1))
    journal.write(event(2))
    torn, *whole = (tmp_path / "audit.jsonl").read_text().splitlines()
    assert len(torn) == 100
    assert [json.loads(line)["requestID"] for line in whole] == ["request-1", "request-2"]
    journal.close()


def test_of_records_that_cannot_be_written_a_limited_number_of_refusals_waits_and_every_other_record():
    journal = Journal(Path("/dev/full"))
    refusal = msgspec.structs.replace(event(0), error_code="AccessDenied")
    for one in [refusal] * 1100 + [event(1)] * 10:
        with pytest.raises(JournalUnavailable):
            journal.write(one)
    assert len(journal._proven.waiting) == 1010


def test_text_that_is_not_utf_8_is_made_recordable():
    header = b"curl/\xff \xc3\xa9".decode("utf-8", "surrogateescape")
    assert recordable(header) == "curl/? é"


def test_an_event_that_cannot_be_encoded_stops_the_answer(tmp_path):
    journal = Journal(tmp_path / "audit.jsonl")
    with pytest.raises(JournalUnavailable):
        journal.write(begin_event(0, "request", "10.0.0.1", "\udcff", bytes(16)))
    journal.close()


def test_unauthenticated_callers_cannot_rotate_away_other_records(tmp_path: Path):
    journal = Journal(tmp_path / "audit.jsonl", maximum_size=4096, keep=1, keep_unauthenticated=2)
    journal.write(event(0))
    for number in range(1, 1000):
        journal.write(unauthenticated(number))
    journal.write(event(1000))
    journal.close()
    proven = [
        record["requestID"] for record in lines(tmp_path) if record["userIdentity"]["type"] != "Unknown"
    ]
    assert proven == ["request-0", "request-1000"]
    files = {file.name: file.stat().st_size for file in tmp_path.iterdir()}
    beside = "audit.jsonl.unauthenticated"
    assert files.keys() == {"audit.jsonl", beside, f"{beside}.1", f"{beside}.2"}
    assert all(size <= 4096 for size in files.values())


def test_large_parameters_of_an_unauthenticated_caller_are_left_out(tmp_path: Path):
    """Assertions are judged after they were read: their parameters are on record although nothing is proven."""
    journal = Journal(tmp_path / "audit.jsonl")
    few, many = {"roleArn": "x" * 2000}, {"policyArns": ["x" * 2000] * 10}
    for one in (unauthenticated(0), event(1)):
        for parameters in (few, many):
            one.request_parameters = parameters
            journal.write(one)
    journal.close()
    recorded = [record["requestParameters"] for record in lines(tmp_path)]
    assert sorted(map(str, recorded)) == sorted(map(str, [few, None, few, many]))


def test_a_journal_that_is_a_device_or_a_pipe_has_no_second_file(tmp_path: Path):
    os.mkfifo(tmp_path / "audit")
    reader = os.open(tmp_path / "audit", os.O_RDONLY | os.O_NONBLOCK)
    journal = Journal(tmp_path / "audit")
    journal.write(event(1))
    journal.write(unauthenticated(2))
    journal.close()
    written = os.read(reader, 8192).splitlines()
    os.close(reader)
    assert [json.loads(line)["requestID"] for line in written] == ["request-1", "request-2"]
    assert [file.name for file in tmp_path.iterdir()] == ["audit"]


def test_if_the_file_for_unauthenticated_callers_cannot_be_created_other_records_are_still_written(
    tmp_path: Path,
):
    (tmp_path / "audit.jsonl.unauthenticated").mkdir()
    journal = Journal(tmp_path / "audit.jsonl")
    with pytest.raises(JournalUnavailable, match=r"unauthenticated: Is a directory"):
        journal.write(unauthenticated(1))
    journal.catch_up()
    journal.write(event(2))
    journal.close()
    assert (tmp_path / "audit.jsonl").read_text().count("request-2") == 1


def test_a_record_that_could_not_be_written_is_written_at_the_next_check(tmp_path: Path):
    """Nothing else has to happen: no request, no probe."""
    journal = Journal(tmp_path / "audit.jsonl")
    with room_for(0):
        for one in (event(1), unauthenticated(2)):
            with pytest.raises(JournalUnavailable):
                journal.write(one)
    asyncio.run(journal.reopen_if_moved())
    assert sorted(record["requestID"] for record in lines(tmp_path)) == ["request-1", "request-2"]
    journal.close()


def test_records_before_a_commit_are_written_all_or_none_and_none_waits(tmp_path: Path):
    journal = Journal(tmp_path / "audit.jsonl")
    with room_for(500), pytest.raises(JournalUnavailable):
        journal.write_ahead([event(number) for number in range(5)])
    journal.catch_up()
    assert lines(tmp_path) == []
    journal.write_ahead([event(number) for number in range(5, 8)])
    journal.close()
    assert [record["requestID"] for record in lines(tmp_path)] == ["request-5", "request-6", "request-7"]


def test_a_text_is_shortened_to_a_kilobyte_of_whole_characters():
    assert shortened("a" * 5000) == "a" * 1024
    assert shortened("é" * 5000) == "é" * 512
    assert shortened("a" + "€" * 5000) == "a" + "€" * 341
    assert shortened("é" * 512) == "é" * 512
    long_agent = begin_event(0, "request", "10.0.0.1", "x" * 8000, bytes(16))
    assert long_agent.user_agent == "x" * 1024


class Disk:
    """What reaches the disk itself, in order: appends as they are written, syncs as they end."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.syncs = 0
        self.fails = False
        self.is_syncing = threading.Event()
        self.turns: threading.Semaphore | None = None  # where it is given, each sync takes one to end
        self._fdatasync = os.fdatasync
        monkeypatch.setattr(os, "fdatasync", self.sync)

    def sync(self, descriptor: int) -> None:
        self.is_syncing.set()
        assert self.turns is None or self.turns.acquire(timeout=30)
        if self.fails:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._fdatasync(descriptor)
        self.syncs += 1


async def test_with_each_a_record_is_on_the_disk_when_record_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    disk = Disk(monkeypatch)
    journal = Journal(tmp_path / "audit.jsonl", sync=Sync.EACH)
    await journal.record(event(1))
    assert disk.syncs == 1
    await journal.record(unauthenticated(2))
    assert disk.syncs == 2, "of its own file"
    journal.close()


async def test_records_that_are_written_while_the_disk_is_busy_share_the_next_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    disk = Disk(monkeypatch)
    disk.turns = threading.Semaphore(0)
    journal = Journal(tmp_path / "audit.jsonl", sync=Sync.EACH)
    first = asyncio.create_task(journal.record(event(0)))
    await until(disk.is_syncing.is_set)
    others = [asyncio.create_task(journal.record(event(number))) for number in range(1, 50)]
    await asyncio.sleep(0.03)
    assert not any(one.done() for one in (first, *others)), "the loop runs on meanwhile"
    disk.turns.release()
    await first
    assert not any(one.done() for one in others), "what was written during a sync is not known to be in it"
    disk.turns.release()
    await asyncio.gather(*others)
    assert disk.syncs == 2
    disk.turns = None
    journal.close()


async def test_a_sync_that_fails_stops_all_requests_until_one_succeeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    disk = Disk(monkeypatch)
    journal = Journal(tmp_path / "audit.jsonl", sync=Sync.EACH)
    disk.fails = True
    with pytest.raises(JournalUnavailable, match="Input/output error"):
        await journal.record(event(1))
    with pytest.raises(JournalUnavailable, match="Input/output error"):
        journal.catch_up()
    with pytest.raises(JournalUnavailable, match="Input/output error"):
        await journal.sync_pending()
    disk.fails = False
    await journal.sync_pending()
    journal.catch_up()
    await journal.record(event(2))
    assert [record["requestID"] for record in lines(tmp_path)] == ["request-1", "request-2"]
    journal.close()


async def test_a_rotation_loses_no_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A file that is left behind is synced first: later syncs are the new file's."""
    disk = Disk(monkeypatch)
    journal = Journal(tmp_path / "audit.jsonl", maximum_size=4096, keep=100, sync=Sync.SECOND)
    for number in range(50):
        await journal.record(event(number))
    rotated = len(list(tmp_path.glob("audit.jsonl.*")))
    assert rotated > 2
    assert disk.syncs == rotated
    await journal.sync_pending()
    await journal.sync_pending()
    assert disk.syncs == rotated + 1, "where all is on the disk there is nothing to do"
    journal.close()


async def test_without_a_setting_nothing_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    disk = Disk(monkeypatch)
    journal = Journal(tmp_path / "audit.jsonl")
    await journal.record(event(1))
    await journal.synced()
    journal.sync()
    journal.close()
    assert disk.syncs == 0


@pytest.mark.parametrize("sync", [Sync.SECOND, Sync.EACH])
def test_a_device_cannot_be_synced_and_is_refused(sync: Sync):
    with pytest.raises(OSError, match=r"audit\.sync: only a file can be synced"):
        Journal(Path("/dev/null"), sync=sync)
