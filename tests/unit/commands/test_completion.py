"""`broker completion`: what the scripts offer is what the parsers know."""

import os
import pty
import select
import shutil
import subprocess
from pathlib import Path

import pytest

from broker.commands.completion import completed
from broker.commands.parsers import COMMANDS, whole_parser

from .conftest import Run

SYNTAX = {"bash": ["bash", "-n"], "zsh": ["zsh", "-n"], "fish": ["fish", "--no-execute"]}


def test_the_table_has_every_command_with_its_options() -> None:
    table = {one.path: one for one in completed(whole_parser())}
    assert table[()].actions.keys() == {*COMMANDS, "help"}
    assert {"check", "simulate", "explain"} <= table["policy",].actions.keys()
    assert "--kind" in table["policy", "check"].options
    assert "--dry-run" in table["apply",].options


@pytest.fixture(params=SYNTAX)
def shell(request: pytest.FixtureRequest) -> str:
    if shutil.which(request.param) is None:
        message = f"This test needs {request.param}: apt-get install {request.param}."
        if os.environ.get("CI"):
            pytest.fail(message, pytrace=False)
        pytest.skip(message)
    return str(request.param)


def test_a_script_names_every_command_and_has_no_error(shell: str, run: Run) -> None:
    ended = run("completion", shell)
    assert ended.status == 0
    assert all(name in ended.shown for name in COMMANDS)
    checked = subprocess.run(SYNTAX[shell], input=ended.shown, text=True, capture_output=True)
    assert (checked.returncode, checked.stderr) == (0, "")


OFFERED = {
    "broker po": {"policy"},
    "broker policy ex": {"explain"},
    "broker policy check --ki": {"--kind"},
    "broker apply --dr": {"--dry-run"},
    "broker keys ": {"list", "rotate", "drop", "master"},
    "broker hel": {"help"},
    "broker help audit t": {"tail"},
    "broker nothing ": set(),
}


def test_a_shell_offers_what_may_follow(shell: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()  # where there are no files to offer
    complete = {"bash": completed_by_bash, "zsh": completed_by_zsh, "fish": completed_by_fish}[shell]
    found = complete(run("completion", shell).shown, tmp_path)
    # Options are offered beside actions by some, and by others once a hyphen is typed.
    for typed, offered in OFFERED.items():
        is_option = any(one.startswith("-") for one in offered)
        assert {one for one in found[typed] if is_option or not one.startswith("-")} == offered, typed


def completed_by_bash(script: str, folder: Path) -> dict[str, set[str]]:
    found = {}
    for typed in OFFERED:
        words = typed.split(" ")
        asked = f"COMP_WORDS=({' '.join(repr(word) for word in words)}); COMP_CWORD={len(words) - 1}\n"
        asked += '_broker; printf "%s\\n" "${COMPREPLY[@]}"\n'
        ended = subprocess.run(["bash", "--norc"], input=script + asked, text=True, capture_output=True)
        assert ended.stderr == ""
        found[typed] = set(ended.stdout.split())
    return found


def completed_by_fish(script: str, folder: Path) -> dict[str, set[str]]:
    """By fish's own `complete -C`, which answers what Tab would offer: a word and its sentence a line."""
    (folder / "broker.fish").write_text(script)
    asked = [f"source {folder}/broker.fish"]
    asked += [f"echo '== {typed}'; complete -C '{typed}'" for typed in OFFERED]
    ended = subprocess.run(
        ["fish", "--no-config", "-c", "\n".join(asked)],
        env={"HOME": str(folder), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
        cwd=folder / "empty",
        text=True,
        capture_output=True,
    )
    assert ended.stderr == ""
    return parted(ended.stdout)


def parted(text: str) -> dict[str, set[str]]:
    """What stands below each line that begins with `== `: the first word of each line."""
    parts = [part.splitlines() for part in text.split("== ")[1:]]
    return {lines[0]: {line.split("\t")[0] for line in lines[1:] if line} for lines in parts}


# zsh completes in an interactive shell alone. `compadd`, to which it hands what it offers, writes that down.
ZSH = """
setopt no_beep; PS1=''
fpath=({folder} $fpath); autoload -Uz compinit; compinit -u -d {folder}/dump
compadd() {{
    local -a offered
    builtin compadd -O offered "$@"
    print -rl -- $offered >> {folder}/offered
    builtin compadd "$@"
}}
typed=({typed})
# The next line to complete stands there, as if it were typed; after the last one the shell ends.
follow() {{
    (( $#typed )) || exit 0
    BUFFER=$typed[1]; CURSOR=$#BUFFER; shift typed
    print -r -- "== $BUFFER" >> {folder}/offered
}}
zle -N follow; bindkey '^T' follow
"""


def completed_by_zsh(script: str, folder: Path) -> dict[str, set[str]]:
    (folder / "_broker").write_text(script)
    (folder / ".zshrc").write_text(
        ZSH.format(folder=folder, typed=" ".join(f"'{typed}'" for typed in OFFERED))
    )
    environment = {"HOME": str(folder), "ZDOTDIR": str(folder), "PATH": os.environ["PATH"], "TERM": "dumb"}
    main, terminal = pty.openpty()
    with subprocess.Popen(
        ["zsh", "-i"],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env=environment,
        cwd=folder / "empty",
        start_new_session=True,
    ) as running:
        os.close(terminal)
        os.write(main, b"\x14\t" * len(OFFERED) + b"\x14")
        while select.select([main], [], [], 20)[0]:
            try:
                os.read(main, 65536)
            except OSError:  # the shell has ended
                break
        running.kill()
    os.close(main)
    return parted((folder / "offered").read_text())
