"""The agent's file: what is read, and what is refused with a sentence."""

from pathlib import Path

import pytest

from broker.agent.settings import AgentConfigurationError, instance_of, read_agent_settings

ROOT = Path(__file__).parents[3]
PODS = '[broker]\nurl = "https://broker.example"\n[pods]\ncluster = "k3s"\nnetworks = ["10.42.0.0/24"]\n'


def read(folder: Path, text: str, **environment: str) -> object:
    file = folder / "agent.toml"
    file.write_text(text)
    return read_agent_settings(file, environment)


def test_the_example_can_be_used() -> None:
    settings = read_agent_settings(ROOT / "deploy" / "systemd" / "broker-agent.toml", {})
    assert settings.pods is not None and settings.containers is not None and settings.instances is not None
    (machine,) = settings.instances.machines
    assert instance_of(machine, "us-east-1").account_id == "123456789012"


def test_the_node_is_that_of_the_environment_where_the_file_names_none(tmp_path: Path) -> None:
    assert read(tmp_path, PODS, NODE_NAME="n1").pods.node == "n1"  # type: ignore[attr-defined]
    named = read(tmp_path, PODS + 'node = "own"\n', NODE_NAME="n1")
    assert named.pods.node == "own"  # type: ignore[attr-defined]


ROLE = "arn:aws:iam::123456789012:role/a"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "missing required field `broker`"),
        ('[broker]\nurl = "https://a"\n', "nothing is served"),
        (PODS.replace("https://", "ftp://"), "no URL"),
        (PODS.replace('["10.42.0.0/24"]', "[]"), "name the addresses"),
        (PODS.replace("10.42.0.0/24", "pods"), "no range of addresses"),
        (PODS + 'listen = ["169.254.170.23"]\n', "no HOST:PORT"),
        (PODS + "nodes = 1\n", "unknown field `nodes`"),
        (
            f'{PODS}[containers]\nnetworks = ["::/0"]\n[[containers.roles]]\nrole_arn = "{ROLE}"\n',
            "what proves",
        ),
        (
            f'{PODS}[[instances.machines]]\ninstance_id = "i-1"\naddresses = []\nrole_arn = "{ROLE}"\n'
            "instance = { hop_limit = 'x' }\n",
            "hop_limit",
        ),
        (
            f'{PODS}[[instances.machines]]\ninstance_id = "i-1"\naddresses = []\nrole_arn = "{ROLE}"\n'
            "instance = { hops = 1 }\n",
            "no hops",
        ),
        (
            PODS + '[[instances.machines]]\ninstance_id = "i-1"\naddresses = []\nrole_arn = "role"\n',
            "no ARN of a role",
        ),
    ],
)
def test_a_fault_is_said(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(AgentConfigurationError, match=why):
        read(tmp_path, text)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(AgentConfigurationError, match="cannot be read"):
        read_agent_settings(tmp_path / "none.toml", {})
