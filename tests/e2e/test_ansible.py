"""Ansible's collection amazon.aws, unmodified, manages identities: a second run of a playbook changes nothing."""

import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import REGION, ROOT, Server

ANSIBLE = ROOT / ".tools" / "ansible"
PLAYBOOKS = Path(__file__).parent / "ansible"


@pytest.fixture
def play(own: Server, tmp_path: Path) -> Any:
    """Runs a playbook as root of a new account, and returns how many of its tasks changed something."""
    if not ANSIBLE.exists():
        message = "no Ansible: scripts/ansible could not fetch it (is PyPI reached?)"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AWS_ENDPOINT_URL": own.url,
        "AWS_REGION": REGION,
        **own.new_account().root.environment,
        "ANSIBLE_COLLECTIONS_PATH": str(ANSIBLE / "collections"),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_DEPRECATION_WARNINGS": "false",
        "ANSIBLE_PIPELINING": "true",
        "ANSIBLE_PYTHON_INTERPRETER": str(ANSIBLE / "bin" / "python"),
    }
    program = "import sys; from ansible.cli.playbook import PlaybookCLI; PlaybookCLI.cli_executor(sys.argv)"

    def run(name: str) -> int:
        """How many tasks of a playbook, run twice, changed something; no task may fail."""
        played = subprocess.run(
            [
                ANSIBLE / "bin" / "python",
                "-c",
                program,
                "-i",
                "localhost,",
                "-c",
                "local",
                *[PLAYBOOKS / f"{name}.yml"] * 2,
            ],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert played.stdout.count("PLAY [localhost]") == 2
        recap = re.search(r"localhost\s+: ok=\d+\s+changed=(\d+)\s+unreachable=0\s+failed=0", played.stdout)
        assert recap is not None, played.stdout[-4000:] + played.stderr[-2000:]
        return int(recap[1])

    return run


# Playbooks that run side by side, for Ansible mostly computes, and how many tasks each changes: all in its first run.
RUNS = ((("people", "machines"), [5, 4]), (("people_gone", "machines_gone"), [3, 3]))


def test_a_second_run_of_a_playbook_changes_nothing(play: Any) -> None:
    with ThreadPoolExecutor(2) as threads:
        for names, changes in RUNS:
            assert list(threads.map(play, names)) == changes
