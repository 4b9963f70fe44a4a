"""Tokens of a real OpenID provider are traded for credentials of roles that trust it, by unmodified clients."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.e2e.conftest import REGION, Account, Keys, Server
from tests.e2e.scenes import allow, new_role, records_of, refused
from tests.identity_providers.fixtures import STS
from tests.identity_providers.openid_provider import OpenIdProvider

ACTION = "sts:AssumeRoleWithWebIdentity"
BOTO3 = """
import boto3, json
print(json.dumps(boto3.client("sts").get_caller_identity()["Arn"]))
"""


@dataclass(frozen=True)
class Scene:
    """An account that knows the provider, and the role `deployer` that its pipeline may take."""

    server: Server
    account: Account
    provider: OpenIdProvider
    provider_arn: str
    role_arn: str

    @property
    def issuer(self) -> str:
        """What condition keys call the provider."""
        return self.provider.issuer.removeprefix("http://")

    def trust_policy(self, *actions: str, **conditions: Any) -> None:
        statement = trust(self.provider_arn, *actions, **conditions)
        document = json.dumps({"Version": "2012-10-17", "Statement": statement})
        iam = self.server.client("iam", self.account.root)
        iam.update_assume_role_policy(RoleName="deployer", PolicyDocument=document)

    def token(self, resource: str = "urn:sts") -> str:
        return self.provider.machine_token("pipeline", resource)

    def assume(self, token: str, **options: Any) -> Any:
        sts = self.server.client("sts", None)
        request = {"RoleArn": self.role_arn, "RoleSessionName": "run-7", "WebIdentityToken": token, **options}
        return sts.assume_role_with_web_identity(**request)

    def refused(self, token: str, **options: Any) -> tuple[int, str, str]:
        return refused(lambda: self.assume(token, **options))


def trust(provider: str, *actions: str, **conditions: Any) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Principal": {"Federated": provider},
        "Action": list(actions) or [ACTION],
        "Condition": conditions,
    }


@pytest.fixture
def scene(server: Server, account: Account, openid_provider: OpenIdProvider) -> Scene:
    iam = server.client("iam", account.root)
    created = iam.create_open_id_connect_provider(
        Url=openid_provider.issuer, ClientIDList=[STS, "web"], ThumbprintList=["0" * 40]
    )
    arn = created["OpenIDConnectProviderArn"]
    role = new_role(server, account, "deployer", trust(arn), allow("iam:ListUsers"))
    return Scene(server, account, openid_provider, arn, role)


@pytest.mark.parametrize("resource", ["urn:sts", "urn:sts:es256"])
def test_a_pipeline_gets_credentials_of_the_role_and_uses_them(scene: Scene, resource: str) -> None:
    answer = scene.assume(scene.token(resource))
    assert answer["Provider"] == scene.provider_arn
    assert (answer["SubjectFromWebIdentityToken"], answer["Audience"]) == ("pipeline", STS)
    keys = Keys.of(answer["Credentials"])
    arn = scene.server.client("sts", keys).get_caller_identity()["Arn"]
    assert arn == answer["AssumedRoleUser"]["Arn"]
    assert scene.server.client("iam", keys).list_users()["Users"] == []
    assert refused(scene.server.client("iam", keys).list_roles)[1] == "AccessDenied"


def test_a_condition_on_a_claim_decides_who_may(scene: Scene) -> None:
    scene.trust_policy(StringEquals={f"{scene.issuer}:repository": "group/project"})
    assert scene.assume(scene.token())
    scene.trust_policy(StringEquals={f"{scene.issuer}:repository": "group/other"})
    assert scene.refused(scene.token()) == (403, "AccessDenied", f"Not authorized to perform {ACTION}")


def test_a_person_brings_tags_and_a_source_identity(scene: Scene) -> None:
    token = scene.provider.sign_in("alice", "web")["id_token"]
    refusal = scene.refused(token)
    assert refusal == (403, "AccessDenied", "Not authorized to perform sts:TagSession")
    scene.trust_policy(ACTION, "sts:TagSession", "sts:SetSourceIdentity")
    answer = scene.assume(token)
    assert answer["SourceIdentity"] == "alice"
    assert answer["PackedPolicySize"] > 0


def test_the_session_is_known_by_its_provider_and_its_subject(scene: Scene) -> None:
    """`aws:FederatedProvider` and the subject are condition keys of later requests."""
    iam = scene.server.client("iam", scene.account.root)
    condition = {
        "StringEquals": {"aws:FederatedProvider": scene.provider_arn, f"{scene.issuer}:sub": "pipeline"}
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": allow("iam:ListRoles", Condition=condition)})
    iam.put_role_policy(RoleName="deployer", PolicyName="federated", PolicyDocument=policy)
    keys = Keys.of(scene.assume(scene.token())["Credentials"])
    assert len(scene.server.client("iam", keys).list_roles()["Roles"]) == 1


def test_the_journal_names_the_check_that_failed(scene: Scene) -> None:
    """The client reads AWS's vague sentence."""
    header, claims, _ = scene.token().split(".")
    forged = f"{header}.{claims}.{'A' * 342}"
    with pytest.raises(ClientError) as error:
        scene.assume(forged)
    answer = error.value.response
    assert answer["Error"]["Code"] == "InvalidIdentityToken"
    assert "signature" not in answer["Error"]["Message"]
    (record,) = records_of(scene.server, answer["ResponseMetadata"]["RequestId"])
    assert record["errorMessage"].startswith("check failed: signature: ")
    assert forged not in json.dumps(record)


