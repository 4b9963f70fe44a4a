"""The journal keeps every record, whole, through rotation and several writers."""

import asyncio
import json
import multiprocessing
import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from broker.audit.event import begin_event, recordable
from broker.audit.journal import Journal, JournalUnavailable


def event(number: int):
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
    assert record["userIdentity"] == {"type": "Unknown"}
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
        asyncio.run(journal.look())
    for number in range(1, 200):
        with pytest.raises(JournalUnavailable, match="No such file or directory"):
            journal.write(event(number))
    folder.mkdir()
    journal.write(event(200))
    journal.close()
    assert [record["requestID"] for record in lines(folder)] == [f"request-{n}" for n in range(1, 201)]


def test_a_journal_that_was_moved_is_begun_anew_at_the_next_look(tmp_path: Path):
    journal = Journal(tmp_path / "audit.jsonl")
    for number in range(3):
        journal.write(event(number))
        (tmp_path / "audit.jsonl").rename(tmp_path / f"moved-{number}")
        asyncio.run(journal.look())
    journal.close()
    assert [len((tmp_path / f"moved-{n}").read_text().splitlines()) for n in range(3)] == [1, 1, 1]


def test_a_journal_that_cannot_be_written_says_so(caplog: pytest.LogCaptureFixture):
    journal = Journal(Path("/dev/full"))
    with pytest.raises(JournalUnavailable, match="No space left"):
        journal.write(event(1))
    with pytest.raises(JournalUnavailable, match="No space left"):
        journal.catch_up()
    journal.close()
    assert "request-1" in caplog.text, "what was never journalled is told to the operator"


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
def test_records_that_found_no_room_are_written_first_when_there_is_room_again(tmp_path: Path, room: int):
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


def test_a_record_that_was_torn_spoils_none_that_another_worker_writes_behind_it(tmp_path: Path):
    journal, other = Journal(tmp_path / "audit.jsonl"), Journal(tmp_path / "audit.jsonl")
    with room_for(100), pytest.raises(JournalUnavailable):
        journal.write(event(1))
    other.write(event(2))
    journal.write(event(3))
    assert [record["requestID"] for record in lines(tmp_path)] == ["request-2", "request-1", "request-3"]
    other.close()
    journal.close()


def test_a_torn_record_that_cannot_be_taken_back_is_repeated_on_a_line_of_its_own(
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


def test_refusals_that_find_no_room_are_kept_up_to_a_number_and_deeds_always():
    journal = Journal(Path("/dev/full"))
    refusal = msgspec.structs.replace(event(0), error_code="AccessDenied")
    for one in [refusal] * 1100 + [event(1)] * 10:
        with pytest.raises(JournalUnavailable):
            journal.write(one)
    assert len(journal._unwritten) == 1010


def test_text_that_is_not_utf_8_is_made_recordable():
    header = b"curl/\xff \xc3\xa9".decode("utf-8", "surrogateescape")
    assert recordable(header) == "curl/? é"


def test_an_event_that_cannot_be_encoded_stops_the_answer(tmp_path):
    journal = Journal(tmp_path / "audit.jsonl")
    with pytest.raises(JournalUnavailable):
        journal.write(begin_event(0, "request", "10.0.0.1", "\udcff", bytes(16)))
    journal.close()
