"""`broker whoami`, `env` and `assume-role`: a person's commands, with profiles of their own, on a running server."""

import json
import os
import pty
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.conftest import Account, Keys, Server
from tests.e2e.scenes import Phone, allow, new_role, new_user, trust
from tests.ports import free_port

# They are clients: which engine the broker has makes no difference.
pytestmark = pytest.mark.parametrize("server", ["sqlite"], indirect=True)


@dataclass
class Person:
    """alice, who may take the role `reader`; her profiles are in `folder`."""

    server: Server
    account: Account
    keys: Keys
    role: str
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        plain = {name: text for name, text in os.environ.items() if not name.startswith(("AWS_", "BROKER_"))}
        return {**plain, "AWS_CONFIG_FILE": str(self.folder / "config"), "AWS_EC2_METADATA_DISABLED": "true"}

    def command(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "broker", *arguments],
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )


@pytest.fixture
def alice(server: Server, account: Account, tmp_path: Path) -> Person:
    keys = new_user(server, account, "alice", allow("sts:AssumeRole", "iam:GetUser"))
    user = f"arn:aws:iam::{account.account_id}:user/alice"
    role = new_role(server, account, "reader", trust(user), allow("iam:ListUsers"))
    (tmp_path / "config").write_text(
        f"[profile alice]\naws_access_key_id = {keys.access_key_id}\n"
        f"aws_secret_access_key = {keys.secret_access_key}\nendpoint_url = {server.url}\n"
        f"[profile reader]\nsource_profile = alice\nrole_arn = {role}\nrole_session_name = night\n"
        f"endpoint_url = {server.url}\n"
    )
    return Person(server, account, keys, role, tmp_path)


def test_whoami_names_the_caller_of_a_profile_and_where_it_was_found(alice: Person) -> None:
    shown = json.loads(alice.command("whoami", "--profile", "reader", "--json").stdout)
    assert shown["Arn"] == f"arn:aws:sts::{alice.account.account_id}:assumed-role/reader/night"
    assert (shown["Method"], shown["Endpoint"]) == ("assume-role", alice.server.url)
    assert "Expires" in shown
    plain = alice.command("whoami", "--profile", "alice")
    assert f"Arn          arn:aws:iam::{alice.account.account_id}:user/alice" in plain.stdout
    assert alice.keys.secret_access_key not in plain.stdout + plain.stderr


def test_the_lines_of_env_are_evaluated_by_a_shell(alice: Person) -> None:
    ended = subprocess.run(
        [
            "bash",
            "-c",
            f'eval "$({sys.executable} -m broker env --profile reader)" && echo "$AWS_REGION $AWS_DEFAULT_REGION" >&2 '
            f"&& {sys.executable} -m broker whoami --json",
        ],
        env=alice.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert json.loads(ended.stdout)["Arn"].endswith(":assumed-role/reader/night"), ended.stderr
    assert json.loads(ended.stdout)["Method"] == "env"
    assert ended.stderr.split() == ["us-east-1", "us-east-1"]


def test_one_command_runs_as_the_role_and_its_status_is_the_commands(alice: Person) -> None:
    asked = ["assume-role", alice.role, "--profile", "alice", "--session-name", "once", "--exec"]
    ended = alice.command(*asked, sys.executable, "-m", "broker", "whoami", "--json", AWS_PROFILE="alice")
    assert json.loads(ended.stdout)["Arn"].endswith(":assumed-role/reader/once"), ended.stderr
    assert alice.command(*asked, "sh", "-c", "exit 7").returncode == 7
    missing = alice.command(*asked, "no-such-command")
    assert (missing.returncode, "no-such-command cannot be run" in missing.stderr) == (2, True)


def test_json_is_what_a_credential_process_prints(alice: Person) -> None:
    process = f"{sys.executable} -m broker assume-role {alice.role} --profile alice --json"
    with (alice.folder / "config").open("a") as config:
        config.write(
            f"[profile process]\ncredential_process = {process}\nendpoint_url = {alice.server.url}\n"
        )
    ended = alice.command("whoami", "--profile", "process", "--json")
    assert json.loads(ended.stdout)["Method"] == "custom-process", ended.stderr


def test_the_code_of_a_device_is_asked_for_in_a_terminal(alice: Person) -> None:
    phone = Phone(alice.server.client("iam", alice.account.root), "alice")
    serial = phone.serial_number
    without = alice.command("assume-role", alice.role, "--profile", "alice", "--mfa-serial", serial)
    assert (without.returncode, "give it with --mfa-code" in without.stderr) == (2, True)
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "broker",
            "assume-role",
            alice.role,
            "--profile",
            "alice",
            "--mfa-serial",
            serial,
            "--json",
        ],
        env=alice.environment,
        stdin=slave,
        stdout=subprocess.PIPE,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    said = b""
    while b"Code of" not in said:  # what is typed before the question is not read
        said += os.read(master, 1000)
    os.write(master, f"{phone.code(1)}\n".encode())
    shown, _ = process.communicate(timeout=60)
    os.close(master)
    assert process.returncode == 0
    assert json.loads(shown)["AccessKeyId"].startswith("ASIA")


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["whoami", "--profile", "nobody"], 2, "profile (nobody) could not be found"),
        (["whoami"], 2, "where is the broker?"),
        (
            ["whoami", "--endpoint", "http://127.0.0.1:{closed}", "--profile", "alice"],
            3,
            "the broker does not answer",
        ),
        (
            ["assume-role", "arn:aws:iam::{account}:role/nothing", "--profile", "alice"],
            1,
            "AccessDenied: User: ",
        ),
        (
            ["assume-role", "{role}", "--profile", "alice", "--mfa-code", "123456"],
            2,
            "--mfa-code needs --mfa-serial",
        ),
        (
            ["assume-role", "{role}", "--profile", "alice", "--policy", "missing.json"],
            2,
            "missing.json cannot be read",
        ),
        (["assume-role", "{role}", "--profile", "alice", "--exec"], 2, "--exec needs a command"),
    ],
)
def test_what_cannot_be_done_is_said_with_a_status(
    alice: Person, arguments: list[str], status: int, said: str
) -> None:
    given = {"closed": free_port(), "account": alice.account.account_id, "role": alice.role}
    ended = alice.command(*(argument.format(**given) for argument in arguments))
    assert ended.returncode == status, ended.stderr
    assert said in ended.stderr
    assert "Encoded" not in ended.stderr
