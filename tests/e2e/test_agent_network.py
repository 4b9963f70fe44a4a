"""`broker agent` at its real addresses: a node with two pods, and a machine outside that routes its packets there.

pod one --(veth)--.
pod two --(veth)-- node: the agent at 169.254.170.23, 169.254.170.2 and 169.254.169.254, and the broker
outside --(veth)--'
"""

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

from tests.agents import Agent
from tests.e2e.conftest import REGION, ROOT, Server
from tests.e2e.pod_identity import PodScene, new_scene
from tests.e2e.scenes import trust
from tests.e2e.test_agent import WHO
from tests.e2e.test_metadata_network import FETCH, run
from tests.identity_providers.processes import require_installed
from tests.kubernetes import Pod

pytestmark = pytest.mark.namespaces

PODS, CONTAINERS, MACHINES = "169.254.170.23", "169.254.170.2", "169.254.169.254"
PODS_SIX, MACHINES_SIX = "fd00:ec2::23", "fd00:ec2::254"
SECOND_NODE = 8023
LINKS = {"one": 1, "two": 2, "outside": 9}


@dataclass
class NodeNetwork:
    """Namespaces of a node; each is called by a name of its own, so that two runs do not meet."""

    tag: str

    def space(self, name: str) -> str:
        return f"{self.tag}-{name}"

    def ip(self, name: str, *command: str) -> None:
        run("ip", "-n", self.space(name), *command)

    def build(self) -> None:
        for name in ("node", *LINKS):
            run("ip", "netns", "add", self.space(name))
            self.ip(name, "link", "set", "lo", "up")
        for address in (
            f"{PODS}/32",
            f"{CONTAINERS}/32",
            f"{MACHINES}/32",
            f"{PODS_SIX}/128",
            f"{MACHINES_SIX}/128",
        ):
            nodad = ("nodad",) if ":" in address else ()
            self.ip("node", "address", "add", address, "dev", "lo", *nodad)
        for name, number in LINKS.items():
            here, there = f"{self.tag}n{number}", f"{self.tag}f{number}"
            run("ip", "link", "add", here, "netns", self.space("node"), "type", "veth", "peer", "name", there)
            run("ip", "link", "set", there, "netns", self.space(name))
            for end, (space, device) in enumerate((("node", here), (name, there)), 1):
                self.ip(space, "address", "add", f"10.78.{number}.{end}/24", "dev", device)
                self.ip(space, "address", "add", f"fd78:0:0:{number}::{end}/64", "dev", device, "nodad")
                self.ip(space, "link", "set", device, "up")
            for address in (PODS, CONTAINERS, MACHINES):
                self.ip(name, "route", "add", f"{address}/32", "via", f"10.78.{number}.1")
            for address in (PODS_SIX, MACHINES_SIX):
                self.ip(name, "route", "add", f"{address}/128", "via", f"fd78:0:0:{number}::1")

    def tear_down(self) -> None:
        for name in ("node", *LINKS):
            subprocess.run(["ip", "netns", "del", self.space(name)], capture_output=True, check=False)

    def within(self, name: str) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self.space(name), sys.executable)

    def python(self, name: str, text: str, **environment: str) -> str:
        plain = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "AWS_DEFAULT_REGION": REGION}
        done = subprocess.run(
            [*self.within(name), "-c", text],
            env={**plain, **environment},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def fetch(self, name: str, url: str, method: str = "GET", **headers: str) -> tuple[int, str]:
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        status, body = json.loads(self.python(name, FETCH, REQUEST=json.dumps([method, url, named])))
        return status, body


@dataclass
class NetworkedNode:
    """The node, and the account that its pods are of."""

    network: NodeNetwork
    scene: PodScene


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NetworkedNode]:
    folder = tmp_path_factory.mktemp("node-network")
    server = Server(folder, f"sqlite:{folder / 'broker.db'}")
    with server.running():
        scene = new_scene(server, server.new_account(), folder)
        for name in ("one", "two"):
            scene.associate(scene.new_role(name), name)
        node_arn = f"arn:aws:iam::{scene.account.account_id}:user/node"
        machines = {name: scene.new_role(f"machine-{name}", trust(node_arn)) for name in ("one", "two")}
        may = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": list(machines.values())}
        text = json.dumps({"Version": "2012-10-17", "Statement": may})
        iam = server.client("iam", scene.account.root)
        iam.put_user_policy(UserName="node", PolicyName="roles", PolicyDocument=text)
    (folder / "token").write_text(secrets.token_urlsafe(24))
    sections = f"""
[pods]
cluster = "{scene.cluster.name}"
node = "node-1"
networks = ["10.78.1.0/24", "10.78.2.0/24", "fd78:0:0:1::/64"]
[containers]
networks = ["10.78.1.0/24"]
[[containers.roles]]
role_arn = "{machines["one"]}"
token_file = "{folder / "token"}"
[instances]
listen = ["{MACHINES}:80", "[{MACHINES_SIX}]:80"]
""" + "".join(
        f'[[instances.machines]]\ninstance_id = "i-{name}"\nrole_arn = "{machines[name]}"\n'
        f'addresses = ["10.78.{LINKS[name]}.2", "fd78:0:0:{LINKS[name]}::2"]\n'
        for name in machines
    )
    # The agent of a second node, whose pods are outside of the first.
    elsewhere = f"""
[pods]
cluster = "{scene.cluster.name}"
node = "node-2"
networks = ["10.78.9.0/24"]
listen = ["{PODS}:{SECOND_NODE}"]
"""
    network = NodeNetwork(f"brk{secrets.token_hex(3)}")
    (folder / "second").mkdir()
    environment = scene.node.environment
    second = Agent(folder / "second", server.url, environment, elsewhere, network.within("node"))
    agent = Agent(folder, server.url, scene.node.environment, sections, network.within("node"))
    broker: subprocess.Popen[bytes] | None = None
    try:
        network.build()
        with (folder / "log").open("ab") as log:
            command = [*network.within("node"), "-m", "broker", "serve"]
            environment = {**os.environ, **server.settings}
            broker = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        agent.start()
        second.start()
        deadline = time.monotonic() + 30
        health = [f"http://127.0.0.1:{one.health}/healthz" for one in (agent, second)]
        for url in (f"http://{server.operations}/readyz", *health):
            while network.fetch("node", url)[0] != 200:
                assert time.monotonic() < deadline, server.log + agent.log
                time.sleep(0.1)
        yield NetworkedNode(network, scene)
    finally:
        for process in (agent.process, second.process, broker):
            if process is not None:
                process.terminate()
                process.wait(30)
        network.tear_down()


