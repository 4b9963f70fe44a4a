"""At 169.254.169.254 and fd00:ec2::254, as on a real host: network namespaces, machines told apart by address.

    container --(veth)-- machine one --(veth)--.
                                                host: the broker at the link-local address
             machines two and three --(veth)--'

Machine three has no declared address: it proves itself by a nonce.
The container's packets are forwarded by machine one, whose record holds the container's address too.
"""

import asyncio
import json
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from broker.app import open_broker
from broker.config import load_settings
from broker.storage.records import Instance, InstanceProfile, Role
from broker.storage.store import INSTANCE_PROFILES, INSTANCES, ROLES, Transaction
from tests.e2e.conftest import ROOT, Server
from tests.e2e.scenes import COMMON_RUNTIME_WHO
from tests.e2e.test_commands import Commands

pytestmark = pytest.mark.namespaces

ACCOUNT = "111122223333"
UNITS = [
    ROOT / "deploy" / "systemd" / f"broker-{name}.service"
    for name in ("metadata-address", "container-addresses")
]
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
)


@dataclass(frozen=True)
class Family:
    """One version of IP: the service's addresses, for instances and for containers, and how the links are numbered."""

    name: str
    service: str
    of_containers: tuple[str, ...]
    link: str
    length: int
    whole: int

    def address(self, link: int, end: int) -> str:
        return self.link.format(link=link, end=end)

    @property
    def endpoint(self) -> str:
        return f"http://[{self.service}]" if ":" in self.service else f"http://{self.service}"


# Numbered from one: the third part of their addresses.
LINKS = [("host", "one"), ("host", "two"), ("one", "container"), ("host", "three")]
SPACES = ("host", "one", "two", "three", "container")

FAMILIES = [
    Family("v4", "169.254.169.254", ("169.254.170.2", "169.254.170.23"), "10.77.{link}.{end}", 24, 32),
    Family("v6", "fd00:ec2::254", ("fd00:ec2::23",), "fd77:0:0:{link}::{end}", 64, 128),
]


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


def unit_commands(of: str) -> list[list[str]]:
    """The words behind `ip` of the lines ExecStart= or ExecStop= of the units that give a machine its addresses."""
    lines = [line for unit in UNITS for line in unit.read_text("utf-8").splitlines()]
    begin = f"{of}=/usr/sbin/ip "
    return [line.removeprefix(begin).split() for line in lines if line.startswith(begin)]


def of_this_kernel(command: list[str]) -> list[str]:
    """The command, with a bridge in place of a dummy interface where the kernel has none: each is up without a peer."""
    return [
        ("dummy" if has_dummy_interfaces() else "bridge") if word == "dummy" else word for word in command
    ]