def test_what_was_traded_is_recorded(scene: Scene) -> None:
    answer = scene.assume(scene.token())
    (record,) = records_of(scene.server, answer["ResponseMetadata"]["RequestId"])
    assert record["userIdentity"]["type"] == "WebIdentityUser"
    assert record["userIdentity"]["principalId"].endswith(":pipeline")
    assert record["recipientAccountId"] == scene.account.account_id
    assert record["eventName"] == "AssumeRoleWithWebIdentity"
    assert scene.token().split(".")[2] not in json.dumps(record)


def test_a_token_for_another_audience_is_refused(scene: Scene) -> None:
    iam = scene.server.client("iam", scene.account.root)
    iam.remove_client_id_from_open_id_connect_provider(
        OpenIDConnectProviderArn=scene.provider_arn, ClientID=STS
    )
    assert scene.refused(scene.token()) == (400, "InvalidIdentityToken", "Incorrect token audience")


def test_a_provider_that_was_deleted_proves_nobody(scene: Scene) -> None:
    iam = scene.server.client("iam", scene.account.root)
    iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=scene.provider_arn)
    status, code, message = scene.refused(scene.token())
    assert (status, code) == (400, "InvalidIdentityToken")
    assert message == f"No OpenIDConnect provider found in your account for {scene.provider.issuer}"


def test_a_provider_of_one_account_proves_nobody_in_another(scene: Scene) -> None:
    other = scene.server.new_account()
    role = new_role(scene.server, other, "deployer", trust(scene.provider_arn))
    assert scene.refused(scene.token(), RoleArn=role)[1] == "InvalidIdentityToken"


@pytest.mark.parametrize("client", ["boto3", "cli-1"])
def test_a_client_finds_its_token_in_a_file_and_needs_no_keys(
    scene: Scene, tmp_path: Path, client: str
) -> None:
    file = tmp_path / "token"
    file.write_text(scene.token())
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(file),
        "AWS_ROLE_ARN": scene.role_arn,
        "AWS_ROLE_SESSION_NAME": "from-file",
        "AWS_ENDPOINT_URL": scene.server.url,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    command = {
        "boto3": [sys.executable, "-c", BOTO3],
        "cli-1": [
            Path(sys.executable).with_name("aws"),
            *("sts", "get-caller-identity", "--query", "Arn", "--output", "json"),
        ],
    }[client]
    ran = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout).endswith(":assumed-role/deployer/from-file")


def test_a_client_refreshes_by_itself(scene: Scene, tmp_path: Path) -> None:
    """boto3's provider trades the file's token again when the credentials are about to end."""
    script = """
import boto3, botocore.credentials, datetime, json
now = botocore.credentials._local_now
session = boto3.session.Session()
credentials = session.get_credentials()
first = credentials.get_frozen_credentials().access_key
# Its clock, as it will be when the hour is nearly over.
later = botocore.credentials._local_now = lambda: now() + datetime.timedelta(minutes=55)
credentials._time_fetcher = later
print(json.dumps([first, credentials.get_frozen_credentials().access_key]))
"""
    file = tmp_path / "token"
    file.write_text(scene.token())
    environment = {
        "PATH": os.environ["PATH"],
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(file),
        "AWS_ROLE_ARN": scene.role_arn,
        "AWS_ENDPOINT_URL": scene.server.url,
        "AWS_DEFAULT_REGION": REGION,
    }
    ran = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, check=False, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    first, second = json.loads(ran.stdout)
    assert first != second
