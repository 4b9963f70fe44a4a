"""A root user that automation brings along in BROKER_ROOT_…: on both engines, of an account with nothing in it."""

from collections.abc import Iterator

import pytest

from broker.storage.engine import Engine
from broker.storage.redis import RedisEngine
from broker.storage.sqlite import SqliteEngine
from tests.e2e.conftest import Keys, Server
from tests.redis_server import RedisServer

ACCOUNT = "210987654321"
KEYS = Keys("bootstrapAdmin02", "a-secret-of-the-operators-own-choosing")


@pytest.fixture
def bare(server: Server, redis_server: RedisServer) -> Iterator[Server]:
    """A broker on an empty store of the same engine as `server`, whose settings name a root user."""
    folder = server.folder / "bare"
    folder.mkdir()
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
        RedisEngine(url) if url.startswith("redis:") else SqliteEngine(url.removeprefix("sqlite:"), lambda: 0)
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
