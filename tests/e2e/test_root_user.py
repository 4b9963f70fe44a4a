"""A root user that automation brings along in BROKER_ROOT_…: on both engines, of an account with nothing in it."""

import json
import os
import re
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from broker.storage.engine import Engine
from broker.storage.redis import RedisEngine
from broker.storage.sqlite import SqliteEngine
from tests.e2e.conftest import Keys, Server
from tests.redis_server import RedisServer

ACCOUNT = "210987654321"
_PIDS = re.compile(r'^broker_worker_info\{pid="(\d+)"', re.MULTILINE).findall
KEYS = Keys("bootstrapAdmin02", "a-secret-of-the-operators-own-choosing")


@pytest.fixture
def bare(
    server: Server, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A broker on an empty store of the same engine as `server`, whose settings name a root user."""
    folder = tmp_path_factory.mktemp("bare")
    is_redis = server.store.startswith("redis:")
    store = redis_server.new_store() if is_redis else f"sqlite:{folder / 'broker.db'}"
    environment = {
        "BROKER_ROOT_ACCOUNT_ID": ACCOUNT,
        "BROKER_ROOT_ACCESS_KEY_ID": KEYS.access_key_id,
        "BROKER_ROOT_SECRET_ACCESS_KEY": KEYS.secret_access_key,
    }
    with Server(folder, store, environment=environment).running() as running:
        yield running


async def accounts(server: Server) -> list[str]:
    url = server.store
    engine: Engine = (
        RedisEngine(url, os.urandom)
        if url.startswith("redis:")
        else SqliteEngine(url.removeprefix("sqlite:"), lambda: 0, os.urandom)
    )
    try:
        return [name.removeprefix("account/") for name in await engine.partitions("account/")]
    finally:
        await engine.close()


async def test_a_root_user_brought_along_finds_its_account_empty_and_no_other(bare: Server) -> None:
    for _ in range(2):
        assert bare.client("sts", KEYS).get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"
        iam = bare.client("iam", KEYS)
        assert iam.list_users()["Users"] == []
        assert iam.list_groups()["Groups"] == []
        assert iam.list_roles()["Roles"] == []
        assert iam.list_policies(Scope="Local")["Policies"] == []
        assert iam.list_policies(OnlyAttached=True)["Policies"] == []
        assert iam.list_instance_profiles()["InstanceProfiles"] == []
        assert iam.list_virtual_mfa_devices()["VirtualMFADevices"] == []
        assert iam.list_account_aliases()["AccountAliases"] == []
        (key,) = iam.list_access_keys()["AccessKeyMetadata"]
        assert key["AccessKeyId"] == KEYS.access_key_id
        assert await accounts(bare) == [ACCOUNT]
        assert bare.stop() == 0, bare.log
        bare.start()


def is_good(server: Server, keys: Keys) -> bool:
    try:
        server.client("sts", keys).get_caller_identity()
    except ClientError as refused:
        assert refused.response["Error"]["Code"] == "InvalidClientTokenId"
        return False
    return True


def records_of_root_keys(server: Server) -> list[dict[str, Any]]:
    lines = (server.folder / "audit.jsonl").read_text().splitlines()
    return [record for record in map(json.loads, lines) if record["eventName"] == "CreateRootAccessKey"]


def test_a_root_key_that_is_brought_along_leaves_one_record_and_no_second_one(bare: Server) -> None:
    assert bare.stop() == 0, bare.log
    bare.start()
    (record,) = records_of_root_keys(bare)
    assert record["eventSource"] == "broker"
    assert record["recipientAccountId"] == ACCOUNT
    assert record["requestParameters"] == {"accessKeyId": KEYS.access_key_id}
    assert KEYS.secret_access_key not in json.dumps(record)


def await_workers(server: Server, before: set[str]) -> set[str]:
    """The process ids of two workers that are none of those `before`."""
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://{server.operations}/metrics", timeout=5) as answer:
                now = set(_PIDS(answer.read().decode()))
            if len(now) == 2 and not now & before:
                return now
        except OSError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"the workers do not come: {server.log}")


def deactivate(iam: Any) -> None:
    iam.update_access_key(AccessKeyId=KEYS.access_key_id, Status="Inactive")


def delete(iam: Any) -> None:
    iam.delete_access_key(AccessKeyId=KEYS.access_key_id)


@pytest.mark.parametrize("revoke", [deactivate, delete])
def test_a_root_key_that_was_revoked_stays_so_whatever_starts_again(
    tmp_path: Path, revoke: Callable[[Any], None]
) -> None:
    """A worker that died, and the whole service with the same environment."""
    environment = {
        "BROKER_ROOT_ACCOUNT_ID": ACCOUNT,
        "BROKER_ROOT_ACCESS_KEY_ID": KEYS.access_key_id,
        "BROKER_ROOT_SECRET_ACCESS_KEY": KEYS.secret_access_key,
    }
    server = Server(tmp_path, f"sqlite:{tmp_path / 'broker.db'}", ("--workers", "2"), environment)
    with server.running():
        iam = server.client("iam", KEYS)
        other = Keys.of(iam.create_access_key()["AccessKey"])
        revoke(server.client("iam", other))
        assert not is_good(server, KEYS)
        known = await_workers(server, set())
        for pid in known:
            os.kill(int(pid), signal.SIGKILL)
        await_workers(server, known)
        assert not is_good(server, KEYS)
        assert is_good(server, other)
    with server.running():
        assert not is_good(server, KEYS)
        assert is_good(server, other)
        assert "was revoked after its import, and stays revoked" in server.log
        # Another id is another wish.
    server.environment = {**environment, "BROKER_ROOT_ACCESS_KEY_ID": "bootstrapAdmin03"}
    with server.running():
        assert is_good(server, Keys("bootstrapAdmin03", KEYS.secret_access_key))
        assert not is_good(server, KEYS)
    assert len(records_of_root_keys(server)) == 2
