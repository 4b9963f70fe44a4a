"""Keys under a living broker: rotation, restart, and a master key that is not the one."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from broker.sealing.key import KEY_ID_SIZE
from broker.sealing.text import decode_text
from tests.e2e.conftest import ROOT, Account, Keys, Server


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A server of this test alone, to be stopped and started."""
    server = Server(tmp_path, f"sqlite:{tmp_path / 'broker.db'}")
    server.start()
    yield server
    if server.process is not None and server.process.poll() is None:
        server.stop()


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


def test_a_session_outlives_the_rotation_of_the_key_that_sealed_it(own_server: Server):
    account = own_server.new_account()
    old = session_of(own_server, account)
    for options in ((), ("--at-once",)):
        rotated = broker(own_server, "keys", "rotate", *options)
        assert rotated.returncode == 0, rotated.stderr
    assert who_is(own_server, old).endswith(":root")
    own_server.stop()
    own_server.start()
    new = session_of(own_server, account)
    assert who_is(own_server, old) == who_is(own_server, new)
    assert sealing_key_of(old) != sealing_key_of(new)


def test_records_sealed_before_a_rotation_of_the_storage_ring_still_open(own_server: Server):
    account = own_server.new_account()
    own_server.client("iam", account.root).create_user(UserName="before")
    for options in ((), ("--at-once",)):
        rotated = broker(own_server, "keys", "rotate", "--ring", "storage", *options)
        assert rotated.returncode == 0, rotated.stderr
    own_server.stop()
    own_server.start()
    iam = own_server.client("iam", account.root)
    iam.create_user(UserName="after")
    assert [user["UserName"] for user in iam.list_users()["Users"]] == ["after", "before"]


def test_the_broker_does_not_start_with_another_master_key(own_server: Server):
    own_server.stop()
    own_server.environment["BROKER_KEYS_MASTER_KEY"] = bytes(range(32)).hex()
    refused = broker(own_server, "serve")
    assert refused.returncode == 1
    assert "does not open with this master key" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_the_broker_does_not_make_a_master_key_where_it_may_not(own_server: Server):
    own_server.stop()
    Path(own_server.settings["BROKER_KEYS_MASTER_KEY_FILE"]).unlink()
    own_server.environment["BROKER_KEYS_CREATE_MASTER_KEY"] = "false"
    refused = broker(own_server, "serve")
    assert refused.returncode == 1
    assert "there is no master key" in refused.stderr


def test_a_store_opens_by_the_master_key_that_systemd_hands_over(own_server: Server, tmp_path: Path):
    """`LoadCredential=broker-master-key:…`, as `deploy/systemd` has it; it counts more than the file."""
    account = own_server.new_account()
    session = session_of(own_server, account)
    own_server.stop()
    directory = tmp_path / "credentials"
    directory.mkdir(0o700)
    file = tmp_path / "master.key"
    file.rename(directory / "broker-master-key")
    own_server.environment |= {
        "CREDENTIALS_DIRECTORY": str(directory),
        "BROKER_KEYS_CREATE_MASTER_KEY": "false",
    }
    own_server.start()
    assert who_is(own_server, session) == who_is(own_server, account.root)
    assert not file.exists()
    own_server.stop()
    file.write_text(bytes(range(32)).hex())
    own_server.start()
    assert who_is(own_server, session).endswith(":root")


def test_a_master_key_of_systemd_that_is_not_the_stores_opens_nothing(own_server: Server, tmp_path: Path):
    own_server.stop()
    (tmp_path / "broker-master-key").write_text(bytes(range(32)).hex())
    own_server.environment["CREDENTIALS_DIRECTORY"] = str(tmp_path)
    refused = broker(own_server, "serve")
    assert refused.returncode == 1
    assert "does not open with this master key" in refused.stderr


def test_a_session_of_another_broker_is_nobodys(own_server: Server, server: Server):
    elsewhere = session_of(server, server.new_account())
    with pytest.raises(ClientError, match="InvalidClientTokenId"):
        who_is(own_server, elsewhere)


def test_no_secret_lies_in_the_clear_in_the_store_or_the_journal(own_server: Server):
    account = own_server.new_account()
    iam = own_server.client("iam", account.root)
    iam.create_user(UserName="alice")
    key = iam.create_access_key(UserName="alice")["AccessKey"]
    session = session_of(own_server, account)
    own_server.stop()
    files = {file: file.read_bytes() for file in own_server.folder.rglob("*") if file.is_file()}
    assert any(b"alice" in content for content in files.values())
    for secret in (
        key["SecretAccessKey"],
        account.root.secret_access_key,
        session.secret_access_key,
        session.session_token or "",
    ):
        assert not [file for file, content in files.items() if secret.encode() in content]
