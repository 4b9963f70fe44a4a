"""The metadata service with TLS (`listen.metadata_https`): unmodified SDKs in containers take credentials of it."""

import json
import os
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT, Account, Server
from tests.e2e.test_commands import Commands
from tests.e2e.test_tls import Authority
from tests.identity_providers.processes import require_installed, require_program
from tests.ports import free_port

BOTO3 = """
import boto3, json
credentials = boto3.Session().get_credentials()
print(json.dumps([credentials.method, credentials.get_frozen_credentials().access_key]))
"""
JAVASCRIPT = """
const { STSClient } = require(process.argv[1]);
new STSClient({ region: "us-east-1" }).config.credentials().then((got) => console.log(got.accessKeyId));
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("authority"))
    made.found()
    made.issue("metadata.test")
    return made


@pytest.fixture(scope="module")
def secured(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A broker whose metadata service has TLS at another address than the loopback's first, by two workers."""
    folder = tmp_path_factory.mktemp("metadata-https")
    environment = {
        "BROKER_TLS_CERTIFICATE_FILE": str(authority.folder / "chain.pem"),
        "BROKER_TLS_KEY_FILE": str(authority.folder / "key.pem"),
        "BROKER_LISTEN_METADATA_HTTPS": f"127.0.0.1:{free_port()}",
    }
    server = Server(folder, f"sqlite:{folder / 'broker.db'}", ("--workers", "2"), environment)
    with server.running() as running:
        yield running


@pytest.fixture(scope="module")
def account(secured: Server, authority: Authority) -> Account:
    return secured.new_account()


@pytest.fixture(scope="module")
def variables(secured: Server, authority: Authority, account: Account) -> dict[str, str]:
    """What a container of the role `task` is given, as `broker metadata container` prints it."""
    https = secured.environment["BROKER_LISTEN_METADATA_HTTPS"]
    declaration = secured.folder / "role.yaml"
    declaration.write_text(
        f'accounts:\n  "{account.account_id}":\n    roles:\n      task:\n        trust_policy:\n'
        '          {Version: "2012-10-17", Statement: {Effect: Allow, Action: "sts:AssumeRole",'
        " Principal: {Service: ecs-tasks.amazonaws.com}}}\n"
    )
    commands = Commands(secured.settings, secured.folder)
    commands("apply", str(declaration))
    role = f"arn:aws:iam::{account.account_id}:role/task"
    shown = commands("metadata", "container", role, "--token")
    printed = dict(line.removeprefix("export ").split("=", 1) for line in shown.splitlines())
    assert printed["AWS_CONTAINER_CREDENTIALS_FULL_URI"] == f"https://{https}/v1/credentials"
    return printed


def run(command: list[str | Path], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    plain = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "AWS_EC2_METADATA_DISABLED": "true"}
    return subprocess.run(
        command, env={**plain, **environment}, capture_output=True, text=True, timeout=60, check=False
    )


def minted(server: Server) -> set[str]:
    lines = (server.folder / "audit.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    return {
        one["responseElements"]["credentials"]["accessKeyId"]
        for one in records
        if one["eventName"] == "AssumeRole"
    }


def test_boto3_takes_credentials_where_its_authorities_have_ours(
    secured: Server, authority: Authority, variables: dict[str, str], tmp_path: Path
) -> None:
    """For these credentials boto3 asks certifi and not AWS_CA_BUNDLE: this certifi answers as a distribution's does."""
    (tmp_path / "certifi.py").write_text(f"def where():\n    return {str(authority.certificate)!r}\n")
    done = run([sys.executable, "-c", BOTO3], {**variables, "PYTHONPATH": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    method, key = json.loads(done.stdout)
    assert method == "container-role" and key in minted(secured)


def test_boto3_takes_none_of_a_server_that_its_authorities_do_not_know(
    secured: Server, authority: Authority, variables: dict[str, str]
) -> None:
    bundle = {"AWS_CA_BUNDLE": str(authority.certificate)}
    done = run([sys.executable, "-c", BOTO3], {**variables, **bundle})
    assert done.returncode != 0 and "CERTIFICATE_VERIFY_FAILED" in done.stderr


def test_the_sdk_for_javascript_takes_credentials_where_node_is_told_of_the_authority(
    secured: Server, authority: Authority, variables: dict[str, str]
) -> None:
    library = require_installed(
        ROOT / ".tools" / "aws-sdk-js" / "node_modules" / "@aws-sdk" / "client-sts",
        "the AWS SDK for JavaScript",
    )
    trusted = {**variables, "NODE_EXTRA_CA_CERTS": str(authority.certificate)}
    done = run([require_program("node"), "-e", JAVASCRIPT, library], trusted)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in minted(secured)


def test_the_token_is_asked_for_there_as_well(
    secured: Server, authority: Authority, variables: dict[str, str]
) -> None:
    wrong = {"Authorization": "wrong"}
    request = urllib.request.Request(variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"], headers=wrong)
    context = ssl.create_default_context(cafile=authority.certificate)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=20, context=context)
    with refused.value:
        assert refused.value.code == 401
