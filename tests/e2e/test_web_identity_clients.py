"""Clients that are given a role and a file with a token get credentials by themselves, and new ones when these end."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from broker.app import Broker
from broker.names.secret import SecretKey
from broker.sealing.session import open_session
from tests.e2e.conftest import REGION, Account, Server
from tests.e2e.scenes import in_broker, records
from tests.e2e.web_identity import Scene, new_scene
from tests.identity_providers.openid_provider import OpenIdProvider
from tests.identity_providers.processes import ROOT, require_installed, require_program
from tests.s3_endpoint import S3Endpoint

ARN = ":assumed-role/deployer/from-file"
LIFETIME = 1.0  # seconds

BOTO3 = """
import boto3, botocore.credentials, datetime, json
now = botocore.credentials._local_now
session = boto3.session.Session()
credentials = session.get_credentials()
first = credentials.get_frozen_credentials().access_key
# Its clock, as it will be when the hour is nearly over.
later = botocore.credentials._local_now = lambda: now() + datetime.timedelta(minutes=55)
credentials._time_fetcher = later
second = credentials.get_frozen_credentials().access_key
botocore.credentials._local_now = credentials._time_fetcher = now
print(json.dumps([first, second, session.client("sts").get_caller_identity()["Arn"]]))
"""

JAVASCRIPT = """
const { STSClient, GetCallerIdentityCommand } = require(process.argv[1]);
(async () => {
    const client = new STSClient({});
    const first = (await client.config.credentials()).accessKeyId;
    const again = (await client.config.credentials()).accessKeyId;
    if (again !== first) throw new Error("it asks each time");
    const now = Date.now;
    Date.now = () => now() + 56 * 60 * 1000;  // as it will be when the hour is nearly over
    const second = (await client.config.credentials()).accessKeyId;
    Date.now = now;
    const caller = await client.send(new GetCallerIdentityCommand({}));
    console.log(JSON.stringify([first, second, caller.Arn]));
})();
"""


@pytest.fixture
def scene(server: Server, account: Account, openid_provider: OpenIdProvider) -> Scene:
    return new_scene(server, account, openid_provider)


def output(scene: Scene, folder: Path, command: Sequence[str | Path]) -> str:
    """What the client prints that is given the token in a file."""
    file = folder / "token"
    file.write_text(scene.token())
    ran = subprocess.run(
        command, env=scene.environment(file), capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def trades(scene: Scene) -> list[str]:
    """The access key ids that tokens were traded for in the scene's account, as the journal has them, in order."""
    return [
        record["responseElements"]["credentials"]["accessKeyId"]
        for record in records(scene.server)
        if record.get("eventName") == "AssumeRoleWithWebIdentity"
        and record.get("recipientAccountId") == scene.account.account_id
    ]


def test_the_aws_cli_needs_no_keys(scene: Scene, tmp_path: Path, cli: Path) -> None:
    said = output(scene, tmp_path, [cli, "sts", "get-caller-identity", "--output", "json"])
    assert json.loads(said)["Arn"].endswith(ARN)


def test_boto3_refreshes_by_itself(scene: Scene, tmp_path: Path) -> None:
    first, second, arn = json.loads(output(scene, tmp_path, [sys.executable, "-c", BOTO3]))
    assert trades(scene) == [first, second]
    assert arn.endswith(ARN)


def test_the_sdk_for_javascript_refreshes_by_itself(scene: Scene, tmp_path: Path) -> None:
    node = require_program("node")
    library = require_installed(
        ROOT / ".tools" / "aws-sdk-js" / "node_modules" / "@aws-sdk" / "client-sts",
        "the AWS SDK for JavaScript",
    )
    first, second, arn = json.loads(output(scene, tmp_path, [node, "-e", JAVASCRIPT, library]))
    assert trades(scene) == [first, second]
    assert arn.endswith(ARN)


def rclone(scene: Scene, folder: Path, lives_for: float | None) -> tuple[str, list[str]]:
    """What rclone lists, and which keys signed its requests for the pages."""

    def secret_of(token: str) -> SecretKey:
        async def open_token(broker: Broker) -> SecretKey:
            return open_session(broker.keyrings.sessions(), token).secret

        return in_broker(scene.server, open_token)

    program = require_program("rclone")
    with S3Endpoint(scene.server.url, secret_of, lives_for).running() as s3:
        remote = f":s3,env_auth,provider=Other,region={REGION},endpoint='{s3.url}',list_version=1:bucket"
        said = output(scene, folder, [program, "--retries=1", "lsf", remote])
    return said, s3.callers


def test_rclone_signs_with_what_it_got_for_its_token(scene: Scene, tmp_path: Path) -> None:
    said, callers = rclone(scene, tmp_path, None)
    assert said.split() == ["first", "second"]
    (traded,) = trades(scene)
    assert callers == [traded, traded]


def test_rclone_refreshes_by_itself(scene: Scene, tmp_path: Path) -> None:
    said, callers = rclone(scene, tmp_path, LIFETIME)
    assert said.split() == ["first", "second"]
    assert callers == trades(scene)
    assert len(set(callers)) == 2
