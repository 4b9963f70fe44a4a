"""Programs with no configuration but where the metadata service is: real boto3 and the real AWS CLI."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from broker.app import open_broker
from broker.config import load_settings
from broker.storage.records import Instance
from broker.storage.store import INSTANCES, Transaction
from tests.e2e.conftest import REGION, ROOT, Account, Server
from tests.e2e.scenes import COMMON_RUNTIME_WHO, ask

INSTANCE = "i-0123456789abcdef0"
LIFE = 1210  # seconds: others are minted every nine seconds


def trust(service: str) -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture(scope="module", params=["sqlite", "redis"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A broker of two workers to whom loopback is INSTANCE."""
    folder = tmp_path_factory.mktemp(f"metadata-{request.param}")
    redis = request.param == "redis"
    store = request.getfixturevalue("redis_server").new_store() if redis else f"sqlite:{folder / 'broker.db'}"
    running = Server(
        folder,
        store,
        arguments=("--workers", "2"),
        environment={
            "BROKER_METADATA_LOOPBACK_INSTANCE": INSTANCE,
            "BROKER_METADATA_SESSION_SECONDS": str(LIFE),
        },
    )
    running.start()
    yield running
    assert running.stop() == 0, running.log


def write(server: Server, work: Callable[[Transaction], None]) -> None:
    """Beside the running server, as `broker apply` writes."""

    async def apply() -> None:
        async with open_broker(load_settings(None, server.settings), {}) as broker:

            async def perform(transaction: Transaction) -> None:
                work(transaction)

            await broker.store.transact(perform)

    asyncio.run(apply())


@pytest.fixture
def machine(server: Server, account: Account, root: Any) -> Account:
    make_machine(server, account, root)
    return account


def make_machine(server: Server, account: Account, root: Any) -> None:
    """The instance belongs to `account`, where its profile has the role `web`, which may list users."""
    root.create_role(RoleName="web", AssumeRolePolicyDocument=trust("ec2.amazonaws.com"))
    allow = {"Effect": "Allow", "Action": "iam:ListUsers", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    root.put_role_policy(RoleName="web", PolicyName="list", PolicyDocument=policy)
    root.create_instance_profile(InstanceProfileName="machines")
    root.add_role_to_instance_profile(InstanceProfileName="machines", RoleName="web")
    here = Instance(
        instance_id=INSTANCE, account_id=account.account_id, instance_profile="machines", region=REGION
    )
    write(server, lambda store: store.put(INSTANCES, "", here))


def environment(server: Server, **further: str) -> dict[str, str]:
    """Endpoints and nothing else: no keys, no files."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BROKER_"))}
    return {
        **plain,
        "HOME": str(server.folder),
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://{server.metadata}",
        "AWS_ENDPOINT_URL": server.url,
        "AWS_DEFAULT_REGION": REGION,
        **further,
    }


def program(server: Server, text: str, **further: str) -> list[Any]:
    """What a Python program printed, one JSON value a line."""
    told = subprocess.run(
        [sys.executable, "-c", text],
        env=environment(server, **further),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    return [json.loads(line) for line in told.stdout.splitlines()]


def failing_program(server: Server, text: str, **further: str) -> str:
    """What a Python program said when it failed."""
    told = subprocess.run(
        [sys.executable, "-c", text],
        env=environment(server, **further),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert told.returncode != 0, told.stdout
    return told.stderr


def get(server: Server, path: str, token: str | None = None) -> tuple[int, str]:
    headers = {} if token is None else {"X-aws-ec2-metadata-token": token}
    try:
        with urllib.request.urlopen(
            urllib.request.Request(f"http://{server.metadata}{path}", headers=headers)
        ) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def new_token(server: Server) -> str:
    request = urllib.request.Request(
        f"http://{server.metadata}/latest/api/token",
        method="PUT",
        headers={"X-aws-ec2-metadata-token-ttl-seconds": "21600"},
    )
    with urllib.request.urlopen(request) as answer:
        return answer.read().decode()


WHO = """
import boto3, json
print(json.dumps(boto3.client("sts").get_caller_identity()["Arn"]))
print(json.dumps([user["UserName"] for user in boto3.client("iam").list_users()["Users"]]))
try:
    boto3.client("iam").list_roles()
except Exception as refused:
    print(json.dumps(refused.response["Error"]["Code"]))
"""


def test_boto3_is_the_role_of_the_instance_and_may_what_the_role_may(server: Server, machine: Account, root):
    root.create_user(UserName="ada")
    arn, users, refusal = program(server, WHO)
    assert arn == f"arn:aws:sts::{machine.account_id}:assumed-role/web/{INSTANCE}"
    assert users == ["ada"]
    assert refusal == "AccessDenied"


def test_the_aws_cli_is_the_role_of_the_instance(server: Server, machine: Account, cli: Path):
    told = subprocess.run(
        [str(cli), "sts", "get-caller-identity", "--output", "json"],
        env=environment(server),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["Arn"] == f"arn:aws:sts::{machine.account_id}:assumed-role/web/{INSTANCE}"


ROTATING = """
import boto3, datetime, json, time
session = boto3.Session()
client = session.client("sts")
credentials = session.get_credentials()
credentials._time_fetcher = lambda: datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=12)
keys, ends = set(), time.monotonic() + 60
while len(keys) < 3 and time.monotonic() < ends:
    arn, key = client.get_caller_identity()["Arn"], credentials.get_frozen_credentials().access_key
    keys.add(key)
    print(json.dumps([arn, key]))
    time.sleep(1)
