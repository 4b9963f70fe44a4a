"""`broker audit tail`: the end of a journal of any length, what follows, and nothing that speaks to a terminal."""

import json
import os
import threading
import time
from pathlib import Path

import pytest

from broker.audit.event import Event, UserIdentity, begin_event
from broker.audit.journal import Journal
from broker.commands.audit import shown_record, tail_lines

from .conftest import Run


def event(name: str) -> Event:
    made = begin_event(1_800_000_000.0, "r", "192.0.2.1", "agent", os.urandom(16))
    made.event_source, made.event_name = "iam.amazonaws.com", name
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

    def write() -> None:
        time.sleep(0.4)
        path.rename(tmp_path / "audit.jsonl.1")
        quick._until_check = 0  # it is the one that looks first
        quick.write(event("New"))
        time.sleep(0.6)
        late.write(event("Late"))

    writer = threading.Thread(target=write)
    writer.start()
    seen = []
    for line in tail_lines(path, 1, follow=True):
        seen.append(json.loads(line)["eventName"])
        if len(seen) == 3:
            break
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

    def write() -> None:
        time.sleep(0.4)
        for name in wanted:
            journal.write(event(name))
            time.sleep(pause)
        journal.close()

    writer = threading.Thread(target=write)
    writer.start()
    seen = []
    for line in tail_lines(path, 0, follow=True):
        seen.append(json.loads(line)["eventName"])
        if seen[-1] == wanted[-1]:
            break
    writer.join()
    assert seen == wanted
    assert len(list(tmp_path.glob("audit.jsonl.*"))) >= 2


def test_a_record_is_a_line_with_its_error() -> None:
    record = {
        "eventTime": "2026-01-01T00:00:00Z",
        "eventSource": "sts.amazonaws.com",
        "eventName": "AssumeRole",
        "sourceIPAddress": "192.0.2.1",
        "userIdentity": {"arn": "arn:aws:iam::111111111111:user/a"},
        "errorCode": "AccessDenied",
        "errorMessage": "no",
    }
    line = shown_record(json.dumps(record))
    assert line.split() == [
        "2026-01-01T00:00:00Z",
        "sts:AssumeRole",
        "192.0.2.1",
        "arn:aws:iam::111111111111:user/a",
        "AccessDenied:",
        "no",
    ]


@pytest.mark.parametrize("line", ["{", "[]", "7", '{"userIdentity": 1}', ""])
def test_what_is_no_record_is_shown_as_it_is(line: str) -> None:
    assert shown_record(line) == line


def test_control_characters_of_a_client_reach_no_terminal() -> None:
    record = {
        "eventTime": "t",
        "userIdentity": {"arn": "a\x1b[2Jb\u009b"},
        "errorCode": "\x07",
        "errorMessage": "\r",
    }
    shown = shown_record(json.dumps(record))
    assert all(character.isprintable() for character in shown)


def test_a_journal_that_is_not_there_is_told(run: Run) -> None:
    ended = run("audit", "tail")
    assert (ended.status, "there is no journal at" in ended.said) == (1, True)


@pytest.mark.parametrize("count", ["-3", "all", "1.5"])
def test_a_number_of_records_that_is_none_is_refused(
    run: Run, count: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run("audit", "tail", "-n", count)
    assert ended.value.code == 2
    assert f"'{count}' is no number of records" in capsys.readouterr().err


def test_whole_records_are_json_lines(run: Run) -> None:
    run("root-key", "111111111111", "--create-account")
    (line,) = run("audit", "tail", "--json").shown.splitlines()
    assert json.loads(line)["eventName"] == "CreateRootAccessKey"
