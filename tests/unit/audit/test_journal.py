"""The journal keeps every record, whole, through rotation and several writers."""

import json
import multiprocessing
from pathlib import Path

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
    assert record["userIdentity"] == {}
    assert record["sourceIPAddress"] == "10.0.0.1"


def test_rotation_loses_no_record_and_bounds_the_file(tmp_path):
    journal = Journal(tmp_path / "audit.jsonl", maximum_size=20_000, keep=100)
    for number in range(1000):
        journal.write(event(number))
    journal.close()
    assert {record["requestID"] for record in lines(tmp_path)} == {f"request-{n}" for n in range(1000)}
    assert all(file.stat().st_size < 60_000 for file in tmp_path.iterdir())
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


def test_a_journal_that_cannot_be_written_says_so():
    journal = Journal(Path("/dev/full"))
    with pytest.raises(JournalUnavailable, match="No space left"):
        journal.write(event(1))
    journal.close()


def test_text_that_is_not_utf_8_is_made_recordable():
    header = b"curl/\xff \xc3\xa9".decode("utf-8", "surrogateescape")
    assert recordable(header) == "curl/? é"


def test_an_event_that_cannot_be_encoded_stops_the_answer(tmp_path):
    journal = Journal(tmp_path / "audit.jsonl")
    with pytest.raises(JournalUnavailable):
        journal.write(begin_event(0, "request", "10.0.0.1", "\udcff", bytes(16)))
    journal.close()
