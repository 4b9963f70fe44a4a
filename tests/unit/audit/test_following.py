"""The end of a journal of any length, of both its files, and what follows across rotations."""

import json
import os
import threading
import time
from pathlib import Path

import pytest

from broker.audit.event import Event, UserIdentity, begin_event
from broker.audit.following import tail_lines
from broker.audit.journal import Journal

NOW = 1_800_000_000.0


def event(name: str, *, at: float = NOW, is_proven: bool = True) -> Event:
    made = begin_event(at, "r", "192.0.2.1", "agent", os.urandom(16))
    made.event_source, made.event_name = "iam.amazonaws.com", name
    if is_proven:
        made.user_identity = UserIdentity(type="Root", arn="arn:aws:iam::111111111111:root")
    return made


@pytest.mark.parametrize("count", [0, 1, 7, 100, 1000])
@pytest.mark.parametrize("width", [10, 300, 70_000])
def test_the_last_lines_are_found_however_long_they_are(tmp_path: Path, count: int, width: int) -> None:
    lines = [f"{number:04d}".ljust(width, ".") for number in range(100 if width < 1000 else 20)]
    journal = tmp_path / "audit.jsonl"
    journal.write_text("".join(f"{line}\n" for line in lines))
    assert list(tail_lines(journal, count, follow=False)) == (lines[-count:] if count else [])


def test_what_a_worker_writes_late_into_a_renamed_file_is_followed_too(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    late, quick = Journal(path), Journal(path)
    late.write(event("First"))
    lines = tail_lines(path, 1, follow=True)
    seen = names([next(lines)])

    def write() -> None:
        path.rename(tmp_path / "audit.jsonl.1")
        quick._proven.file._until_check = 0  # it is the one that looks first
        quick.write(event("New"))
        time.sleep(0.4)
        late.write(event("Late"))

    writer = threading.Thread(target=write)
    writer.start()
    seen += names([next(lines) for _ in range(2)])
    writer.join()
    assert seen == ["First", "Late", "New"]


def test_an_empty_journal_has_no_last_lines(tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl").touch()
    assert list(tail_lines(tmp_path / "audit.jsonl", 10, follow=False)) == []


@pytest.mark.parametrize("pause", [0.0, 0.02])
def test_what_is_written_is_followed_across_rotations(tmp_path: Path, pause: float) -> None:
    """However many there are between two looks of the reader."""
    path = tmp_path / "audit.jsonl"
    wanted = [f"Event{number:03d}" for number in range(200)]
    journal = Journal(path, maximum_size=4096, keep=200)
    journal.write(event("First"))
    lines = tail_lines(path, 1, follow=True)
    assert names([next(lines)]) == ["First"]

    def write() -> None:
        for name in wanted:
            journal.write(event(name))
            time.sleep(pause)
        journal.close()

    writer = threading.Thread(target=write)
    writer.start()
    seen = names([next(lines) for _ in wanted])
    writer.join()
    assert seen == wanted
    assert len(list(tmp_path.glob("audit.jsonl.*"))) >= 2


def names(lines: list[str]) -> list[str]:
    return [json.loads(line)["eventName"] for line in lines]


def test_records_of_both_files_are_shown_in_the_order_of_their_times(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "audit.jsonl")
    for number in range(10):
        journal.write(event(f"E{number}", at=NOW + number, is_proven=number % 3 == 0))
    journal.close()
    path = tmp_path / "audit.jsonl"
    assert names(list(tail_lines(path, 20, follow=False))) == [f"E{n}" for n in range(10)]
    assert names(list(tail_lines(path, 4, follow=False))) == ["E6", "E7", "E8", "E9"]
    assert list(tail_lines(path, 0, follow=False)) == []


def test_a_record_that_was_written_late_keeps_its_place_in_its_file(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "audit.jsonl")
    journal.write(event("Quick", at=NOW + 5))
    journal.write(event("Slow", at=NOW))
    journal.write(event("Stranger", at=NOW + 6, is_proven=False))
    journal.close()
    assert names(list(tail_lines(tmp_path / "audit.jsonl", 20, follow=False))) == [
        "Quick",
        "Slow",
        "Stranger",
    ]


def test_both_files_are_followed_also_one_that_is_begun_later(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    journal = Journal(path, maximum_size=4096, keep=50, keep_unauthenticated=50)
    journal.write(event("First"))
    wanted = {f"{kind}{number}" for kind in ("Proven", "Stranger") for number in range(60)}

    def write() -> None:
        for number in range(60):
            journal.write(event(f"Proven{number}"))
            journal.write(event(f"Stranger{number}", is_proven=False))
            time.sleep(0.02)

    writer = threading.Thread(target=write)
    lines = tail_lines(path, 1, follow=True)
    assert names([next(lines)]) == ["First"]
    writer.start()
    seen = names([next(lines) for _ in wanted])
    writer.join()
    assert set(seen) == wanted
    for kind in ("Proven", "Stranger"):
        assert [name for name in seen if name.startswith(kind)] == [f"{kind}{n}" for n in range(60)]


def test_a_file_that_was_rotated_before_it_was_first_seen_is_read_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    journal = Journal(path, maximum_size=4096, keep=50, keep_unauthenticated=50)
    journal.write(event("First"))
    beside = path.with_name("audit.jsonl.unauthenticated.1")
    beside.write_text('{"eventName":"Old"}\n')
    lines = tail_lines(path, 1, follow=True)
    assert names([next(lines)]) == ["First"]
    beside.rename(path.with_name("audit.jsonl.unauthenticated.9"))
    for number in range(40):
        journal.write(event(f"Stranger{number}", is_proven=False))
    assert beside.exists()
    assert names([next(lines) for _ in range(40)]) == [f"Stranger{n}" for n in range(40)]
    journal.close()
