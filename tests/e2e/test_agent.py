"""`broker agent` beside a broker: what pods, containers and machines get, and what nobody gets."""

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.agents import LOOPBACK, Agent, read
from tests.e2e.conftest import REGION, Server
from tests.e2e.pod_identity import PodScene, new_scene
from tests.e2e.scenes import trust
from tests.kubernetes import Pod
from tests.ports import free_port

WHO = "import boto3; print(boto3.client('sts').get_caller_identity()['Arn'])"
LIFE = {"X_aws_ec2_metadata_token_ttl_seconds": "600"}


@dataclass
class Node:
    """A node: its agent, the ports of the agent, and the account that its pods are of."""

    scene: PodScene
    agent: Agent
    pods: int
    containers: int
    instances: int
    container_id: str
    container_token: str

    @property
    def pods_url(self) -> str:
        return f"http://127.0.0.1:{self.pods}/v1/credentials"

    @property
    def containers_url(self) -> str:
        return f"http://127.0.0.1:{self.containers}"

    @property
    def instances_url(self) -> str:
        return f"http://127.0.0.1:{self.instances}"

    def who(self, **environment: str) -> str:
        """Whom boto3 is with this environment, without any keys of its own."""
        plain = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "AWS_DEFAULT_REGION": REGION}
        where = {"AWS_ENDPOINT_URL": self.scene.server.url, "AWS_CONFIG_FILE": "/dev/null"}
        done = subprocess.run(
            [sys.executable, "-c", WHO],
            env={**plain, **where, **environment},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture(scope="module")
def node(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    folder = tmp_path_factory.mktemp("node")
    account = server.new_account()
    scene = new_scene(server, account, folder)
    scene.associate(scene.new_role("web"))
    node_arn = f"arn:aws:iam::{account.account_id}:user/node"
    machine, worker = (scene.new_role(name, trust(node_arn)) for name in ("machine", "worker"))
    iam = server.client("iam", account.root)
    may = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": [machine, worker]}
    text = json.dumps({"Version": "2012-10-17", "Statement": may})
    iam.put_user_policy(UserName="node", PolicyName="roles", PolicyDocument=text)
    pods, containers, instances = free_port(), free_port(), free_port()
    container_id, container_token = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
    (folder / "id").write_text(f"{container_id}\n")
    (folder / "token").write_text(f"{container_token}\n")
    sections = f"""
[pods]
cluster = "{scene.cluster.name}"
node = "node-1"
networks = {LOOPBACK}
listen = ["127.0.0.1:{pods}"]
[containers]
networks = {LOOPBACK}
listen = ["127.0.0.1:{containers}"]
[[containers.roles]]
role_arn = "{worker}"
id_file = "{folder / "id"}"
[[containers.roles]]
role_arn = "{worker}"
token_file = "{folder / "token"}"
[instances]
listen = ["127.0.0.1:{instances}"]
[[instances.machines]]
instance_id = "i-0123456789abcdef0"
addresses = ["127.0.0.1"]
role_arn = "{machine}"
"""
    agent = Agent(folder, server.url, scene.node.environment, sections)
    with agent.running():
        yield Node(scene, agent, pods, containers, instances, container_id, container_token)


def test_a_pod_has_its_role_by_boto3_with_a_token_file(node: Node, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(node.scene.cluster.token(Pod("web-1")))
    arn = node.who(
        AWS_CONTAINER_CREDENTIALS_FULL_URI=node.pods_url, AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=str(token)
    )
    assert f"{node.scene.account.account_id}:assumed-role/web/eks-" in arn
    assert "-web-1-" in arn


def test_containers_have_their_role_by_an_id_or_by_a_token(node: Node) -> None:
    full = f"{node.containers_url}/v2/credentials/{node.container_id}"
    assert node.who(AWS_CONTAINER_CREDENTIALS_FULL_URI=full).endswith(":assumed-role/worker/container")
    by_token = node.who(
        AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{node.containers_url}/v1/credentials",
        AWS_CONTAINER_AUTHORIZATION_TOKEN=node.container_token,
    )
    assert by_token.endswith(":assumed-role/worker/container")
    status, body, _ = read(full)
    assert (status, json.loads(body)["AccountId"]) == (200, node.scene.account.account_id)


def test_a_machine_has_its_role_by_its_address_and_a_session_token(node: Node) -> None:
    arn = node.who(AWS_EC2_METADATA_SERVICE_ENDPOINT=node.instances_url)
    assert arn.endswith(":assumed-role/machine/i-0123456789abcdef0")
    status, token, _ = read(f"{node.instances_url}/latest/api/token", "PUT", **LIFE)
    assert (status, len(token)) == (200, 56)
    path = "/latest/meta-data/instance-id"
    assert read(f"{node.instances_url}{path}", X_aws_ec2_metadata_token=token)[:2] == (
        200,
        "i-0123456789abcdef0",
    )
    assert read(f"{node.instances_url}{path}")[0] == 401
    assert read(f"{node.instances_url}{path}", X_aws_ec2_metadata_token="x" * 56)[0] == 401
    signature = "/latest/dynamic/instance-identity/pkcs7"
    assert read(f"{node.instances_url}{signature}", X_aws_ec2_metadata_token=token)[0] == 404


def test_a_name_that_is_not_the_listeners_address_gets_nothing(node: Node) -> None:
    """DNS rebinding: the browser sends the name of the page."""
    token = node.scene.cluster.token(Pod("web-2"))
    for host in ("attacker.example", "localhost.attacker.example:80", "10.0.0.1"):
        assert read(node.pods_url, Host=host, Authorization=token)[0] == 403
        by_id = f"{node.containers_url}/v2/credentials/{node.container_id}"
        assert read(by_id, Host=host)[0] == 403
        assert read(f"{node.instances_url}/latest/api/token", "PUT", Host=host, **LIFE)[0] == 403
        assert read(f"{node.instances_url}/latest/meta-data/", Host=host)[0] == 403


def test_a_request_that_came_through_a_proxy_gets_nothing(node: Node) -> None:
    token = node.scene.cluster.token(Pod("web-3"))
    assert read(node.pods_url, Authorization=token, X_Forwarded_For="10.0.0.1")[0] == 403
    put = read(f"{node.instances_url}/latest/api/token", "PUT", X_Forwarded_For="10.0.0.1", **LIFE)
    assert put[0] == 403


@pytest.mark.parametrize(
    ("options", "pod", "status"),
    [
        ({"audience": "https://kubernetes.default.svc"}, Pod("a"), 400),
        ({"lifetime": -1}, Pod("a"), 400),
        ({}, Pod("a", node="node-2"), 403),
        ({}, Pod("a", service_account="other"), 404),
    ],
    ids=["another audience", "expired", "another node", "no association"],
)
def test_a_token_that_is_not_good_here_is_refused(
    node: Node, options: dict[str, int | str], pod: Pod, status: int
) -> None:
    token = node.scene.cluster.token(pod, **options)
    assert read(node.pods_url, Authorization=token)[0] == status


def test_a_forged_token_is_refused_by_the_broker(node: Node) -> None:
    from tests.kubernetes import KubernetesCluster

    forged = KubernetesCluster(name=node.scene.cluster.name, key_id=node.scene.cluster.key_id)
    status, body, _ = read(node.pods_url, Authorization=forged.token(Pod("web-4")))
    assert (status, body.partition(":")[0]) == (400, "InvalidTokenException")


def test_what_proves_nothing_gets_nothing(node: Node) -> None:
    assert read(node.pods_url)[0] == 400
    assert read(node.pods_url, Authorization="a.b.c")[0] == 400
    assert read(f"{node.containers_url}/v2/credentials/guess")[0] == 400
    assert read(f"{node.containers_url}/v1/credentials", Authorization="guess")[0] == 401
    # The id of one container is not the token of another.
    assert read(f"{node.containers_url}/v1/credentials", Authorization=node.container_id)[0] == 400
    assert read(f"{node.containers_url}/v2/credentials/{node.container_token}")[0] == 400
    assert read(node.pods_url, "POST", Authorization="a.b.c")[0] == 405
    assert read(node.pods_url.replace("/v1/", "/v3/"))[0] == 404


ACTIVATE = """
import os, socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


def test_sockets_of_the_service_manager_are_taken(node: Node, tmp_path: Path) -> None:
    """As systemd hands them over: the agent itself binds nothing there."""
    port = free_port()
    sections = f"""
[pods]
cluster = "{node.scene.cluster.name}"
networks = {LOOPBACK}
listen = ["127.0.0.1:{port}"]
"""
    agent = Agent(tmp_path, node.scene.server.url, node.scene.node.environment, sections)
    agent.within = (sys.executable, "-c", ACTIVATE, str(port))
    with agent.running():
        token = node.scene.cluster.token(Pod("web-5"))
        assert read(f"http://127.0.0.1:{port}/v1/credentials", Authorization=token)[0] == 200


def test_while_the_broker_is_away_pods_keep_what_is_valid_and_others_are_told_when_to_ask(
    tmp_path: Path,
) -> None:
    server = Server(tmp_path, f"sqlite:{tmp_path / 'broker.db'}")
    port = free_port()
    with server.running():
        scene = new_scene(server, server.new_account(), tmp_path)
        scene.associate(scene.new_role("web"))
        sections = f"""
[pods]
cluster = "{scene.cluster.name}"
networks = {LOOPBACK}
listen = ["127.0.0.1:{port}"]
"""
        url = f"http://127.0.0.1:{port}/v1/credentials"
        with Agent(tmp_path, server.url, scene.node.environment, sections).running() as agent:
            known, new = (scene.cluster.token(Pod(name)) for name in ("web-0", "web-1"))
            first = read(url, Authorization=known)
            assert first[0] == 200
            assert server.stop() == 0
            assert read(url, Authorization=known)[:2] == first[:2]
            status, _, headers = read(url, Authorization=new)
            assert status == 503
            assert 1 <= int(headers["Retry-After"]) <= 30
            assert "broker_agent_broker_away 1" in read(f"http://127.0.0.1:{agent.health}/metrics")[1]
            server.start()
            deadline = time.monotonic() + 40
            while (status := read(url, Authorization=new)[0]) == 503:
                assert time.monotonic() < deadline, agent.log
                time.sleep(0.5)
            assert status == 200
            for secret in (known, new, json.loads(first[1])["SecretAccessKey"]):
                assert secret not in agent.log


def test_profiles_are_served_at_the_loopback_address_to_who_knows_the_token(
    node: Node, tmp_path: Path
) -> None:
    keys, server = node.scene.node, node.scene.server
    config = tmp_path / "config"
    worker = f"arn:aws:iam::{node.scene.account.account_id}:role/worker"
    config.write_text(
        f"[profile node]\nregion = {REGION}\nendpoint_url = {server.url}\n"
        f"aws_access_key_id = {keys.access_key_id}\naws_secret_access_key = {keys.secret_access_key}\n"
        f"[profile worker]\nregion = {REGION}\nendpoint_url = {server.url}\nsource_profile = node\n"
        f"role_arn = {worker}\nrole_session_name = laptop\n"
    )
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BROKER_"))}
    process = subprocess.Popen(
        [sys.executable, "-m", "broker", "agent", "--profile", "node", "--profile", "worker"],
        env={**plain, "AWS_CONFIG_FILE": str(config)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        lines = [process.stdout.readline().strip() for _ in range(6)]
        assert [lines[0], lines[3]] == ["# node", "# worker"]
        given = [
            dict(line.removeprefix("export ").split("=", 1) for line in lines[at : at + 2]) for at in (1, 4)
        ]
        assert all(len(one["AWS_CONTAINER_AUTHORIZATION_TOKEN"]) <= 64 for one in given)
        assert node.who(**given[0]).endswith(":user/node")
        assert node.who(**given[1]).endswith(":assumed-role/worker/laptop")
        url, token = given[0].values()
        status, body, _ = read(url, Authorization=token)
        assert (status, json.loads(body)["AccessKeyId"][:4]) == (200, "ASIA")  # of the key, a session
        assert read(url, Authorization=given[1]["AWS_CONTAINER_AUTHORIZATION_TOKEN"])[0] == 401
        assert read(url, Authorization=token, Host="rebound.example")[0] == 403
    finally:
        process.terminate()
        process.stdout.close()
        assert process.wait(20) == 0
