"""The programs that tests start: waited for, ended surely, and missing ones are named."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.identity_providers import processes
from tests.identity_providers.processes import ROOT, Process, require_installed, require_program


def test_a_program_that_ends_at_once_fails_with_its_log(tmp_path: Path) -> None:
    process = Process(["sh", "-c", "echo what is wrong; exit 3"], tmp_path / "log")
    with pytest.raises(pytest.fail.Exception, match="ended with 3:\nwhat is wrong"):
        process.start(lambda: False)


def test_a_program_that_does_not_get_ready_fails_with_its_log_and_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "LONGEST_START", 0.5)
    process = Process(["sh", "-c", "echo $$; exec sleep 60"], tmp_path / "log")
    with pytest.raises(pytest.fail.Exception, match=r"does not get ready:\n[0-9]+"):
        process.start(lambda: False)
    assert not is_running(int((tmp_path / "log").read_text()))


def test_a_program_ends_with_the_tests_that_started_it_also_where_these_are_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    killed = (
        "import os, signal; from pathlib import Path; from tests.identity_providers.processes import Process\n"
        f"log = Path({str(log)!r})\n"
        "Process(['sh', '-c', 'echo $$; exec sleep 60'], log).start(lambda: log.read_text().endswith(chr(10)))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", killed], cwd=ROOT, timeout=30)
    assert ended.returncode == -9
    deadline = time.monotonic() + 10
    while is_running(int(log.read_text())):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_running(process_id: int) -> bool:
    """Whether it runs; one that has ended and waits for its parent to notice does not."""
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_what_is_missing_is_left_out_at_home_and_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no-such-program is not installed: run scripts/test"):
        require_program("no-such-program")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no-such-program is not installed: run scripts/test"):
        require_program("no-such-program")
    with pytest.raises(pytest.fail.Exception, match="a library is not installed"):
        require_installed(Path("/no/such/library"), "a library")
