"""An agent is on each node, so it loads no more than it needs."""

import subprocess
import sys
from pathlib import Path

import pytest

LOADED = """
import argparse, random, sys
from broker.commands import agent

async def serve(settings):
    from broker.agent import running
    from broker.system import clock, entropy
    tools = running.AgentTools(clock, random.random, entropy)
    running.listeners_of(settings, tools, None, running.Upstream(settings.broker, clock))

agent._serve = serve
parser = argparse.ArgumentParser()
agent.add_arguments(parser)
assert agent.run(parser.parse_args(["--config", sys.argv[1]])) == 0
print(*sorted({name.partition(".")[0] for name, module in sys.modules.items() if module is not None}))
print(*sorted(name for name in sys.modules if name.startswith("broker.")))
"""
PODS = '[pods]\ncluster = "k3s"\nnetworks = ["10.0.0.0/8"]\n'
MACHINES = """
[instances]
machines = [{instance_id = "i-1", addresses = ["10.0.0.1"], role_arn = "arn:aws:iam::111111111111:role/r"}]
"""


def loaded(folder: Path, sections: str) -> tuple[set[str], set[str]]:
    """Distributions, and modules of the broker, that the command has loaded when it begins to listen."""
    file = folder / "agent.toml"
    file.write_text(f'[broker]\nurl = "http://127.0.0.1:1"\n{sections}')
    command = [sys.executable, "-c", LOADED, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    return set(first.split()), set(second.split())


@pytest.mark.parametrize("sections", [PODS, PODS + MACHINES], ids=["pods", "machines"])
def test_no_room_of_the_broker_and_no_library_is_loaded_for_nothing(tmp_path: Path, sections: str) -> None:
    libraries, modules = loaded(tmp_path, sections)
    assert libraries & {"aiohttp", "jinja2", "sqlite3", "redis", "OpenSSL", "awscrt", "jwt", "ldap3"} == set()
    assert {
        one for one in modules if one.startswith(("broker.app", "broker.iam", "broker.web.portal"))
    } == set()
    assert ("cryptography" in libraries) is (MACHINES in sections), "session tokens of machines are sealed"
