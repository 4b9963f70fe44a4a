"""`broker audit tail`: what it shows of a record, and nothing that speaks to a terminal."""

import json

import pytest

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
