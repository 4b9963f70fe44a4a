"""`broker audit`: what it finds, what it shows of a record, and nothing that speaks to a terminal."""

import json
import re
import sys
from pathlib import Path

import pytest

from broker.audit.event import Event, UserIdentity, begin_event
from broker.audit.journal import Journal
from broker.commands.audit import shown_record

from .conftest import Run


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
def test_a_line_that_is_no_record_is_shown_unchanged(line: str) -> None:
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


def test_a_missing_journal_is_an_error(run: Run) -> None:
    ended = run("audit", "tail")
    assert (ended.status, "there is no journal at" in ended.said) == (3, True)


@pytest.mark.parametrize("count", ["-3", "all", "1.5"])
def test_an_invalid_number_of_records_is_refused(
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


NOW = 1_767_225_600


def event(number: int, name: str, operation: str = "CreateUser", error: str = "") -> Event:
    made = begin_event(NOW + number, f"request-{number}", "192.0.2.1", "agent", number.to_bytes(16, "big"))
    arn = f"arn:aws:iam::111111111111:user/{name}"
    made.user_identity = UserIdentity("IAMUser", arn=arn, account_id="111111111111", user_name=name)
    made.recipient_account_id = "111111111111"
    made.event_source, made.event_name, made.error_code = "iam.amazonaws.com", operation, error
    made.request_parameters = {"userName": f"new-{number}"}
    made.read_only = operation.startswith("List")
    return made


@pytest.fixture
def journal(tmp_path: Path) -> None:
    """Where the commands of these tests look for the journal."""
    made = tmp_path / "audit.jsonl"
    journal = Journal(made)
    for number in range(6):
        error = "AccessDenied" if number == 4 else "NoSuchEntity" if number == 5 else ""
        journal.write(
            event(number, ("alice", "bob")[number % 2], ("CreateUser", "ListUsers")[number // 3], error)
        )
    journal.close()


def found(run: Run, *options: str) -> list[int]:
    """The numbers of the records that `broker audit find` prints, in its order."""
    ended = run("audit", "find", *options)
    assert (ended.status, ended.said) == (0, "")
    return [int(json.loads(line)["requestID"].removeprefix("request-")) for line in ended.shown.splitlines()]


SEARCHES: dict[str, tuple[list[str], list[int]]] = {
    "everything": ([], [5, 4, 3, 2, 1, 0]),
    "who": (["--principal", "bob"], [5, 3, 1]),
    "an ARN": (["--principal", "arn:aws:iam::111111111111:user/alice"], [4, 2, 0]),
    "what": (["--event", "iam:ListUsers"], [5, 4, 3]),
    "of another service": (["--event", "sts:ListUsers"], []),
    "of a service": (["--source", "iam", "-n", "2"], [5, 4]),
    "on what": (["--resource", "new-2"], [2]),
    "denied": (["--outcome", "denied"], [4]),
    "failed": (["--outcome", "failed"], [5]),
    "an error": (["--error", "NoSuchEntity"], [5]),
    "both": (["--principal", "alice", "--outcome", "succeeded"], [2, 0]),
    "a request": (["--id", "request-3"], [3]),
    "an event id": (["--id", "00000000-0000-4000-8000-000000000002"], [2]),
    "since": (["--since", "2026-01-01T00:00:04Z"], [5, 4]),
    "until, without a zone": (["--until", "2026-01-01T00:00:01"], [1, 0]),
    "long ago": (["--until", "100d"], [5, 4, 3, 2, 1, 0]),
    "just now": (["--since", "1h"], []),
    "reading": (["--read-only"], [5, 4, 3]),
    "writing": (["--writing"], [2, 1, 0]),
    "from where": (["--address", "192.0.2.2"], []),
    "an account": (["--account", "222222222222"], []),
    "none": (["-n", "0"], []),
}


@pytest.mark.usefixtures("journal")
@pytest.mark.parametrize("search", SEARCHES)
def test_records_are_found_by_each_filter_the_newest_first(run: Run, search: str) -> None:
    options, expected = SEARCHES[search]
    assert found(run, *options) == expected


@pytest.mark.usefixtures("journal")
def test_the_last_records_are_chosen_by_the_same_filters(run: Run) -> None:
    ended = run("audit", "tail", "--json", "-n", "2", "--principal", "alice")
    assert [json.loads(line)["requestID"] for line in ended.shown.splitlines()] == ["request-2", "request-4"]


@pytest.mark.usefixtures("journal")
@pytest.mark.parametrize("columns", ["160", "80"])
def test_on_a_terminal_a_table_is_shown(run: Run, monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")  # a dumb terminal has eighty columns, whatever it says
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", columns)
    shown = run("audit", "find", "-n", "2").shown.splitlines()
    heading, first, second = (re.split("  +", line.strip()) for line in shown)
    assert heading[:6] == ["TIME", "WHO", "WHAT", "RESOURCE", "FROM", "OUTCOME"]
    assert first[1:6] == ["bob", "iam:ListUsers", "new-5", "192.0.2.1", "NoSuchEntity"]
    assert second[1:6] == ["alice", "iam:ListUsers", "new-4", "192.0.2.1", "AccessDenied"]
    assert [row[6:] != [] for row in (heading, first)] == [columns == "160"] * 2


@pytest.mark.usefixtures("journal")
def test_on_a_terminal_more_than_fifty_are_named_and_none_too(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert "no record matches" in run("audit", "find", "--principal", "carol").said
    journal = Journal(tmp_path / "audit.jsonl")
    for number in range(60):
        journal.write(event(number, "carol"))
    journal.close()
    ended = run("audit", "find", "--principal", "carol")
    assert (len(ended.shown.splitlines()), "the newest 50" in ended.said) == (51, True)


@pytest.mark.parametrize(
    "options",
    [
        ["--since", "yesterday"],
        ["--until", "5x"],
        ["--principal", ""],
        ["--outcome", "bad"],
        ["--read-only", "--writing"],
    ],
)
def test_a_filter_that_cannot_be_is_wrong_use(run: Run, options: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run("audit", "find", *options)
    assert ended.value.code == 2


def test_where_there_is_no_journal_nothing_is_found_and_that_is_said(run: Run) -> None:
    ended = run("audit", "find")
    assert (ended.status, "there is no journal at" in ended.said) == (3, True)
