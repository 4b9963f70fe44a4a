"""Records of one turn of the event loop are one write, and every promise for a single record still holds."""

import asyncio
import json
import multiprocessing
import os
import select
from pathlib import Path

import msgspec
import pytest

from broker.audit.event import Event, UserIdentity, begin_event
from broker.audit.journal import Journal, JournalUnavailable, Sync

DEVICE = Path("/dev/full")


def event(number: int, error_code: str = "") -> Event:
    made = begin_event(1_767_225_600.9, f"request-{number}", "10.0.0.1", "aws-cli/2", bytes(16))
    made.user_identity = UserIdentity("Root", account_id="111111111111")
    made.error_code = error_code
    return made


def names(folder: Path) -> list[str]:
    """The ids of all requests on record, file by file."""
    files = sorted(folder.glob("audit.jsonl*"))
    return [json.loads(line)["requestID"] for file in files for line in file.read_text().splitlines()]


def requests(*numbers: int) -> list[str]:
    return [f"request-{number}" for number in numbers]


class Writes:
    """Counts `os.write`, and lets it fail as long as `error` is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sizes: list[int] = []
        self.error: OSError | None = None
        self._write = os.write
        monkeypatch.setattr(os, "write", self.write)

    def write(self, descriptor: int, data: bytes) -> int:
        if self.error is not None:
            raise self.error
        self.sizes.append(len(data))
        return self._write(descriptor, data)


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> Writes:
    return Writes(monkeypatch)


async def test_records_of_one_turn_are_one_write_and_each_is_in_the_file_when_record_returns(
    tmp_path: Path, writes: Writes
) -> None:
    journal = Journal(tmp_path / "audit.jsonl")

    async def record(number: int) -> None:
        await journal.record(event(number))
        assert f"request-{number}" in names(tmp_path)

    await asyncio.gather(*(record(number) for number in range(10)))
    assert len(writes.sizes) == 1
    await record(10)
    assert len(writes.sizes) == 2
    assert names(tmp_path) == requests(*range(11))
    journal.close()


async def test_a_write_that_fails_fails_for_every_record_in_it_and_all_are_written_before_the_next_one(
    tmp_path: Path, writes: Writes
) -> None:
    journal = Journal(tmp_path / "audit.jsonl")
    writes.error = OSError(28, "No space left on device")
    outcomes = await asyncio.gather(
        *(journal.record(event(number)) for number in range(3)), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [JournalUnavailable] * 3
    assert all("No space left on device" in str(outcome) for outcome in outcomes)
    with pytest.raises(JournalUnavailable, match="No space left"):
        journal.catch_up()
    assert names(tmp_path) == []
    writes.error = None
    await journal.record(event(3))
    assert names(tmp_path) == requests(0, 1, 2, 3)
    journal.close()


async def test_the_record_of_a_request_that_is_cancelled_is_written_with_the_others(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "audit.jsonl")
    tasks = [asyncio.create_task(journal.record(event(number))) for number in range(3)]
    for task in tasks:
        task.add_done_callback(lambda _: None)
    asyncio.get_running_loop().call_soon(tasks[1].cancel)
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None), asyncio.CancelledError, type(None)]
    assert names(tmp_path) == requests(0, 1, 2)
    journal.close()


async def test_what_a_turn_has_not_written_yet_is_written_when_the_journal_is_closed(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "audit.jsonl")
    recording = asyncio.create_task(journal.record(event(1)))
    asyncio.get_running_loop().call_soon(journal.close)
    await recording
    assert names(tmp_path) == requests(1)


def test_a_line_that_a_killed_process_did_not_finish_damages_no_later_record(tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl").write_bytes(b'{"requestID":"whole"}\n{"requestID":"unfin')
    for number in range(2):
        journal = Journal(tmp_path / "audit.jsonl")
        journal.write(event(number))
        journal.close()
    whole, unfinished, *later = (tmp_path / "audit.jsonl").read_text().splitlines()
    assert (whole, unfinished) == ('{"requestID":"whole"}', '{"requestID":"unfin')
    assert [json.loads(line)["requestID"] for line in later] == requests(0, 1)


async def test_many_records_at_once_keep_the_size_of_the_files_and_none_is_lost(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "audit.jsonl", maximum_size=4096, keep=1000)
    await asyncio.gather(*(journal.record(event(number)) for number in range(500)))
    journal.close()
    assert sorted(names(tmp_path)) == sorted(requests(*range(500)))
    assert max(file.stat().st_size for file in tmp_path.iterdir()) <= 4096


async def test_records_for_a_pipe_are_never_mixed_with_those_of_another_writer(
    tmp_path: Path, writes: Writes
) -> None:
    os.mkfifo(tmp_path / "audit")
    reader = os.open(tmp_path / "audit", os.O_RDONLY | os.O_NONBLOCK)
    journal = Journal(tmp_path / "audit")
    await asyncio.gather(*(journal.record(event(number)) for number in range(50)))
    journal.close()
    written = b"".join(iter(lambda: os.read(reader, 1 << 16), b"")).splitlines()
    os.close(reader)
    assert [json.loads(line)["requestID"] for line in written] == requests(*range(50))
    assert 1 < len(writes.sizes) < 50
    assert max(writes.sizes) <= select.PIPE_BUF


async def test_of_records_of_one_turn_that_cannot_be_written_a_limited_number_of_refusals_waits() -> None:
    journal = Journal(DEVICE)
    both = [event(number, "AccessDenied") for number in range(1100)] + [event(2000 + n) for n in range(10)]
    outcomes = await asyncio.gather(*(journal.record(one) for one in both), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {JournalUnavailable}
    waiting = [msgspec.json.decode(line) for line in journal._proven.waiting]
    assert len(waiting) == 1010
    assert [one["requestID"] for one in waiting if "errorCode" not in one] == requests(*range(2000, 2010))


async def test_records_of_one_turn_share_one_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fdatasync, synced = os.fdatasync, []

    def sync(descriptor: int) -> None:
        fdatasync(descriptor)
        synced.append(len(names(tmp_path)))

    monkeypatch.setattr(os, "fdatasync", sync)
    journal = Journal(tmp_path / "audit.jsonl", sync=Sync.EACH)
    await asyncio.gather(*(journal.record(event(number)) for number in range(20)))
    assert synced == [20]
    journal.close()


def record_many(path: Path, worker: int) -> None:
    async def record_all() -> None:
        journal = Journal(path, maximum_size=30_000, keep=1000)
        for start in range(0, 500, 20):
            await asyncio.gather(*(journal.record(event(1000 * worker + start + n)) for n in range(20)))
        journal.close()

    asyncio.run(record_all())


def test_several_processes_that_write_many_records_at_once_lose_none_and_mix_none(tmp_path: Path) -> None:
    workers = [
        multiprocessing.get_context("spawn").Process(
            target=record_many, args=(tmp_path / "audit.jsonl", worker)
        )
        for worker in range(3)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    expected = requests(*(1000 * worker + number for worker in range(3) for number in range(500)))
    assert sorted(names(tmp_path)) == sorted(expected)
