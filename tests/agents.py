"""A running `broker agent`, as a node has it, on ports of the loopback address."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.ports import free_port

ROOT = Path(__file__).parents[1]
LOOPBACK = '["127.0.0.0/8"]'


@dataclass
class Agent:
    """`sections` are those of its file beside [broker] and [health]; `within` is what its command begins with,
    instead of Python."""

    folder: Path
    url: str
    credentials: dict[str, str]
    sections: str
    within: tuple[str, ...] = ()
    health: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return (self.folder / "agent.log").read_text()

    def start(self) -> None:
        file = self.folder / "agent.toml"
        file.write_text(
            f'[broker]\nurl = "{self.url}"\n[health]\nlisten = "127.0.0.1:{self.health}"\n{self.sections}'
        )
        plain = {
            name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BROKER_"))
        }
        with (self.folder / "agent.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*(self.within or (sys.executable,)), "-m", "broker", "agent", "--config", str(file)],
                cwd=ROOT,
                env={**plain, "AWS_CONFIG_FILE": "/dev/null", **self.credentials},
                stdout=log,
                stderr=log,
            )

    @contextmanager
    def running(self) -> Iterator["Agent"]:
        self.start()
        assert self.process is not None
        try:
            deadline = time.monotonic() + 20
            while read(f"http://127.0.0.1:{self.health}/healthz")[0] != 200:
                assert self.process.poll() is None, self.log
                assert time.monotonic() < deadline, self.log
                time.sleep(0.05)
            yield self
        finally:
            self.process.terminate()
            assert self.process.wait(20) == 0, self.log


def read(url: str, method: str = "GET", **headers: str) -> tuple[int, str, dict[str, Any]]:
    """Status, body and headers; (0, why) where there is no answer."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, method=method, headers=named)
    try:
        with urllib.request.urlopen(request, timeout=15) as answer:
            return answer.status, answer.read().decode(), dict(answer.headers)
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode(), dict(refused.headers)
    except OSError as error:
        return 0, str(error), {}
