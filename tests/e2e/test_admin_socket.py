"""Commands against the running broker by its admin socket: without the master key, each in the journal."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import ROOT, Server
from tests.e2e.test_commands import Commands, declaration, exported, in_a_shell, shown_keys

A, B = "111111111111", "222222222222"
NOBODY = 65534


@pytest.fixture(scope="module")
def served() -> Iterator[Server]:
    """Of two workers: the first has the socket."""
    folder = Path(tempfile.mkdtemp(prefix="bk-"))  # the path of a socket has 107 bytes at most
    environment = {"BROKER_LISTEN_ADMIN": str(folder / "admin.sock"), "BROKER_LISTEN_WORKERS": "2"}
    try:
        with Server(folder, f"sqlite:{folder / 'broker.db'}", environment=environment).running() as server:
            yield server
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def asking(served: Server, tmp_path: Path) -> Commands:
    """Commands that know the socket and nothing else: neither the store nor the master key."""
    return Commands({"BROKER_LISTEN_ADMIN": served.environment["BROKER_LISTEN_ADMIN"]}, tmp_path)


def calls(server: Server) -> list[dict[str, Any]]:
    records = map(json.loads, (server.folder / "audit.jsonl").read_text().splitlines())
    return [record for record in records if record["eventName"] == "AdminCommand"]


def test_every_command_works_without_the_master_key(served: Server, asking: Commands):
    account = "333333333333"
    root = exported(asking("root-key", account, "--create-account"))
    assert served.client("sts", root).get_caller_identity()["Account"] == account
    file = asking.write("d.yaml", declaration(account, {"alice": {"access_keys": 1}}))
    alice = shown_keys(asking("apply", file), "alice")
    assert served.client("sts", alice).get_caller_identity()["Arn"].endswith(":user/alice")
    assert "no changes" in asking("apply", file)
    stores = {f"arn:aws:iam::{account}:oidc-provider/login.example.com": {"bearer_tokens": 1}}
    identities = {"open_id_connect_providers": {"login.example.com": {}}, "identity_stores": stores}
    file = asking.write("identities.json", json.dumps({"accounts": {account: identities}}))
    assert f"scim.{account}.d-" in asking("apply", file)
    session = served.client("sts", root).get_session_token()["Credentials"]
    shown = asking("token", "inspect", standard_input=session["SessionToken"])
    assert json.loads(shown)["access_key_id"] == session["AccessKeyId"]
    assert "STATE" in asking("sessions", "--account", account)
    assert "storage" in asking("keys", "list")
    allow = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}
    policy = asking.write("allow.json", json.dumps(allow))
    principal = ("--principal", f"arn:aws:iam::{account}:user/alice", "--action", "s3:GetObject")
    assert "allowed" in asking("policy", "simulate", "--policy", policy, *principal)
    assert asking.run("policy", "simulate", *principal).returncode == 1
    assert "has this password now" in asking("root-password", account, standard_input="My-Own-Words-1\n")
    assert "minimum length" in asking.run("root-password", account, standard_input="x\n").stderr
    assert "BEGIN CERTIFICATE" in asking("metadata", "certificate")
    assert "live session" in asking("revoke", "root", account)
    backup = served.folder / f"backup-{account}.db"
    backed_up = asking.run("backup", str(backup))
    assert "each opened with the master key" in backed_up.stdout, served.log
    assert backup.exists() and not list(asking.folder.glob("*.db"))


def test_a_command_is_refused_as_it_is_without_the_socket(served: Server, asking: Commands):
    assert "--create-account creates it" in asking.refused("root-key", "999999999999")
    assert "is no account id" in asking.refused("root-key", "1", status=2)
    assert "unrecognized arguments" in asking.refused("sessions", "--wings", status=2)


def test_each_call_is_in_the_journal_with_who_asked_and_no_secret(served: Server, asking: Commands):
    before = len(calls(served))
    asking("keys", "list")
    token = "a-session-token"
    asking.refused("token", "inspect", token)
    listed, inspected = calls(served)[before:]
    assert listed["requestParameters"] == {"arguments": ["keys", "list"]}
    assert listed["userIdentity"] == {
        "type": "Operator",
        "userName": "root" if os.geteuid() == 0 else os.getlogin(),
    }
    assert set(listed["additionalEventData"]["adminSocket"]) == {"pid", "uid"}
    assert token not in json.dumps(inspected)


def test_a_change_is_recorded_as_the_peers(served: Server, asking: Commands):
    account = "444444444444"
    asking("root-key", account, "--create-account")
    line = (served.folder / "audit.jsonl").read_text().splitlines()[-1]
    record = json.loads(line)
    assert record["eventName"] == "CreateRootAccessKey"
    assert record["additionalEventData"]["adminSocket"]["uid"] == os.geteuid()


@pytest.mark.parametrize("end", ["> /dev/full", "| (exec <&-; sleep 1)", ">&-"])
def test_a_secret_that_the_command_cannot_print_is_taken_back(served: Server, asking: Commands, end: str):
    account = f"{abs(hash((end, served.folder))) % 10**11 + 5 * 10**11:012d}"
    ended = in_a_shell(asking, f"broker root-key {account} --create-account {end}")
    assert ended.returncode == 3
    assert re.search(
        r"the new root key AKIA\w+ could not be shown \(.+\) and was taken back\n$", ended.stderr
    )
    exported(asking("root-key", account))


@pytest.mark.parametrize(
    "line",
    [
        b"no json\n",
        b'{"arguments": 1}\n',
        b'{"arguments": ["serve"]}\n',
        b'{"arguments": ["keys","master"]}\n',
    ],
)
def test_what_is_no_request_or_no_command_for_the_socket_is_wrong_use(served: Server, line: bytes):
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(served.environment["BROKER_LISTEN_ADMIN"])
        raw.sendall(line)
        assert json.loads(raw.makefile().readline())["status"] == 2


def test_files_of_the_serving_process_are_not_read_for_others(served: Server, asking: Commands):
    named = str(served.folder / "master.key")
    arguments = [
        "policy",
        "simulate",
        "--policy",
        named,
        "--principal",
        f"arn:aws:iam::{A}:root",
        "--action",
        "s3:Get",
    ]
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(served.environment["BROKER_LISTEN_ADMIN"])
        raw.sendall(json.dumps({"arguments": arguments}).encode() + b"\n")
        answer = json.loads(raw.makefile().readline())
    assert answer["status"] == 2 and "was not sent with the request" in answer["errors"]
    secret = {"access_keys": [{"access_key_id": "AKIAFIXEDKEY00000000", "secret_file": named}]}
    file = asking.write("fixed.yaml", declaration(B, {"eve": secret}))
    assert "add --direct" in asking.refused("apply", file, status=2)
    assert "AKIAFIXEDKEY" not in (served.folder / "audit.jsonl").read_text()


def as_nobody(asking: Commands, *arguments: str) -> subprocess.CompletedProcess[str]:
    user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    return subprocess.run(
        [*user, sys.executable, "-m", "broker", *arguments],
        cwd="/",
        env={**asking.environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


@pytest.mark.root
def test_others_are_kept_out_by_the_files_mode_and_by_the_kernels_word(served: Server, asking: Commands):
    path = Path(served.environment["BROKER_LISTEN_ADMIN"])
    assert path.stat().st_mode & 0o777 == 0o660
    served.folder.chmod(0o711)
    ended = as_nobody(asking, "keys", "list")
    assert ended.returncode == 2 and "its group may use it" in ended.stderr, ended
    before = len(calls(served))
    path.chmod(0o666)
    try:
        ended = as_nobody(asking, "keys", "list")
    finally:
        path.chmod(0o660)
        served.folder.chmod(0o700)
    assert ended.returncode == 1 and "is neither root nor in the group" in ended.stderr
    (refused,) = calls(served)[before:]
    assert refused["errorCode"] == "AccessDenied"


def test_without_the_broker_commands_open_the_store_and_a_new_one_takes_the_socket(tmp_path: Path):
    folder = Path(tempfile.mkdtemp(prefix="bk-"))
    environment = {"BROKER_LISTEN_ADMIN": str(folder / "admin.sock")}
    server = Server(folder, f"sqlite:{folder / 'broker.db'}", environment=environment)
    commands = Commands(server.settings, tmp_path)
    try:
        for _ in range(2):
            with server.running():
                commands("keys", "list")
            assert (folder / "admin.sock").exists(), "left behind, and no hindrance"
            commands("keys", "list")
        assert len(calls(server)) == 2
        with server.running():
            commands("keys", "list", "--direct")
            assert len(calls(server)) == 2
            assert "another broker listens there" in Commands(
                {
                    **server.settings,
                    **dict.fromkeys(("BROKER_LISTEN_API", "BROKER_LISTEN_METADATA"), "127.0.0.1:0"),
                    "BROKER_LISTEN_OPERATIONS": "127.0.0.1:0",
                },
                tmp_path,
            ).refused("serve", status=2)
    finally:
        shutil.rmtree(folder)
