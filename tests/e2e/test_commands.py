"""The command line as an operator uses it: `python -m broker …` as a process, beside a real server where it matters."""

import configparser
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.e2e.conftest import REGION, ROOT, Keys, Server
from tests.e2e.scenes import new_user
from tests.ports import free_port

A, B = "111111111111", "222222222222"
TRUSTS_ECS = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": {"Service": "ecs-tasks.amazonaws.com"},
            "Action": "sts:AssumeRole",
        },
    }
)


class Commands:
    """Runs commands on one store; with `server`, on the store of a running one."""

    def __init__(self, settings: dict[str, str], folder: Path) -> None:
        plain = {name: text for name, text in os.environ.items() if not name.startswith(("AWS_", "BROKER_"))}
        self.environment = {**plain, **settings, "PYTHONPATH": str(ROOT)}
        self.folder = folder

    def run(
        self, *arguments: str, standard_input: str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "broker", *arguments],
            cwd=self.folder,
            env={**self.environment, **environment},
            input=standard_input,
            capture_output=True,
            text=True,
            timeout=30,
        )

    def __call__(self, *arguments: str, standard_input: str = "") -> str:
        """What a command that succeeds prints."""
        ended = self.run(*arguments, standard_input=standard_input)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def refused(self, *arguments: str, status: int = 1) -> str:
        """What a command that fails says."""
        ended = self.run(*arguments)
        assert ended.returncode == status, (ended.returncode, ended.stdout, ended.stderr)
        assert "Traceback" not in ended.stderr
        return ended.stderr

    def write(self, name: str, text: str) -> str:
        (self.folder / name).write_text(text)
        return name


@pytest.fixture
def broker(tmp_path: Path) -> Commands:
    return Commands(
        {
            "BROKER_STORE_URL": f"sqlite:{tmp_path}/broker.db",
            "BROKER_KEYS_MASTER_KEY_FILE": f"{tmp_path}/master.key",
            "BROKER_AUDIT_PATH": f"{tmp_path}/audit.jsonl",
        },
        tmp_path,
    )


@pytest.fixture
def beside(server: Server, tmp_path: Path) -> Commands:
    """Commands on the store of the running server, on either engine."""
    return Commands(server.settings, tmp_path)


def exported(text: str) -> Keys:
    """The keys in lines for a shell."""
    values = dict(re.findall(r"^export (\w+)=(.*)$", text, re.MULTILINE))
    return Keys(values["AWS_ACCESS_KEY_ID"], values["AWS_SECRET_ACCESS_KEY"])


def shown_keys(text: str, profile: str) -> Keys:
    """The keys of a profile in what `broker apply` printed, or in a credentials file."""
    parser = configparser.RawConfigParser()
    parser.read_string(text[text.index("[") :])
    return Keys(parser[profile]["aws_access_key_id"], parser[profile]["aws_secret_access_key"])


def declaration(account: str, users: dict[str, Any]) -> str:
    return json.dumps({"accounts": {account: {"users": users}}})  # JSON is YAML


def code_of(refused: pytest.ExceptionInfo[ClientError]) -> str:
    return str(refused.value.response["Error"]["Code"])


def test_help_comes_at_once(broker: Commands) -> None:
    for arguments in (["--help"], ["apply", "--help"], ["policy", "explain", "--help"]):
        started = time.process_time(), os.times()
        broker(*arguments)
        spent = os.times().children_user - started[1].children_user
        assert spent < 0.3, f"broker {' '.join(arguments)} needs {spent:.2f} s"


def test_the_demo_applies_and_applies_again_without_a_change(broker: Commands) -> None:
    demo = str(ROOT / "config" / "demo.yaml")
    planned = broker("apply", demo, "--dry-run")
    assert "37 changes: a dry run, nothing was written" in planned
    assert not (broker.folder / "audit.jsonl").exists()
    made = broker("apply", demo)
    assert planned.splitlines()[:-1] == made.splitlines()[: len(planned.splitlines()) - 1]
    assert "[alice]" in made
    assert broker("apply", demo) == "no changes\n"
    journal = [json.loads(line) for line in (broker.folder / "audit.jsonl").read_text().splitlines()]
    assert len(journal) == 37
    assert shown_keys(made, "alice").secret_access_key not in (broker.folder / "audit.jsonl").read_text()


