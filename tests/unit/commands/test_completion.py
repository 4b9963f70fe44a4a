"""`broker completion`: what the scripts offer is what the parsers know."""

import shutil
import subprocess

import pytest

from broker.commands.completion import completed
from broker.commands.parsers import COMMANDS, whole_parser

from .conftest import Run

SYNTAX = {"bash": ["bash", "-n"], "zsh": ["zsh", "-n"], "fish": ["fish", "--no-execute"]}


def test_the_table_has_every_command_with_its_options() -> None:
    table = {one.path: one for one in completed(whole_parser())}
    assert table[()].actions.keys() == COMMANDS.keys()
    assert {"check", "simulate", "explain"} <= table["policy",].actions.keys()
    assert "--kind" in table["policy", "check"].options
    assert "--dry-run" in table["apply",].options


@pytest.mark.parametrize("shell", SYNTAX)
def test_a_script_names_every_command(shell: str, run: Run) -> None:
    ended = run("completion", shell)
    assert ended.status == 0
    assert all(name in ended.shown for name in COMMANDS)
    if shutil.which(shell):
        checked = subprocess.run(SYNTAX[shell], input=ended.shown, text=True, capture_output=True)
        assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("broker po", ["policy"]),
        ("broker policy ex", ["explain"]),
        ("broker policy check --ki", ["--kind"]),
        ("broker apply --dr", ["--dry-run"]),
        ("broker nothing ", []),
    ],
)
def test_bash_completes(typed: str, offered: list[str], run: Run) -> None:
    script = run("completion", "bash").shown
    words = typed.split(" ")
    script += f"COMP_WORDS=({' '.join(repr(word) for word in words)}); COMP_CWORD={len(words) - 1}\n"
    script += '_broker; printf "%s\\n" "${COMPREPLY[@]}"\n'
    ended = subprocess.run(["bash", "--norc"], input=script, text=True, capture_output=True)
    assert ended.stdout.split() == offered, ended.stderr