@cache
def has_dummy_interfaces() -> bool:
    command = ["unshare", "--net", "ip", "link", "add", "one", "type", "dummy"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


class Network:
    """The namespaces; each is called by a name of its own, so that two runs do not meet."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self.tag = f"brk{secrets.token_hex(3)}"

    def space(self, name: str) -> str:
        return f"{self.tag}-{name}"

    def ip(self, name: str, *command: str) -> None:
        run("ip", "-n", self.space(name), *command)

    def build(self) -> None:
        for name in SPACES:
            run("ip", "netns", "add", self.space(name))
            self.ip(name, "link", "set", "lo", "up")
        self._give_host_its_addresses()
        addresses = (self.family.service, *self.family.of_containers)
        services = [f"{one}/{self.family.whole}" for one in addresses]
        for number, (near, far) in enumerate(LINKS, 1):
            self._link(number, near, far)
        for far, gateway in (("one", 1), ("two", 2), ("container", 3), ("three", 4)):
            for service in services:
                self.ip(far, "route", "add", service, "via", self.family.address(gateway, 1))
        containers = f"{self.family.address(3, 0)}/{self.family.length}"
        self.ip("host", "route", "add", containers, "via", self.family.address(1, 2))
        for setting in ("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"):
            run("ip", "netns", "exec", self.space("one"), "sysctl", "-qw", setting)

    def _give_host_its_addresses(self) -> None:
        """By the commands of the units, which know the addresses of IPv4; those of IPv6 are on the loopback."""
        for command in unit_commands("ExecStart"):
            self.ip("host", *of_this_kernel(command))
        if self.family.name == "v6":
            for one in (self.family.service, *self.family.of_containers):
                self.ip("host", "address", "add", f"{one}/128", "dev", "lo", "nodad")

    def _link(self, number: int, near: str, far: str) -> None:
        here, there = f"{self.tag}n{number}", f"{self.tag}f{number}"
        run("ip", "link", "add", here, "netns", self.space(near), "type", "veth", "peer", "name", there)
        run("ip", "link", "set", there, "netns", self.space(far))
        for name, device, end in ((near, here, 1), (far, there, 2)):
            address = f"{self.family.address(number, end)}/{self.family.length}"
            self.ip(name, "address", "add", address, "dev", device, *self._at_once())
            self.ip(name, "link", "set", device, "up")

    def _at_once(self) -> list[str]:
        """v6 addresses are good without waiting for whoever else might have them."""
        return ["nodad"] if self.family.name == "v6" else []

    def python(self, name: str, text: str, **environment: str) -> subprocess.CompletedProcess[str]:
        plain = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "BROKER_"))}
        return subprocess.run(
            ["ip", "netns", "exec", self.space(name), sys.executable, "-c", text],
            env={**plain, "HOME": "/nonexistent", **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def fetch(self, name: str, method: str, path: str, **headers: str) -> tuple[int, str]:
        """Status and body; (0, why) where no answer arrives within two seconds."""
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        done = self.python(name, FETCH, REQUEST=json.dumps([method, self.family.endpoint + path, named]))
        assert done.returncode == 0, done.stderr
        status, body = json.loads(done.stdout)
        return status, body

    def tear_down(self) -> None:
        for name in SPACES:
            subprocess.run(["ip", "netns", "del", self.space(name)], capture_output=True, check=False)


FETCH = """
import json, os, urllib.error, urllib.request
method, url, headers = json.loads(os.environ["REQUEST"])
try:
    with urllib.request.urlopen(urllib.request.Request(url, method=method, headers=headers), timeout=2) as answer:
        print(json.dumps([answer.status, answer.read().decode()]))
except urllib.error.HTTPError as refused:
    print(json.dumps([refused.code, ""]))
except OSError as error:
    print(json.dumps([0, str(error)]))
"""

WHO = """
import boto3, json
credentials = boto3.Session().get_credentials()
frozen = credentials and credentials.get_frozen_credentials()
print(json.dumps([credentials and credentials.method, frozen and frozen.access_key]))
"""


class Host:
    """The broker in its namespace, and its store beside it."""

    def __init__(self, network: Network, folder: Path) -> None:
        self.network = network
        address = network.family.service
        self.server = Server(
            folder,
            f"sqlite:{folder / 'broker.db'}",
            api="127.0.0.1:8080",
            metadata=",".join(
                f"[{one}]:80" if ":" in one else f"{one}:80"
                for one in (address, *network.family.of_containers)
            ),
            operations="127.0.0.1:9464",
        )
        self.process: subprocess.Popen[bytes] | None = None

    def write(self, *instances: Instance) -> None:
        async def apply() -> None:
            async with open_broker(load_settings(None, self.server.settings), {}) as broker:

                async def work(store: Transaction) -> None:
                    for instance in instances:
                        store.put(INSTANCES, "", instance)
                        store.put(ROLES, ACCOUNT, _role(f"role-{instance.instance_id}"))
                        store.put(INSTANCE_PROFILES, ACCOUNT, _profile(instance.instance_id))
                    store.put(ROLES, ACCOUNT, _role("task", "ecs-tasks.amazonaws.com"))

                await broker.store.transact(work)

        asyncio.run(apply())

    def start(self) -> None:
        with (self.server.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *("ip", "netns", "exec", self.network.space("host")),
                    *(sys.executable, "-m", "broker", "serve"),
                ],
                cwd=ROOT,
                env={**os.environ, **self.server.settings},
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 20
        while self.network.fetch("host", "GET", "/")[0] == 0:
            assert self.process.poll() is None, self.server.log
            assert time.monotonic() < deadline, self.server.log
            time.sleep(0.1)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)


def _role(name: str, service: str = "ec2.amazonaws.com") -> Role:
    role_id = f"AROA{secrets.token_hex(8).upper()}Q"
    return Role(
        account_id=ACCOUNT,
        role_name=name,
        role_id=role_id,
        created_at=0,
        assume_role_policy=TRUST.replace("ec2.amazonaws.com", service),
    )


def _profile(instance_id: str) -> InstanceProfile:
    return InstanceProfile(
        account_id=ACCOUNT,
        instance_profile_name=instance_id,
        instance_profile_id=f"AIPA{secrets.token_hex(8).upper()}Q",
        created_at=0,
        role_names=(f"role-{instance_id}",),
    )


def machine(family: Family, name: str, *places: tuple[int, int], **changes: Any) -> Instance:
    addresses = tuple(family.address(*place) for place in places)
    return Instance(
        instance_id=f"i-{name}",
        account_id=ACCOUNT,
        instance_profile=f"i-{name}",
        addresses=addresses,
        **changes,
    )


@pytest.fixture(scope="module", params=FAMILIES, ids=lambda family: family.name)
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    network = Network(request.param)
    running = Host(network, tmp_path_factory.mktemp(f"network-{request.param.name}"))
    try:
        network.build()
        three = machine(request.param, "three")
        running.write(one(request.param), machine(request.param, "two", (2, 2)), three)
        running.start()
        yield running
    finally:
        running.stop()
        network.tear_down()


def one(family: Family, **changes: Any) -> Instance:
    """Machine one speaks for its container too."""
    return machine(family, "one", (1, 2), (3, 2), **changes)


def token(network: Network, name: str) -> tuple[int, str]:
    life = {"X-aws-ec2-metadata-token-ttl-seconds": "21600"}
    return network.fetch(name, "PUT", "/latest/api/token", **life)


def read(network: Network, name: str, path: str, value: str) -> tuple[int, str]:
    return network.fetch(name, "GET", path, **{"X-aws-ec2-metadata-token": value})


def test_each_machine_is_identified_by_its_address(host: Host):
    for name in ("one", "two"):
        status, value = token(host.network, name)
        assert status == 200, value
        assert read(host.network, name, "/latest/meta-data/instance-id", value) == (200, f"i-{name}")
        listing = read(host.network, name, "/latest/meta-data/iam/security-credentials/", value)
        assert listing == (200, f"role-i-{name}")


def test_a_token_of_one_machine_is_useless_on_another(host: Host):
    _, value = token(host.network, "one")
    assert read(host.network, "two", "/latest/meta-data/instance-id", value)[0] == 401


def test_an_address_without_a_record_is_forbidden(host: Host):
    assert token(host.network, "host")[0] == 403


def test_boto3_finds_its_credentials_with_no_configuration_at_all(host: Host):
    mode = {"v4": {}, "v6": {"AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": "ipv6"}}[host.network.family.name]
    keys = set()
    for name in ("one", "two"):
        done = host.network.python(name, WHO, **mode)
        assert done.returncode == 0, done.stderr
        method, key = json.loads(done.stdout)
        assert method == "iam-role"
        keys.add(key)
    assert len(keys) == 2


def test_awss_common_runtime_finds_its_credentials_with_no_configuration_at_all(host: Host):
    if host.network.family.name == "v6":
        pytest.skip("the Common Runtime asks 169.254.169.254 and no other address")
    keys = set()
    for name in ("one", "two"):
        done = host.network.python(name, COMMON_RUNTIME_WHO)
        assert done.returncode == 0, done.stderr
        keys.add(json.loads(done.stdout))
    assert len(keys) == 2


@pytest.mark.parametrize("options", [(), ("--token",)], ids=["id", "token"])
def test_what_is_printed_for_a_container_works_in_it_with_an_unmodified_sdk(
    host: Host, options: tuple[str, ...]
):
    """At the address that is printed, and at the others from which SDKs in containers take credentials."""
    commands = Commands(host.server.settings, host.server.folder)
    shown = commands("metadata", "container", f"arn:aws:iam::{ACCOUNT}:role/task", *options)
    variables = dict(line.removeprefix("export ").split("=", 1) for line in shown.splitlines())
    uri = variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"]
    printed, *others = host.network.family.of_containers
    assert printed in uri
    for address in (printed, *others):
        changed = {**variables, "AWS_CONTAINER_CREDENTIALS_FULL_URI": uri.replace(printed, address)}
        done = host.network.python("container", WHO, **changed)
        assert done.returncode == 0, done.stderr
        method, key = json.loads(done.stdout)
        assert method == "container-role" and key.startswith("ASIA")


def test_a_machine_without_a_declared_address_proves_itself_once_by_the_guides_user_data(
    host: Host, tmp_path: Path
):
    """The nonce is made by boto3, and the script of the guide presents it with curl."""
    if host.network.family.name == "v6":
        pytest.skip("the script of the guide asks 169.254.169.254")
    nonce = create_nonce(host, "i-three")
    presented = {"X-broker-instance-nonce": nonce}
    assert token(host.network, "three")[0] == 403
    # Another machine that has read the nonce is another instance already.
    assert host.network.fetch("two", "PUT", "/latest/api/instance", **presented)[0] == 403
    (tmp_path / "user-data").write_text(guide_block("user-data").replace("NONCE", nonce, 1))
    for printed in ("i-three\n", ""):  # at a second start it is known already
        done = subprocess.run(
            ["ip", "netns", "exec", host.network.space("three"), "sh", str(tmp_path / "user-data")],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, printed), done.stderr
    status, value = token(host.network, "three")
    assert status == 200
    listing = read(host.network, "three", "/latest/meta-data/iam/security-credentials/", value)
    assert listing == (200, "role-i-three")
    for name in ("three", "host"):  # a replay, and one from elsewhere
        assert host.network.fetch(name, "PUT", "/latest/api/instance", **presented)[0] == 403


def create_nonce(host: Host, instance_id: str) -> str:
    """As the account's root, who reaches the API beside the broker alone."""
    commands = Commands(host.server.settings, host.server.folder)
    shown = commands("root-key", ACCOUNT, "--create-account")
    lines = [line.removeprefix("export ").split("=", 1) for line in shown.splitlines() if "=" in line]
    environment = {name: value for name, value in lines if name.startswith("AWS_")} | {
        "AWS_DATA_PATH": str(ROOT / "config" / "aws-models"),
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:8080",
        "INSTANCE": instance_id,
    }
    done = host.network.python("host", CREATE_NONCE, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


CREATE_NONCE = """
import boto3, os
print(boto3.client("iam").create_instance_nonce(InstanceId=os.environ["INSTANCE"])["Nonce"])
"""


def guide_block(name: str) -> str:
    """The block of config/workloads.md that bears this name behind its language."""
    text = (ROOT / "config" / "workloads.md").read_text("utf-8")
    (block,) = re.findall(rf"^```sh {name}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return block


def test_the_units_take_back_what_they_gave():
    space = f"brk{secrets.token_hex(3)}-units"
    run("ip", "netns", "add", space)
    try:
        before = run("ip", "-n", space, "-brief", "address")
        for of in ("ExecStart", "ExecStop"):
            for command in unit_commands(of):
                run("ip", "-n", space, *of_this_kernel(command))
            if of == "ExecStart":
                given = run("ip", "-n", space, "-brief", "address")
                assert all(one in given for one in (FAMILIES[0].service, *FAMILIES[0].of_containers))
        assert run("ip", "-n", space, "-brief", "address") == before
    finally:
        subprocess.run(["ip", "netns", "del", space], capture_output=True, check=False)


def test_a_hop_limit_of_one_reaches_the_machine_and_not_its_container(host: Host):
    assert token(host.network, "one")[0] == 200
    status, why = token(host.network, "container")
    assert status == 0, "the token went further than the hop limit"
    assert "timed out" in why


def test_only_the_answer_with_the_token_is_held_back(host: Host):
    """Everything else goes as far as it goes: without a token the answer is 401, and it arrives."""
    assert host.network.fetch("container", "GET", "/latest/meta-data/instance-id")[0] == 401


def test_an_answer_that_was_held_back_is_not_sent_further_later(host: Host):
    done = host.network.python("container", PIPELINED, URL=host.network.family.service)
    assert done.stdout.strip() == "b''", (done.stdout, done.stderr)


PIPELINED = """
import os, socket
connection = socket.create_connection((os.environ["URL"], 80), timeout=4)
host = b"Host: localhost\\r\\n"
put = b"PUT /latest/api/token HTTP/1.1\\r\\n" + host + b"X-aws-ec2-metadata-token-ttl-seconds: 60\\r\\n\\r\\n"
connection.sendall(put + b"GET / HTTP/1.1\\r\\n" + host + b"\\r\\n")
got = b""
try:
    got = connection.recv(65536)
except TimeoutError:
    pass
print(got)
"""


def test_a_hop_limit_of_two_reaches_the_container(host: Host):
    family = host.network.family
    host.write(one(family, hop_limit=2))
    try:
        status, value = token(host.network, "container")
        assert status == 200, value
        assert read(host.network, "container", "/latest/meta-data/instance-id", value) == (200, "i-one")
    finally:
        host.write(one(family))
    assert token(host.network, "container")[0] == 0