"""


def test_a_program_works_on_across_rotations(server: Server, machine: Account):
    """Its clock is ahead, so that botocore fetches anew at each use what the broker has renewed meanwhile."""
    seen = program(server, ROTATING)
    assert {arn for arn, _ in seen} == {f"arn:aws:sts::{machine.account_id}:assumed-role/web/{INSTANCE}"}
    assert len({key for _, key in seen}) == 3


def test_a_change_of_the_profile_is_seen_by_the_next_read(server: Server, machine: Account, root):
    token = new_token(server)
    credentials = "/latest/meta-data/iam/security-credentials/"
    assert get(server, credentials, token) == (200, "web")
    assert json.loads(get(server, credentials + "web", token)[1])["Code"] == "Success"
    root.create_role(RoleName="database", AssumeRolePolicyDocument=trust("ec2.amazonaws.com"))
    root.remove_role_from_instance_profile(InstanceProfileName="machines", RoleName="web")
    assert get(server, credentials + "web", token)[0] == 404
    root.add_role_to_instance_profile(InstanceProfileName="machines", RoleName="database")
    assert get(server, credentials, token) == (200, "database")
    root.update_assume_role_policy(RoleName="database", PolicyDocument=trust("lambda.amazonaws.com"))
    told = json.loads(get(server, credentials + "database", token)[1])
    assert told["Code"] == "AssumeRoleUnauthorizedAccess"


def test_without_a_token_nothing_is_read(server: Server, machine: Account):
    assert get(server, "/latest/meta-data/iam/security-credentials/")[0] == 401


def test_each_mint_is_in_the_journal_and_no_read_is(server: Server, machine: Account):
    token = new_token(server)
    path = "/latest/meta-data/iam/security-credentials/web"
    given = {json.loads(get(server, path, token)[1])["AccessKeyId"] for _ in range(20)}
    records = [json.loads(line) for line in (server.folder / "audit.jsonl").read_text().splitlines()]
    mints = [
        record
        for record in records
        if record["userIdentity"].get("invokedBy") == "ec2.amazonaws.com"
        and record["recipientAccountId"] == machine.account_id
    ]
    assert {record["responseElements"]["credentials"]["accessKeyId"] for record in mints} >= given
    assert len(mints) <= 2 + len(given)


def operator(server: Server, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`broker metadata …`, with the running server's settings."""
    return subprocess.run(
        [sys.executable, "-m", "broker", "metadata", *arguments],
        cwd=ROOT,
        env={**environment(server), **server.settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("form", ["id", "token"])
def test_a_container_is_its_role_until_it_is_forgotten(server: Server, account: Account, root, form: str):
    """botocore asks 169.254.170.2 for a relative URI, which is another machine's: so the same path as a full URI."""
    root.create_role(RoleName="task", AssumeRolePolicyDocument=trust("ecs-tasks.amazonaws.com"))
    role_arn = f"arn:aws:iam::{account.account_id}:role/task"
    made = operator(
        server, "container", role_arn, "--session-name", "task-1", *(["--token"] if form == "token" else [])
    )
    assert made.returncode == 0, made.stderr
    variables = dict(line.removeprefix("export ").split("=", 1) for line in made.stdout.splitlines())
    who = "\n".join(WHO.splitlines()[:3])
    (arn,) = program(server, who, **variables)
    assert arn == f"arn:aws:sts::{account.account_id}:assumed-role/task/task-1"
    if form == "token":
        wrong = {**variables, "AWS_CONTAINER_AUTHORIZATION_TOKEN": "wrong"}
        assert "401" in failing_program(server, who, **wrong)
    key = made.stderr.split()[-1]
    assert operator(server, "forget", key).returncode == 0
    refusal = {"id": "InvalidIdInRequest", "token": "401"}[form]
    assert refusal in failing_program(server, who, **variables)
    assert operator(server, "forget", key).returncode == 1
    assert not any(secret in server.log for secret in variables.values())


@pytest.mark.parametrize("form", ["id", "token"])
def test_a_container_whose_program_is_built_on_awss_common_runtime_is_its_role(
    server: Server, account: Account, root, form: str
):
    root.create_role(RoleName="task", AssumeRolePolicyDocument=trust("ecs-tasks.amazonaws.com"))
    role_arn = f"arn:aws:iam::{account.account_id}:role/task"
    made = operator(server, "container", role_arn, *(["--token"] if form == "token" else []))
    assert made.returncode == 0, made.stderr
    variables = dict(line.removeprefix("export ").split("=", 1) for line in made.stdout.splitlines())
    (key,) = program(server, COMMON_RUNTIME_WHO, **variables)
    records = [json.loads(line) for line in (server.folder / "audit.jsonl").read_text().splitlines()]
    minted = {
        record["responseElements"]["credentials"]["accessKeyId"]
        for record in records
        if record["eventName"] == "AssumeRole" and record["requestParameters"]["roleArn"] == role_arn
    }
    assert minted == {key}


def test_a_container_gets_no_role_that_there_is_not(server: Server, account: Account):
    made = operator(server, "container", f"arn:aws:iam::{account.account_id}:role/ghost")
    assert (made.returncode, made.stdout) == (1, "")
    assert "there is no role" in made.stderr


def test_the_operators_certificate_verifies_the_identity_document(
    server: Server, machine: Account, tmp_path: Path
):
    token = new_token(server)
    _, document = get(server, "/latest/dynamic/instance-identity/document", token)
    assert json.loads(document)["accountId"] == machine.account_id
    _, signed = get(server, "/latest/dynamic/instance-identity/rsa2048", token)
    (tmp_path / "document").write_text(document)
    (tmp_path / "rsa2048").write_text(f"-----BEGIN PKCS7-----\n{signed}\n-----END PKCS7-----\n")
    (tmp_path / "certificate").write_text(operator(server, "certificate").stdout)
    command = "smime -verify -in rsa2048 -inform PEM -content document -certfile certificate -noverify"
    told = subprocess.run(
        ["openssl", *command.split()], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert told.stdout == document, told.stderr


def test_all_who_read_get_the_same_credentials_also_while_the_worker_that_minted_them_is_replaced(
    tmp_path: Path,
):
    own = Server(
        tmp_path,
        f"sqlite:{tmp_path / 'broker.db'}",
        arguments=("--workers", "3"),
        environment={"BROKER_METADATA_LOOPBACK_INSTANCE": INSTANCE},
    )
    own.start()
    try:
        account = own.new_account()
        make_machine(own, account, own.client("iam", account.root))
        before = keys_read(own)
        assert len(before) == 1
        os.kill(first_worker(own), signal.SIGKILL)
        after = keys_read(own)
        assert len(after) == 1 and after != before
    finally:
        assert own.stop() == 0, own.log


def first_worker(server: Server) -> int:
    """The process that serves metadata; workers tell each other of themselves once a second."""
    for _ in range(100):
        found = re.search(r'^broker_worker_info\{pid="(\d+)",worker="0"\}', ask(server, "/metrics")[1], re.M)
        if found is not None:
            return int(found[1])
        time.sleep(0.1)
    raise AssertionError("the first worker never told of itself")


def keys_read(server: Server) -> set[str]:
    """Whose keys many readers get, who ask at once, each on connections of its own."""

    def read(_: int) -> str:
        path = "/latest/meta-data/iam/security-credentials/web"
        return str(json.loads(get(server, path, new_token(server))[1])["AccessKeyId"])

    with ThreadPoolExecutor(8) as pool:
        return set(pool.map(read, range(40)))
