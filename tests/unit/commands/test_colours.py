"""Colours in a terminal that has them, for a reader who wants them; in a pipe never a byte of them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
RED, GREEN, YELLOW = "\x1b[31m", "\x1b[32m", "\x1b[33m"
POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"},
        {"Effect": "Deny", "Action": "s3:PutObject", "Resource": "*"},
    ],
}
ASKED = ("--policy", "p.json", *(f"--action=s3:{name}" for name in ("GetObject", "PutObject", "ListBucket")))
RECORD = {
    "eventTime": "t",
    "eventSource": "s",
    "eventName": "n",
    "userIdentity": {},
    "errorCode": "AccessDenied",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "p.json").write_text(json.dumps(POLICY))
    (tmp_path / "audit.jsonl").write_text(json.dumps(RECORD) + "\n")
    (tmp_path / "d.yaml").write_text('accounts: {"111111111111": {name: a, users: {alice: {}}}}\n')
    shown(tmp_path, ("root-key", "222222222222", "--create-account"), in_terminal=False)  # a store to look at
    return tmp_path


def shown(folder: Path, arguments: tuple[str, ...], *, in_terminal: bool, **environment: str) -> str:
    """What a command writes, both streams; `in_terminal`, into a pseudo-terminal of 200 columns."""
    reader, writer = os.openpty() if in_terminal else os.pipe()
    plain = {name: text for name, text in os.environ.items() if not name.startswith(("BROKER_", "NO_COLOR"))}
    settings = {
        "BROKER_STORE_URL": f"sqlite:{folder}/broker.db",
        "BROKER_KEYS_MASTER_KEY_FILE": f"{folder}/master.key",
        "BROKER_AUDIT_PATH": f"{folder}/audit.jsonl",
        "PYTHONPATH": str(ROOT),
        "TERM": "xterm-256color",
        "COLUMNS": "200",
    }
    subprocess.run(
        [sys.executable, "-m", "broker", *arguments],
        cwd=folder,
        env={**plain, **settings, **environment},
        stdout=writer,
        stderr=writer,
        timeout=30,
    )
    text = os.read(reader, 1 << 16).decode()
    os.close(writer)
    os.close(reader)
    return text


COMMANDS = {
    "simulate": (("policy", "simulate", *ASKED), {GREEN, YELLOW, RED}),
    "explain": (("policy", "explain", *ASKED), {f"\x1b[1;{code}m" for code in (31, 32, 33)}),
    "tail": (("audit", "tail"), {f"{RED}AccessDenied"}),
    "apply": (("apply", "d.yaml", "--dry-run"), {GREEN}),
    "refused": (("apply", "none.yaml"), {f"{RED}broker apply:\x1b[0m "}),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_output_is_coloured_in_a_terminal_and_nowhere_else(folder: Path, name: str) -> None:
    arguments, colours = COMMANDS[name]
    coloured = shown(folder, arguments, in_terminal=True)
    assert {colour for colour in colours if colour in coloured} == colours
    assert "\x1b" not in shown(folder, arguments, in_terminal=False)


@pytest.mark.parametrize("setting", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=["NO_COLOR", "dumb"])
@pytest.mark.parametrize("name", ["simulate", "tail", "refused"])
def test_no_color_turns_colours_off(folder: Path, name: str, setting: dict[str, str]) -> None:
    assert "\x1b" not in shown(folder, COMMANDS[name][0], in_terminal=True, **setting)
