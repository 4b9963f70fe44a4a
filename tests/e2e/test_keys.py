"""Keys under a living broker: rotation, restart, and a master key that is not the one."""

import subprocess
import sys
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from broker.sealing.key import KEY_ID_SIZE
from broker.sealing.text import decode_text
from tests.e2e.conftest import ROOT, Account, Keys, Server
from tests.redis_server import RedisServer


def broker(server: Server, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line, beside the running server."""
    return subprocess.run(
        [sys.executable, "-m", "broker", *arguments],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", **server.settings},
        capture_output=True,
        text=True,
        timeout=60,
    )


def session_of(server: Server, account: Account) -> Keys:
    return Keys.of(server.client("sts", account.root).get_session_token()["Credentials"])


def sealing_key_of(keys: Keys) -> bytes:
    assert keys.session_token is not None
    return decode_text(keys.session_token, 4096)[1 : 1 + KEY_ID_SIZE]


def who_is(server: Server, keys: Keys) -> str:
    return str(server.client("sts", keys).get_caller_identity()["Arn"])


def test_a_session_outlives_the_rotation_of_the_key_that_sealed_it(own: Server):
    account = own.new_account()
    old = session_of(own, account)
    for options in ((), ("--at-once",)):
        rotated = broker(own, "keys", "rotate", *options)
        assert rotated.returncode == 0, rotated.stderr
    assert who_is(own, old).endswith(":root")
    own.stop()
    own.start()
    new = session_of(own, account)
    assert who_is(own, old) == who_is(own, new)
    assert sealing_key_of(old) != sealing_key_of(new)


def test_a_session_ends_with_the_key_that_is_dropped(own: Server):
    account = own.new_account()
    old = session_of(own, account)
    for options in (("rotate",), ("rotate", "--at-once"), ("drop", sealing_key_of(old).hex())):
        done = broker(own, "keys", *options)
        assert done.returncode == 0, done.stderr
    own.stop()
    own.start()
    with pytest.raises(ClientError, match="InvalidClientTokenId"):
        who_is(own, old)
    assert who_is(own, session_of(own, account)).endswith(":root")


def test_records_sealed_before_a_rotation_of_the_storage_ring_still_open(own: Server):
    account = own.new_account()
    own.client("iam", account.root).create_user(UserName="before")
    for options in ((), ("--at-once",)):
        rotated = broker(own, "keys", "rotate", "--ring", "storage", *options)
        assert rotated.returncode == 0, rotated.stderr
    own.stop()
    own.start()
    iam = own.client("iam", account.root)
    iam.create_user(UserName="after")
    assert [user["UserName"] for user in iam.list_users()["Users"]] == ["after", "before"]


def test_the_broker_does_not_start_with_another_master_key(own: Server):
    own.stop()
    own.environment["BROKER_KEYS_MASTER_KEY"] = bytes(range(32)).hex()
    refused = broker(own, "serve")
    assert refused.returncode == 2
    assert "does not open with this master key" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_the_broker_does_not_make_a_master_key_where_it_may_not(own: Server):
    own.stop()
    Path(own.settings["BROKER_KEYS_MASTER_KEY_FILE"]).unlink()
    own.environment["BROKER_KEYS_CREATE_MASTER_KEY"] = "false"
    refused = broker(own, "serve")
    assert refused.returncode == 2
    assert "there is no master key" in refused.stderr


def test_a_store_opens_by_the_master_key_that_systemd_hands_over(own: Server, tmp_path: Path):
    """`LoadCredential=broker-master-key:…`, as `deploy/systemd` has it; it counts more than the file."""
    account = own.new_account()
    session = session_of(own, account)
    own.stop()
    directory = tmp_path / "credentials"
    directory.mkdir(0o700)
    file = tmp_path / "master.key"
    file.rename(directory / "broker-master-key")
    own.environment |= {
        "CREDENTIALS_DIRECTORY": str(directory),
        "BROKER_KEYS_CREATE_MASTER_KEY": "false",
    }
    own.start()
    assert who_is(own, session) == who_is(own, account.root)
    assert not file.exists()
    own.stop()
    file.write_text(bytes(range(32)).hex())
    own.start()
    assert who_is(own, session).endswith(":root")


def test_a_master_key_of_systemd_that_is_not_the_stores_opens_nothing(own: Server, tmp_path: Path):
    own.stop()
    (tmp_path / "broker-master-key").write_text(bytes(range(32)).hex())
    own.environment["CREDENTIALS_DIRECTORY"] = str(tmp_path)
    refused = broker(own, "serve")
    assert refused.returncode == 2
    assert "does not open with this master key" in refused.stderr


def test_a_session_of_another_broker_is_nobodys(own: Server, server: Server):
    elsewhere = session_of(server, server.new_account())
    with pytest.raises(ClientError, match="InvalidClientTokenId"):
        who_is(own, elsewhere)


def test_no_secret_lies_in_the_clear_in_the_store_or_the_journal(own: Server):
    account = own.new_account()
    iam = own.client("iam", account.root)
    iam.create_user(UserName="alice")
    key = iam.create_access_key(UserName="alice")["AccessKey"]
    session = session_of(own, account)
    own.stop()
    files = {file: file.read_bytes() for file in own.folder.rglob("*") if file.is_file()}
    assert any(b"alice" in content for content in files.values())
    for secret in (
        key["SecretAccessKey"],
        account.root.secret_access_key,
        session.secret_access_key,
        session.session_token or "",
    ):
        assert not [file for file, content in files.items() if secret.encode() in content]


DECLARATION = '{"accounts": {"111111111111": {"name": "a"}}}'


@pytest.mark.parametrize(
    "command",
    [
        ("serve",),
        ("serve", "--workers", "2"),
        ("apply", "d.json"),
        ("apply", "d.json", "--dry-run"),
        ("root-key", "111111111111", "--create-account"),
        ("keys", "list"),
    ],
)
@pytest.mark.parametrize("engine", ["sqlite", "redis"])
def test_no_master_key_is_made_beside_a_store_that_another_one_sealed(
    tmp_path: Path, redis_server: RedisServer, engine: str, command: tuple[str, ...]
):
    """The command is run in another folder than the first time, or the key was lost."""
    store = redis_server.new_store() if engine == "redis" else f"sqlite:{tmp_path}/broker.db"
    declared = tmp_path / "d.json"
    declared.write_text(DECLARATION)
    server = Server(tmp_path, store)
    applied = broker(server, "apply", str(declared))
    assert applied.returncode == 0, applied.stderr
    server.environment["BROKER_KEYS_MASTER_KEY_FILE"] = str(tmp_path / "elsewhere" / "master.key")
    refused = broker(server, *(str(declared) if one == "d.json" else one for one in command))
    assert refused.returncode == 2, refused.stderr
    assert f"there is no master key: {tmp_path}/elsewhere/master.key does not exist" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "elsewhere").exists()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "master.key").rename(tmp_path / "elsewhere" / "master.key")
    assert broker(server, "keys", "list").returncode == 0


@pytest.mark.parametrize("command", [("root-key", "111111111111"), ("root-key", "111111111111", "--rotate")])
def test_a_root_key_of_an_account_that_must_be_there_makes_no_store(tmp_path: Path, command: tuple[str, ...]):
    server = Server(tmp_path, f"sqlite:{tmp_path}/new/broker.db")
    server.environment["BROKER_KEYS_MASTER_KEY_FILE"] = f"{tmp_path}/new/master.key"
    refused = broker(server, *command)
    assert refused.returncode == 3
    assert f"there is no store: {tmp_path}/new/broker.db does not exist" in refused.stderr
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("engine", ["sqlite", "redis"])
def test_a_dry_run_where_there_is_no_store_shows_all_and_makes_none(
    tmp_path: Path, redis_server: RedisServer, engine: str
):
    (tmp_path / "d.json").write_text(DECLARATION)
    store = redis_server.new_store() if engine == "redis" else f"sqlite:{tmp_path}/new/broker.db"
    server = Server(tmp_path, store)
    server.environment |= {
        "BROKER_KEYS_MASTER_KEY_FILE": f"{tmp_path}/new/master.key",
        "BROKER_AUDIT_PATH": f"{tmp_path}/new/audit.jsonl",
    }
    planned = broker(server, "apply", str(tmp_path / "d.json"), "--dry-run")
    assert planned.returncode == 0, planned.stderr
    assert "account 111111111111" in planned.stdout
    assert "a dry run, nothing was written" in planned.stdout
    assert [file.name for file in tmp_path.iterdir()] == ["d.json"]
    done = broker(server, "apply", str(tmp_path / "d.json"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:-1] == planned.stdout.splitlines()[:-1]


@pytest.mark.parametrize("command", [("keys", "list"), ("keys", "rotate"), ("metadata", "certificate")])
def test_a_command_makes_no_store_where_there_is_none(own: Server, tmp_path: Path, command: tuple[str, ...]):
    own.stop()
    empty = tmp_path / "empty"
    empty.mkdir()
    for settings in (
        {"BROKER_STORE_URL": f"sqlite:{empty}/mistyped.db"},
        {
            "BROKER_KEYS_MASTER_KEY_FILE": f"{empty}/master.key",
            "BROKER_STORE_URL": f"sqlite:{empty}/mistyped.db",
        },
    ):
        ended = subprocess.run(
            [sys.executable, "-m", "broker", *command],
            cwd=ROOT,
            env={"PATH": "/usr/bin:/bin", **own.settings, **settings},
            capture_output=True,
            text=True,
        )
        assert ended.returncode in (2, 3) and ended.stdout == ""
        assert str(empty) in ended.stderr
    assert list(empty.iterdir()) == []