FULL_URI = f"http://{PODS}/v1/credentials"
FULL_URI_SIX = f"http://[{PODS_SIX}]/v1/credentials"
LIFE = {"X_aws_ec2_metadata_token_ttl_seconds": "600"}
KEY = "import boto3; print(boto3.Session().get_credentials().get_frozen_credentials().access_key)"


def test_two_pods_have_their_own_roles_at_the_real_address(node: NetworkedNode, tmp_path: Path) -> None:
    keys = set()
    for name in ("one", "two"):
        token = tmp_path / name
        token.write_text(node.scene.cluster.token(Pod(f"pod-{name}", service_account=name)))
        given = {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": FULL_URI,
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token),
        }
        keys.add(node.network.python(name, KEY, **given))
        if name == "one":
            six = {**given, "AWS_CONTAINER_CREDENTIALS_FULL_URI": FULL_URI_SIX}
            assert node.network.python(name, KEY, **six) in keys
        status, body = node.network.fetch(name, FULL_URI, Authorization=token.read_text())
        assert status == 200
        answer = json.loads(body)
        who = {
            "AWS_ACCESS_KEY_ID": answer["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": answer["SecretAccessKey"],
            "AWS_SESSION_TOKEN": answer["Token"],
            "AWS_ENDPOINT_URL": node.scene.server.url,
        }
        # The broker is on the node alone, so whose credentials they are is asked there.
        assert f"assumed-role/{name}/eks-" in node.network.python("node", WHO, **who)
    assert len(keys) == 2


def test_a_pods_token_is_worth_nothing_to_who_routes_packets_there_from_outside(node: NetworkedNode) -> None:
    token = node.scene.cluster.token(Pod("pod-one", service_account="one"))
    assert node.network.fetch("one", FULL_URI, Authorization=token)[0] == 200
    assert node.network.fetch("outside", FULL_URI, Authorization=token)[0] == 403
    assert (
        node.network.fetch("two", FULL_URI_SIX, Authorization=token)[0] == 403
    )  # only one's network has IPv6


def test_a_pods_token_is_good_on_the_node_of_the_pod_alone(node: NetworkedNode) -> None:
    """Each node has pods of the same service account; what differs is the node that their tokens name."""
    here = node.scene.cluster.token(Pod("here", service_account="one"))
    there = node.scene.cluster.token(Pod("there", service_account="one", node="node-2"))
    second = FULL_URI.replace(PODS, f"{PODS}:{SECOND_NODE}")
    assert node.network.fetch("one", FULL_URI, Authorization=here)[0] == 200
    assert node.network.fetch("outside", second, Authorization=there)[0] == 200
    assert node.network.fetch("one", FULL_URI, Authorization=there)[0] == 403
    assert node.network.fetch("outside", second, Authorization=here)[0] == 403
    assert node.network.fetch("one", second, Authorization=there)[0] == 403


def test_each_address_answers_to_its_own_name_alone(node: NetworkedNode) -> None:
    token = node.scene.cluster.token(Pod("pod-one", service_account="one"))
    for host in (CONTAINERS, "rebound.example", MACHINES):
        assert node.network.fetch("one", FULL_URI, Authorization=token, Host=host)[0] == 403
    for host in (PODS, "rebound.example"):
        assert (
            node.network.fetch("one", f"http://{MACHINES}/latest/api/token", "PUT", Host=host, **LIFE)[0]
            == 403
        )
        assert node.network.fetch("one", f"http://{CONTAINERS}/v1/credentials", Host=host)[0] == 403


def test_a_web_page_whose_name_resolves_to_an_address_of_the_agent_reads_nothing(node: NetworkedNode) -> None:
    """DNS rebinding: the browser sends the name of the page, or an address of another listener."""
    pod = node.scene.cluster.token(Pod("pod-one", service_account="one"))
    container = (node.scene.server.folder / "token").read_text()
    of_pods = ("GET", "/v1/credentials", {"Authorization": pod})
    of_containers = ("GET", "/v1/credentials", {"Authorization": container})
    life = {"X-aws-ec2-metadata-token-ttl-seconds": "600"}
    of_machines = ("PUT", "/latest/api/token", life)
    listeners = [
        ([PODS, f"[{PODS_SIX}]"], of_pods),
        ([CONTAINERS], of_containers),
        ([MACHINES, f"[{MACHINES_SIX}]"], of_machines),
    ]
    requests, expected = [], []
    for own, (method, path, headers) in listeners:
        others = [name for names, _ in listeners for name in names if name not in own]
        for address in own:
            strange = (*others, "rebound.example", "localhost", "169.254.170.23.example")
            for host in (*own, *strange):
                requests.append([method, f"http://{address}{path}", {**headers, "Host": host}])
                expected.append(200 if host in own else 403)
    statuses = json.loads(node.network.python("one", STATUSES, REQUESTS=json.dumps(requests)))
    assert statuses == expected


STATUSES = """
import json, os, urllib.error, urllib.request
def status_of(method, url, headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method, headers=headers), timeout=9) as answer:
            return answer.status
    except urllib.error.HTTPError as refused:
        return refused.code
print(json.dumps([status_of(*one) for one in json.loads(os.environ["REQUESTS"])]))
"""


@pytest.mark.parametrize("mode", ["IPv4", "IPv6"])
def test_boto3_on_a_machine_finds_its_role_at_either_address(node: NetworkedNode, mode: str) -> None:
    keys = {
        name: node.network.python(name, KEY, AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE=mode)
        for name in ("one", "two")
    }
    assert len(set(keys.values())) == 2


def test_the_sdk_for_javascript_has_the_role_of_its_pod_at_either_address(
    node: NetworkedNode, tmp_path: Path
) -> None:
    provider = require_installed(
        ROOT / ".tools" / "aws-sdk-js" / "node_modules" / "@aws-sdk" / "credential-provider-http",
        "the AWS SDK for JavaScript",
    )
    (tmp_path / "token").write_text(node.scene.cluster.token(Pod("pod-one", service_account="one")))
    within = ("ip", "netns", "exec", node.network.space("one"), "node")
    keys = set()
    for uri in (FULL_URI, FULL_URI_SIX):
        done = subprocess.run(
            [*within, "-e", JAVASCRIPT, str(provider)],
            env={
                "PATH": os.environ["PATH"],
                "AWS_CONTAINER_CREDENTIALS_FULL_URI": uri,
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(tmp_path / "token"),
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        keys.add(done.stdout.strip())
    (key,) = keys
    assert key.startswith("ASIA")


JAVASCRIPT = """
const { fromHttp } = require(process.argv[1]);
fromHttp({})().then((found) => console.log(found.accessKeyId));
"""


def test_machines_are_told_apart_by_their_addresses(node: NetworkedNode) -> None:
    tokens = {}
    for name in ("one", "two"):
        status, tokens[name] = node.network.fetch(name, f"http://{MACHINES}/latest/api/token", "PUT", **LIFE)
        assert status == 200
        path = f"http://{MACHINES}/latest/meta-data/instance-id"
        found = node.network.fetch(name, path, X_aws_ec2_metadata_token=tokens[name])
        assert found == (200, f"i-{name}")
    path = f"http://{MACHINES}/latest/meta-data/iam/security-credentials/machine-one"
    assert node.network.fetch("one", path, X_aws_ec2_metadata_token=tokens["one"])[0] == 200
    assert node.network.fetch("two", path, X_aws_ec2_metadata_token=tokens["two"])[0] == 404
    assert node.network.fetch("two", path, X_aws_ec2_metadata_token=tokens["one"])[0] == 401
    assert node.network.fetch("outside", f"http://{MACHINES}/latest/api/token", "PUT", **LIFE)[0] == 403


def test_a_containers_token_is_good_within_its_network_alone(node: NetworkedNode) -> None:
    token = (node.scene.server.folder / "token").read_text()
    url = f"http://{CONTAINERS}/v1/credentials"
    assert node.network.fetch("one", url, Authorization=token)[0] == 200
    assert node.network.fetch("two", url, Authorization=token)[0] == 403
    assert node.network.fetch("outside", url, Authorization=token)[0] == 403
