"""Old files of the journal go, and no other."""

import os
from pathlib import Path

from broker.audit.journal import Journal
from broker.audit.retention import journal_parts, remove_expired
from tests.unit.audit.test_reader import record

DAY = 86400


def journal(folder: Path, ages: dict[str, int], now: int) -> Path:
    """Files with one record each, whose last record is so many days old."""
    for name, days in ages.items():
        written = Journal(folder / name)
        written.write(record(days))
        written.close()
        os.utime(folder / name, (now - days * DAY, now - days * DAY))
    return folder / "audit.jsonl"


def names(folder: Path) -> list[str]:
    return sorted(
        one.name for one in folder.iterdir() if one.suffix != ".unauthenticated" or one.stat().st_size
    )


def test_files_go_when_their_last_record_is_old_enough(tmp_path: Path) -> None:
    path = journal(tmp_path, {"audit.jsonl": 40, "audit.jsonl.1": 29, "audit.jsonl.2": 31}, 100 * DAY)
    assert remove_expired(path, 100 * DAY, 0) == []
    assert remove_expired(path, 100 * DAY, 30) == [tmp_path / "audit.jsonl.2"]
    assert names(tmp_path) == [
        "audit.jsonl",
        "audit.jsonl.1",
    ]  # the one that is written to stays, however old


def test_what_is_not_delivered_stays(tmp_path: Path) -> None:
    path = journal(tmp_path, {"audit.jsonl": 0, "audit.jsonl.1": 50, "audit.jsonl.2": 60}, 100 * DAY)
    os.link(tmp_path / "audit.jsonl.1", tmp_path / "link")
    assert remove_expired(path, 100 * DAY, 30) == [tmp_path / "audit.jsonl.2"]
    assert [one.is_undelivered for one in journal_parts(path) if one.size] == [False, True]


def test_the_other_series_goes_by_its_own_age(tmp_path: Path) -> None:
    path = journal(tmp_path, {"audit.jsonl": 0}, 100 * DAY)
    other = tmp_path / "audit.jsonl.unauthenticated"
    journal(tmp_path, {f"{other.name}.1": 50, other.name: 50}, 100 * DAY)
    assert remove_expired(path, 100 * DAY, 30) == [other.with_name(f"{other.name}.1")]
