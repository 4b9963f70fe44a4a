"""The table of commands: each explains itself, and none is imported before it is named."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from broker.__main__ import main
from broker.commands.completion import completed
from broker.commands.parsers import COMMANDS, GROUPS, whole_parser


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert len(capsys.readouterr().out) > 200


def test_help_lists_every_command_once_with_those_of_its_kind(capsys: pytest.CaptureFixture[str]) -> None:
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(COMMANDS)
    with pytest.raises(SystemExit):
        main(["--help"])
    lines = capsys.readouterr().out.splitlines()
    for title, names in GROUPS.items():
        begin = lines.index(f"commands {title}:") + 1
        assert [line.split()[0] for line in lines[begin : begin + len(names)]] == list(names)
        assert all(COMMANDS[name][1] in lines[begin + at] for at, name in enumerate(names))
    assert max(map(len, lines)) <= 110


PATHS = [one.path for one in completed(whole_parser()) if one.path and one.path[0] != "help"]


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_help_explains_a_command_and_each_of_its_actions_as_their_own_help_does(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    said = []
    for arguments in (["help", *path], [*path, "--help"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] and said[0].startswith(f"usage: broker {' '.join(path)} [")
    # Beside usage and options there is a sentence of what it does.
    _, _, explanation = said[0].partition("\n\n")
    assert re.match(r"[A-Z][^\n]{15,}", explanation), said[0]
    assert f"broker {' '.join(path)}" in explanation, f"an example is missing: {said[0]}"


def test_help_of_help_is_the_list_and_of_what_is_no_command_a_wrong_use(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for arguments, status in ((["help"], 0), (["help", "help"], 0), (["help", "policy", "chek"], 2)):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == status
        assert status or "commands for users" in capsys.readouterr().out


def test_help_imports_no_room() -> None:
    code = (
        "import sys\n"
        "from broker.__main__ import main\n"
        "for name in ('', 'apply', 'keys', 'policy', 'config', 'token', 'audit', 'root-key'):\n"
        "    try: main([name, '--help'] if name else ['--help'])\n"
        "    except SystemExit: pass\n"
        "heavy = {'msgspec', 'aiohttp', 'yaml', 'rich', 'cryptography', 'asyncio'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize(
    ("arguments", "usage"),
    [
        (["serve", "--deamon"], "usage: broker serve "),
        (["policy", "check", "p.json", "--strickt"], "usage: broker policy check "),
    ],
)
def test_an_unknown_option_is_refused_with_the_usage_of_its_command(
    arguments: list[str], usage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(usage)
    assert f"unrecognized arguments: {arguments[-1]}" in said


def test_an_unknown_command_is_used_wrongly(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["aply"])
    assert ended.value.code == 2
    assert "there is no 'aply'; did you mean 'apply'?" in capsys.readouterr().err


def test_an_unknown_action_is_compared_with_those_of_its_command(capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for action in ("revok", "finb"):
        with pytest.raises(SystemExit):
            main(["audit", action])
        said.append(capsys.readouterr().err.splitlines()[-1])
    assert "(choose from 'find', 'tail', 'files')" in said[0]
    assert said[1] == "broker audit: error: argument ACTION: there is no 'finb'; did you mean 'find'?"


def test_the_readme_names_every_command() -> None:
    text = (Path(__file__).parents[3] / "README.md").read_text("utf-8")
    assert [name for name in COMMANDS if f"`{name}`" not in text] == []