def test_what_is_applied_beside_a_running_server_is_seen_at_once(server: Server, beside: Commands) -> None:
    account = server.new_account().account_id
    allow = {
        "Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Action": "iam:GetUser", "Resource": "*"},
    }
    alice = {"access_keys": 1, "inline_policies": {"p": allow}}
    shown = beside("apply", beside.write("d.yaml", declaration(account, {"alice": alice})))
    keys = shown_keys(shown, "alice")
    assert server.client("iam", keys).get_user()["User"]["UserName"] == "alice"

    beside("apply", beside.write("d.yaml", declaration(account, {"alice": {"inline_policies": {}}})))
    with pytest.raises(ClientError) as refused:
        server.client("iam", keys).get_user()
    assert code_of(refused) == "AccessDenied"

    assert "- user alice" in beside(
        "apply", beside.write("d.yaml", declaration(account, {})), "--prune", "--yes"
    )
    with pytest.raises(ClientError) as refused:
        server.client("sts", keys).get_caller_identity()
    assert code_of(refused) == "InvalidClientTokenId"


def test_a_root_key_is_made_works_and_is_rotated(server: Server, beside: Commands) -> None:
    account = f"9{time.time_ns() % 10**11:011d}"
    assert "--create-account creates it" in beside.refused("root-key", account)
    shown = beside("root-key", account, "--create-account")
    assert f"export AWS_ENDPOINT_URL={server.url}" in shown
    first = exported(shown)
    assert server.client("sts", first).get_caller_identity()["Arn"] == f"arn:aws:iam::{account}:root"
    assert "--rotate replaces it" in beside.refused("root-key", account)
    second = exported(beside("root-key", account, "--rotate"))
    assert server.client("sts", second).get_caller_identity()["Account"] == account
    with pytest.raises(ClientError) as refused:
        server.client("sts", first).get_caller_identity()
    assert code_of(refused) == "InvalidClientTokenId"


def test_a_root_key_is_what_a_shell_can_eat(broker: Commands) -> None:
    lines = broker("root-key", A, "--create-account")
    ended = subprocess.run(
        ["bash", "-euc", 'eval "$(cat)"; echo "$AWS_ACCESS_KEY_ID $AWS_SECRET_ACCESS_KEY"'],
        input=lines,
        capture_output=True,
        text=True,
        check=True,
    )
    keys = exported(lines)
    assert ended.stdout.strip() == f"{keys.access_key_id} {keys.secret_access_key}"


def test_what_is_printed_is_where_the_broker_serves_and_not_where_settings_say(tmp_path: Path) -> None:
    """It was started with options; the commands read the same settings without them."""
    server = Server(tmp_path, f"sqlite:{tmp_path}/broker.db")
    settings = dict(server.settings)
    other = Server(tmp_path, server.store)
    server.arguments = ("--api", other.api, "--metadata", other.metadata)
    server.api = other.api
    commands = Commands(settings, tmp_path)
    role = declaration(A, {}).replace('"users": {}', f'"roles": {{"app": {{"trust_policy": {TRUSTS_ECS}}}}}')
    with server.running():
        commands("apply", commands.write("d.json", role))
        made = commands("root-key", A)
        assert f"AWS_ENDPOINT_URL=http://{other.api}\n" in made
        made = commands("metadata", "container", f"arn:aws:iam::{A}:role/app")
        url = made.partition("=")[2].strip()
        assert url.startswith(f"http://{other.metadata}/v2/credentials/")
        with urllib.request.urlopen(url, timeout=5) as answer:
            assert json.load(answer)["RoleArn"] == f"arn:aws:iam::{A}:role/app"
        made = commands("metadata", "container", f"arn:aws:iam::{A}:role/app", "--endpoint", "http://h:1")
        assert "=http://h:1/v2/credentials/" in made


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("demo")
    portal = {"BROKER_LISTEN_PORTAL": f"127.0.0.1:{free_port()}"}
    running = Server(folder, f"sqlite:{folder / 'broker.db'}", arguments=("--demo",), environment=portal)
    running.start()
    yield running
    assert running.stop() == 0, running.log


