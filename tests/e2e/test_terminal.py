"""What people see in a terminal, and pipes do not: lines instead of JSON, a banner, the bar of `broker apply`."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT
from tests.e2e.test_sso_login import Terminal
from tests.ports import free_port

USERS = 600


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    plain = {name: text for name, text in os.environ.items() if not name.startswith(("AWS_", "BROKER_"))}
    return {
        **plain,
        "PYTHONPATH": str(ROOT),
        "TERM": "xterm",
        "COLUMNS": "80",
        "BROKER_STORE_URL": f"sqlite:{tmp_path}/broker.db",
        "BROKER_KEYS_MASTER_KEY_FILE": f"{tmp_path}/master.key",
        "BROKER_AUDIT_PATH": f"{tmp_path}/audit.jsonl",
        **{f"BROKER_LISTEN_{name}": f"127.0.0.1:{free_port()}" for name in ("API", "METADATA", "OPERATIONS")},
    }


@contextmanager
def terminal(settings: dict[str, str], *arguments: str) -> Iterator[Terminal]:
    """`broker …` in a terminal."""
    opened = Terminal([sys.executable, "-m", "broker", *arguments], settings)
    try:
        yield opened
    finally:
        opened.close()


def test_a_server_in_a_terminal_begins_with_a_banner_and_writes_lines_for_people(
    settings: dict[str, str],
) -> None:
    with terminal(settings, "serve") as serving:
        serving.wait_for(r"operations +127\.0\.0\.1:\d+")
        banner = serving.said
        serving.process.send_signal(signal.SIGTERM)
        serving.wait_for(r"info +stopped")
        assert serving.process.wait(20) == 0
    assert re.search(r"\d\d:\d\d:\d\d info +serving\r?\n +version +\d", banner)
    for fact in (
        settings["BROKER_STORE_URL"],
        settings["BROKER_KEYS_MASTER_KEY_FILE"],
        settings["BROKER_LISTEN_API"],
    ):
        assert fact in banner
    assert "make the first account: broker root-key" in banner
    assert '{"' not in serving.said


def test_a_setting_brings_json_in_a_terminal(settings: dict[str, str]) -> None:
    with terminal({**settings, "BROKER_LOG_FORMAT": "json"}, "serve") as serving:
        line = json.loads(serving.wait_for(r'\{"time".*"serving".*\}'))
        serving.process.send_signal(signal.SIGTERM)
        assert serving.process.wait(20) == 0
    assert line["api"] == settings["BROKER_LISTEN_API"]


def test_apply_draws_a_bar_in_a_terminal_and_none_in_a_pipe(settings: dict[str, str], tmp_path: Path) -> None:
    users = {f"user-{number}": {} for number in range(USERS)}
    (tmp_path / "many.yaml").write_text(json.dumps({"accounts": {"111111111111": {"users": users}}}))
    command = ["apply", "--direct", str(tmp_path / "many.yaml")]
    with terminal(settings, *command) as applying:
        applying.wait_for(rf"{USERS + 1} changes")
        drawn = [int(done) for done in re.findall(rf"applying .*?(\d+)/{USERS}", applying.said)]
        assert applying.process.wait(20) == 0
    assert drawn == sorted(drawn) and drawn[-1] > drawn[0]
    piped = subprocess.run(
        [sys.executable, "-m", "broker", *command], env=settings, capture_output=True, text=True, timeout=60
    )
    assert (piped.returncode, piped.stdout, piped.stderr) == (0, "no changes\n", "")
