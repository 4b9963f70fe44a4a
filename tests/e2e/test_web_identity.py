"""Tokens of a real OpenID provider are traded for credentials of roles that trust it, by unmodified clients."""

import json

import pytest
from botocore.exceptions import ClientError

from tests.e2e.conftest import Account, Keys, Server
from tests.e2e.scenes import allow, new_role, records_of, refused
from tests.e2e.web_identity import ACTION, Scene, new_scene, trust
from tests.identity_providers.fixtures import STS
from tests.identity_providers.openid_provider import OpenIdProvider


@pytest.fixture
def scene(server: Server, account: Account, openid_provider: OpenIdProvider) -> Scene:
    return new_scene(server, account, openid_provider)


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