@pytest.fixture
def paste(demo: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Export the variables that the demo printed, whichever they are."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    printed = re.findall(r"^  export (AWS_\w+)=(\S+)$", demo.log, re.MULTILINE)
    assert {name for name, _ in printed} == {"AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"}
    for name, value in printed:
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("paste")
def test_the_demo_works_with_what_it_says_to_paste(demo: Server) -> None:
    alice = boto3.session.Session(profile_name="alice").client("sts").get_caller_identity()
    assert alice["Arn"] == f"arn:aws:iam::{A}:user/alice"
    reader = boto3.session.Session(profile_name="data-reader")
    assert reader.client("sts").get_caller_identity()["Account"] == B
    assert [role["RoleName"] for role in reader.client("iam").list_roles()["Roles"]] == [
        "analyst",
        "data-reader",
        "steward",
    ]


@pytest.mark.usefixtures("paste")
@pytest.mark.parametrize("who", ["bob", "carol"])
def test_the_demo_refuses_those_whom_one_side_does_not_allow(demo: Server, who: str) -> None:
    with pytest.raises(ClientError) as refused:
        boto3.session.Session(profile_name=f"{who}-as-data-reader").client("sts").get_caller_identity()
    assert code_of(refused) == "AccessDenied"


@pytest.mark.usefixtures("paste")
def test_the_demos_administrator_reads_what_a_refusal_says(demo: Server) -> None:
    with pytest.raises(ClientError) as refused:
        boto3.session.Session(profile_name="bob-as-data-reader").client("sts").get_caller_identity()
    encoded = str(refused.value).rpartition(" ")[2]
    admin = boto3.session.Session(profile_name="admin").client("sts")
    decoded = admin.decode_authorization_message(EncodedMessage=encoded)["DecodedMessage"]
    assert json.loads(decoded)["context"]["principal"]["arn"] == f"arn:aws:iam::{A}:user/bob"


def test_a_program_of_the_demo_has_its_instances_role_whatever_keys_its_caller_has(
    demo: Server, tmp_path: Path, cli: Path
) -> None:
    keys = "aws_access_key_id = AKIAOFTHEPERSON00000\naws_secret_access_key = x\n"
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text(f"[default]\n{keys}")
    (tmp_path / ".aws" / "config").write_text("[default]\nendpoint_url = http://127.0.0.1:1\n")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "aws").symlink_to(cli)
    shown = re.search(r"^  env -i .*?get-caller-identity$", demo.log, re.MULTILINE | re.DOTALL)
    assert shown is not None
    ended = subprocess.run(
        ["bash", "-euc", shown[0]],
        env={
            "HOME": str(tmp_path),
            "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
            "AWS_ACCESS_KEY_ID": "AKIAOFTHEPERSON00000",
            "AWS_SECRET_ACCESS_KEY": "x",
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["Arn"] == f"arn:aws:sts::{A}:assumed-role/web-server/i-0a1b2c3d4e5f60001"


def test_a_second_demo_on_the_same_ports_touches_nothing_and_says_so(demo: Server, tmp_path: Path) -> None:
    files = [demo.folder / name for name in ("demo-config", "demo-credentials", "audit.jsonl")]
    before = [file.read_bytes() for file in files]
    ended = Commands(demo.settings, tmp_path).run("serve", "--demo")
    assert (ended.returncode, ended.stdout) == (3, "")
    assert "broker serve: cannot listen on 127.0.0.1" in ended.stderr
    assert [file.read_bytes() for file in files] == before


def test_settings_that_are_read_again_leave_alone_what_the_demo_has_completed(demo: Server) -> None:
    assert demo.process is not None
    demo.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 10
    while "the settings were read again" not in demo.log:
        assert time.monotonic() < deadline, demo.log
        time.sleep(0.05)
    (said,) = [line for line in demo.log.splitlines() if "the settings were read again" in line]
    assert (json.loads(said)["reloaded"], json.loads(said)["need_a_restart"]) == ("", "")


def test_the_demo_keeps_its_keys_over_a_restart_and_replaces_lost_ones(tmp_path: Path) -> None:
    portal = {"BROKER_LISTEN_PORTAL": f"127.0.0.1:{free_port()}"}
    server = Server(tmp_path, f"sqlite:{tmp_path / 'broker.db'}", arguments=("--demo",), environment=portal)
    credentials = tmp_path / "demo-credentials"
    seen = []
    for lose in (False, True, False):
        server.start()
        seen.append(credentials.read_text())
        keys = shown_keys(seen[-1], "alice")
        assert server.client("sts", keys).get_caller_identity()["Account"] == A
        assert server.stop() == 0
        if lose:
            credentials.unlink()
    assert credentials.stat().st_mode & 0o777 == 0o600
    assert seen[0] == seen[1] != seen[2]


def test_a_printed_profile_leads_a_client_here(
    server: Server, beside: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = server.new_account()
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    block = beside("config", "print", "--profile", "here", "--region", REGION)
    config = beside.folder / "config"
    config.write_text(block)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", account.root.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", account.root.secret_access_key)
    client = boto3.session.Session(profile_name="here")
    assert client.region_name == REGION
    # Keys of the environment count less than a profile that is named in code, so they are handed over.
    keys = {
        "aws_access_key_id": account.root.access_key_id,
        "aws_secret_access_key": account.root.secret_access_key,
    }
    assert client.client("sts", **keys).get_caller_identity()["Account"] == account.account_id


def test_a_session_survives_the_rotation_of_its_key(server: Server, beside: Commands) -> None:
    account = server.new_account()
    beside("apply", beside.write("d.yaml", declaration(account.account_id, {"alice": {"access_keys": 1}})))
    session = Keys.of(server.client("sts", account.root).get_session_token()["Credentials"])
    before = beside("keys", "list")
    assert " is staged" in beside("keys", "rotate")
    assert "not every node may know it" in beside.refused("keys", "rotate")
    assert " is primary" in beside("keys", "rotate", "--at-once")
    after = beside("keys", "list")
    old = re.search(r"sessions\s+(\w+)\s+primary", before)
    assert old is not None
    assert re.search(rf"sessions\s+{old.group(1)}\s+retired", after)
    assert server.client("sts", session).get_caller_identity()["Account"] == account.account_id


def test_the_master_key_is_rotated_and_the_old_one_is_needed_no_more(tmp_path: Path) -> None:
    server = Server(tmp_path, f"sqlite:{tmp_path / 'broker.db'}")
    commands = Commands(server.settings, tmp_path)
    keys = exported(commands("root-key", A, "--create-account"))
    first = (tmp_path / "master.key").read_bytes()
    commands("keys", "master", "--rotate")
    assert (tmp_path / "master.key.previous").read_bytes() == first
    assert "--finish comes first" in commands.refused("keys", "master", "--rotate")
    commands("keys", "master", "--finish")
    assert not (tmp_path / "master.key.previous").exists()
    assert (tmp_path / "master.key").read_bytes() != first
    server.start()
    assert server.client("sts", keys).get_caller_identity()["Account"] == A
    server.stop()
    (tmp_path / "master.key").write_bytes(first)
    assert "does not open with this master key" in commands.refused("keys", "list", status=2)


def test_a_token_shows_its_claims_and_no_secret(server: Server, beside: Commands) -> None:
    account = server.new_account()
    credentials = server.client("sts", account.root).get_session_token()["Credentials"]
    shown = beside("token", "inspect", standard_input=credentials["SessionToken"])
    claims = json.loads(shown)
    assert (claims["arn"], claims["access_key_id"]) == (
        f"arn:aws:iam::{account.account_id}:root",
        credentials["AccessKeyId"],
    )
    assert claims["is_expired"] is False
    assert credentials["SecretAccessKey"] not in shown
    assert "no token of this broker's keyring" in beside.refused("token", "inspect", "AAAA")


def test_the_journal_is_read_and_followed(server: Server, beside: Commands) -> None:
    account = server.new_account()
    follower = subprocess.Popen(
        [sys.executable, "-m", "broker", "audit", "tail", "-f", "-n", "0"],
        cwd=beside.folder,
        env=beside.environment,
        stdout=subprocess.PIPE,
    )
    assert follower.stdout is not None
    os.set_blocking(follower.stdout.fileno(), False)
    shown, deadline = b"", time.monotonic() + 20
    try:
        while account.account_id.encode() not in shown and time.monotonic() < deadline:
            server.client("sts", account.root).get_caller_identity()
            time.sleep(0.3)
            shown += follower.stdout.read() or b""
    finally:
        follower.terminate()
        follower.wait()
        follower.stdout.close()
    line = next(line for line in shown.decode().splitlines() if account.account_id in line)
    assert "sts:GetCallerIdentity" in line
    whole = [json.loads(one) for one in beside("audit", "tail", "--json", "-n", "5").splitlines()]
    assert whole
    assert all("eventName" in record for record in whole)


def test_a_record_is_found_by_who_and_what_and_how(server: Server, beside: Commands) -> None:
    account = server.new_account()
    nobody = new_user(server, account, "nobody-much")
    with pytest.raises(ClientError) as denied:
        server.client("iam", nobody).list_users()
    request_id = denied.value.response["ResponseMetadata"]["RequestId"]
    options = ["--account", account.account_id, "--principal", "nobody-much", "--event", "iam:ListUsers"]
    (line,) = beside("audit", "find", *options, "--outcome", "denied", "--since", "1h").splitlines()
    assert json.loads(line)["requestID"] == request_id


def in_a_shell(broker: Commands, line: str) -> subprocess.CompletedProcess[str]:
    """`broker` in the line is the command; the status is that of the first command of a pipe."""
    script = f'set -o pipefail; broker() {{ "{sys.executable}" -m broker "$@"; }}; {line}'
    return subprocess.run(
        ["bash", "-c", script],
        cwd=broker.folder,
        env=broker.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


UNREAD = ["| head -0", "| (exec <&-; sleep 1)", "> /dev/full", ">&-"]


def recorded(broker: Commands) -> list[str]:
    records = map(json.loads, (broker.folder / "audit.jsonl").read_text().splitlines())
    return [record["eventName"] for record in records]


@pytest.mark.parametrize("end", UNREAD)
def test_a_root_key_that_cannot_be_shown_is_taken_back(broker: Commands, end: str) -> None:
    broker("root-key", B, "--create-account")
    ended = in_a_shell(broker, f"broker root-key {A} --create-account {end}")
    assert ended.returncode == 3
    assert re.search(
        r"the new root key AKIA\w+ could not be shown \(.+\) and was taken back\n$", ended.stderr
    )
    assert "Exception" not in ended.stderr
    assert recorded(broker)[1:] == ["CreateRootAccessKey", "DeleteAccessKey"]
    exported(broker("root-key", A))

    ended = in_a_shell(broker, f"broker root-key {A} --rotate {end}")
    assert ended.returncode == 3
    assert re.search(r"was taken back; AKIA\w+ stays deleted\n$", ended.stderr)
    exported(broker("root-key", A))


@pytest.mark.parametrize("end", [*UNREAD, "| head -1", "| head -3"])
def test_access_keys_of_a_declaration_that_cannot_be_shown_are_taken_back(broker: Commands, end: str) -> None:
    file = broker.write("d.yaml", declaration(A, {"alice": {"access_keys": 1}, "bob": {"access_keys": 1}}))
    ended = in_a_shell(broker, f"broker apply {file} {end}")
    assert ended.returncode == 3
    assert re.search(
        r"the new access key AKIA\w+, AKIA\w+ could not be shown \(.+\) and was taken back", ended.stderr
    )
    assert recorded(broker)[-2:] == ["DeleteAccessKey", "DeleteAccessKey"]
    again = broker("apply", file)
    assert again.count("access key\n") == 2
    assert shown_keys(again, "bob").access_key_id.startswith("AKIA")


def test_a_declaration_without_new_keys_may_be_read_in_part(broker: Commands) -> None:
    file = broker.write("d.yaml", declaration(A, {"alice": {}}))
    ended = in_a_shell(broker, f"broker apply {file} | head -1")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"account {A}\n", "")
    ended = in_a_shell(broker, f"broker apply {file} > /dev/full")
    assert (ended.returncode, "done, but not shown" in ended.stderr) == (3, True)


@pytest.mark.parametrize("options", ["", "--token"])
def test_a_container_whose_id_cannot_be_shown_is_taken_back(broker: Commands, options: str) -> None:
    trusted = {
        "Effect": "Allow",
        "Principal": {"Service": "ecs-tasks.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    role = {"trust_policy": {"Version": "2012-10-17", "Statement": trusted}}
    broker("apply", broker.write("d.yaml", json.dumps({"accounts": {A: {"roles": {"app": role}}}})))
    line = f"broker metadata container arn:aws:iam::{A}:role/app {options}"
    ended = in_a_shell(broker, f"{line} > /dev/full")
    assert ended.returncode == 3
    (key,) = re.findall(r"the container (\S+) could not be shown \(.+\) and was taken back", ended.stderr)
    assert recorded(broker)[-2:] == ["PutContainer", "DeleteContainer"]
    assert f"there is no container {key}" in broker.refused("metadata", "forget", key)


def test_what_reads_when_the_command_has_ended_reads_the_key(broker: Commands) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "broker", "root-key", A, "--create-account"],
        cwd=broker.folder,
        env=broker.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.wait(30) == 0
    assert process.stdout is not None
    with process.stdout as output:
        exported(output.read())


def test_where_the_journal_is_full_no_key_is_made(broker: Commands) -> None:
    file = broker.write("d.yaml", declaration(A, {"alice": {"access_keys": 1}}))
    for arguments in (
        ["root-key", A, "--create-account"],
        ["apply", file],
        ["apply", file, "--credentials", "c"],
    ):
        ended = broker.run(*arguments, BROKER_AUDIT_PATH="/dev/full")
        assert ended.returncode == 3
        assert "nothing was changed: the journal cannot be written: /dev/full: No space left" in ended.stderr
        assert "never journalled" not in ended.stderr, "nothing was done that would have to be"
        assert ended.stdout == ""
    assert broker("apply", file).startswith(f"account {A}\n  + account {A}\n")
    exported(broker("root-key", A))
