"""0 done, 1 refused, 2 wrong use, 3 no answer: each command, in each way that it can end."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from broker.__main__ import main
from broker.commands.parsers import COMMANDS
from tests.unit.commands.conftest import Run

A = "111111111111"
ROLE = f"arn:aws:iam::{A}:role/app"
DOCUMENT = '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}'
ASKED = ("--action", "s3:GetObject")

DONE = {
    "apply": ("d.yaml",),
    "root-key": (A, "--create-account"),
    "keys": ("list",),
    "config": ("check",),
    "policy": ("simulate", "--policy", "allow.json", *ASKED),
    "sessions": (),
    "revoke": ("list",),
    "metadata": ("certificate",),
    "audit": ("tail",),
    "completion": ("bash",),
    "backup": ("store.backup",),
}
REFUSED = {
    "apply": ("refused.yaml",),
    "root-key": (A,),
    "root-password": (A, "--remove"),
    "keys": ("drop", "none"),
    "policy": ("simulate", "--policy", "deny.json", *ASKED),
    "federation": ("check", "token", "--role", ROLE),
    "authorize": ("explain", "GET", "https://shop.example.com/"),
    "sessions": ("--account", "999999999999"),
    "revoke": ("role", ROLE),
    "token": ("inspect", "AAAA"),
    "metadata": ("forget", "none"),
}
# A file that an option names, or a value that cannot be; an unknown option is argparse's, for all commands.
WRONG_USE = {
    "apply": ("none.yaml",),
    "root-key": ("1",),
    "root-password": ("1", "--remove"),
    "policy": ("simulate", "--policy", "none.json", *ASKED),
    "federation": ("check", "none", "--role", ROLE),
    "authorize": ("explain", "GET", "/orders"),
    "metadata": ("container", ROLE, "--hours", "-1"),
}
# The store is out of reach.
NO_ANSWER = {
    "apply": ("d.yaml",),
    "root-key": (A,),
    "root-password": (A, "--remove"),
    "keys": ("list",),
    "config": ("check",),
    "policy": ("simulate", "--principal", f"arn:aws:iam::{A}:root", *ASKED),
    "federation": ("check", "token", "--role", ROLE),
    "sessions": (),
    "revoke": ("list",),
    "token": ("inspect", "AAAA"),
    "metadata": ("certificate",),
}


@pytest.fixture
def files(tmp_path: Path) -> None:
    for name, text in {
        "d.yaml": f'accounts: {{"{A}": {{users: {{alice: {{}}}}}}}}\n',
        "refused.yaml": f'accounts: {{"{A}": {{users: {{alice: {{wings: 2}}}}}}}}\n',
        "allow.json": DOCUMENT,
        "deny.json": DOCUMENT.replace("Allow", "Deny"),
        "token": "no token",
        "audit.jsonl": "",
    }.items():
        (tmp_path / name).write_text(text)


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("name", DONE)
def test_what_is_done_ends_with_0(run: Run, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for listener in ("API", "METADATA", "OPERATIONS"):
        monkeypatch.setenv(f"BROKER_LISTEN_{listener}", "127.0.0.1:0")
    ended = run(name, *DONE[name])
    assert ended.status == 0, ended.said


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_ends_with_1_and_says_why(run: Run, name: str) -> None:
    ended = run(name, *REFUSED[name])
    assert ended.status == 1, ended
    assert ended.said or ended.shown


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("name", WRONG_USE)
def test_wrong_use_ends_with_2_and_says_what_is_wrong(run: Run, name: str) -> None:
    ended = run(name, *WRONG_USE[name])
    assert (ended.status, ended.shown) == (2, ""), ended
    assert ended.said.startswith(f"broker {name}")


@pytest.mark.parametrize("name", COMMANDS)
def test_an_unknown_option_is_wrong_use_of_every_command(name: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--wings"])
    assert ended.value.code == 2


# Clients of a broker that runs elsewhere, and what reads nothing.
WITHOUT_SETTINGS = {"policy", "whoami", "login", "env", "assume-role", "completion", "import", "agent"}


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in WITHOUT_SETTINGS])
def test_a_setting_that_cannot_be_is_wrong_use_of_every_command(
    run: Run, name: str, monkeypatch: pytest.MonkeyPatch, files: None
) -> None:
    monkeypatch.setenv("BROKER_LISTEN_WINGS", "2")
    arguments = {
        **DONE,
        "root-password": (A, "--remove"),
        "federation": REFUSED["federation"],
        "authorize": REFUSED["authorize"],
        "token": ("inspect", "AAAA"),
        "backup": ("store.backup",),
        "restore": ("store.backup",),
    }
    ended = run(name, *arguments.get(name, ()))
    assert ended.status == 2, ended
    assert "BROKER_LISTEN_WINGS is no setting" in ended.said


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("name", NO_ANSWER)
def test_where_the_store_is_away_every_command_ends_with_3(
    run: Run, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKER_STORE_URL", "redis://127.0.0.1:1/0")
    for listener in ("API", "METADATA", "OPERATIONS"):
        monkeypatch.setenv(f"BROKER_LISTEN_{listener}", "127.0.0.1:0")
    ended = run(name, *NO_ANSWER[name])
    assert ended.status == 3, ended
    assert "127.0.0.1:1" in ended.said and "Traceback" not in ended.said


def test_a_journal_that_is_not_there_is_no_answer(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKER_AUDIT_PATH", "none.jsonl")
    assert run("audit", "tail").status == 3


def test_a_fault_of_ours_does_not_look_like_a_refusal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr("broker.commands.keys.show_rings", broken)
    ended = run("keys", "list")
    assert ended.status == 3 and "RuntimeError: broken" in ended.said


@pytest.mark.parametrize(("end", "status"), [("| head -0", 0), ("> /dev/full", 3)])
def test_output_that_cannot_be_written_ends_with_3_and_a_reader_that_has_ended_with_0(
    end: str, status: int
) -> None:
    line = f'set -o pipefail; "{sys.executable}" -m broker config print {end}'
    ended = subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, cwd=Path(__file__).parents[3]
    )
    assert ended.returncode == status, ended.stderr
    assert "Traceback" not in ended.stderr and "Exception" not in ended.stderr


def test_the_statuses_are_documented_once_and_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    guide = (Path(__file__).parents[3] / "deploy" / "README.md").read_text("utf-8")
    assert re.findall(r"^  (\d)  ", shown, re.MULTILINE) == ["0", "1", "2", "3"]
    assert re.findall(r"^\| (\d) \| ", guide, re.MULTILINE) == ["0", "1", "2", "3"]
