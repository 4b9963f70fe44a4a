"""A provider's process: started, waited for, and surely ended."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LONGEST_START = 30.0  # seconds; on an idle machine each provider is ready within two


def require_installed(path: Path | None, name: str) -> Path:
    """`path`, which is there; without it the test is skipped, in CI it fails."""
    if path is not None and path.exists():
        return path
    message = f"{name} is not installed: run scripts/test, which installs what the tests need"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def require_program(name: str) -> Path:
    """The path of a program, also of those in the administrator's folder."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin:/usr/local/sbin")
    return require_installed(None if found is None else Path(found), name)


# The kernel ends the program with the tests that started it, also where these are killed.
WITH_US = ("setpriv", "--pdeathsig", "KILL")


class Process:
    """A program with a log of its own. What it needs of the environment is given; AWS's and proxies' are left out."""

    def __init__(
        self, command: Sequence[str | Path], log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.command = [str(part) for part in command]
        self.log = log
        self._environment = environment or {}
        self._running: subprocess.Popen[bytes] | None = None

    def start(self, is_ready: Callable[[], bool], within: float | None = None) -> None:
        """Returns when it is ready; fails the test with its log if not within LONGEST_START, or `within` seconds.

        `is_ready` may raise OSError: that is no.
        """
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        with self.log.open("ab") as log:
            self._running = subprocess.Popen(
                [*WITH_US, *self.command],
                cwd=ROOT,
                env={**inherited, **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            self._wait(is_ready, LONGEST_START if within is None else within)
        except BaseException:  # pytest.fail's and Ctrl-C's too: it is ended, and the exception goes on
            self.stop()
            raise

    def _wait(self, is_ready: Callable[[], bool], within: float) -> None:
        assert self._running is not None
        deadline = time.monotonic() + within
        while not _answers(is_ready):
            ended = self._running.poll()
            if ended is not None:
                pytest.fail(f"{self.command[0]} ended with {ended}:\n{self.log.read_text()}")
            if time.monotonic() > deadline:
                pytest.fail(f"{self.command[0]} does not get ready:\n{self.log.read_text()}")
            time.sleep(0.02)

    def stop(self) -> None:
        if self._running is None:
            return
        self._running.terminate()
        try:
            self._running.wait(5)
        except subprocess.TimeoutExpired:
            self._running.kill()
            self._running.wait()
        self._running = None


def _answers(is_ready: Callable[[], bool]) -> bool:
    try:
        return is_ready()
    except OSError:
        return False
