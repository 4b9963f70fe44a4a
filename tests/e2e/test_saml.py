"""Assertions of real SAML providers are traded for credentials of roles that trust them, by unmodified clients."""

import json
from dataclasses import replace

import pytest

from tests.e2e.conftest import Account, Keys, Server
from tests.e2e.saml import ACTION, Scene, new_scene, trust
from tests.e2e.scenes import new_role, records_of, refused
from tests.e2e.scim import push_people
from tests.identity_providers.certificates import KeyPair
from tests.identity_providers.saml import CONSUMER_URL, SamlProvider, ServiceProvider


@pytest.fixture
def scene(server: Server, account: Account, saml_provider: SamlProvider) -> Scene:
    return new_scene(server, account, saml_provider)


def test_a_person_who_signed_in_gets_credentials_of_the_role_and_uses_them(scene: Scene) -> None:
    answer = scene.assume(scene.sign_in())
    assert answer["AssumedRoleUser"]["Arn"].endswith(":assumed-role/reader/alice@example.com")
    assert (answer["Issuer"], answer["Audience"]) == (scene.provider.entity_id, CONSUMER_URL)
    assert answer["SourceIdentity"] == "alice"
    keys = Keys.of(answer["Credentials"])
    assert scene.server.client("iam", keys).list_users()["Users"] == []
    assert refused(scene.server.client("iam", keys).list_roles)[1] == "AccessDenied"


def test_an_assertion_is_good_once(scene: Scene) -> None:
    assertion = scene.sign_in()
    scene.assume(assertion)
    assert scene.refused(assertion)[1] == "InvalidIdentityToken"
    assert "single use" in scene.reason(assertion)


@pytest.mark.parametrize("protection", ["response", "both", "encrypted"])
def test_each_way_of_protecting_an_assertion_is_understood(scene: Scene, protection: str) -> None:
    ours = KeyPair("the broker")
    consumer = {
        "response": ServiceProvider(signs_response=True, signs_assertion=False),
        "both": ServiceProvider(signs_response=True),
        "encrypted": ServiceProvider(encrypts_to=ours),
    }[protection]
    if protection == "encrypted":
        scene.server.client("iam", scene.account.root).update_saml_provider(
            SAMLProviderArn=scene.provider_arn,
            AssertionEncryptionMode="Required",
            AddPrivateKey=ours.private_pem,
        )
        assert scene.reason(scene.sign_in()).startswith("check failed: encryption mode")
    assert scene.assume(scene.sign_in(consumer))["Subject"]


def test_a_condition_on_the_subject_decides_who_may(scene: Scene) -> None:
    scene.trust_policy(StringEquals={"SAML:iss": scene.provider.entity_id, "SAML:aud": CONSUMER_URL})
    assert scene.assume(scene.sign_in())
    scene.trust_policy(StringEquals={"SAML:iss": "https://other.example.com"})
    assert scene.refused(scene.sign_in()) == (403, "AccessDenied", f"Not authorized to perform {ACTION}")


def test_a_role_that_the_provider_does_not_offer_is_not_given(scene: Scene) -> None:
    other = new_role(scene.server, scene.account, "writer", trust(scene.provider_arn))
    assert scene.reason(scene.sign_in(), RoleArn=other).startswith("check failed: role offered")


def test_an_assertion_for_somebody_else_is_refused(scene: Scene) -> None:
    elsewhere = replace(ServiceProvider(), consumer_url="https://other.example.com/saml")
    assert scene.reason(scene.sign_in(elsewhere)).startswith("check failed: ")
    other = replace(ServiceProvider(), entity_id="urn:other")
    assert scene.reason(scene.sign_in(other)).startswith("check failed: audience")


def test_a_provider_that_was_deleted_proves_nobody(scene: Scene) -> None:
    assertion = scene.sign_in()
    scene.server.client("iam", scene.account.root).delete_saml_provider(SAMLProviderArn=scene.provider_arn)
    assert scene.refused(assertion) == (400, "InvalidIdentityToken", "Specified provider doesn't exist")


def test_what_was_traded_is_recorded_without_the_assertion(scene: Scene) -> None:
    assertion = scene.sign_in()
    answer = scene.assume(assertion)
    (record,) = records_of(scene.server, answer["ResponseMetadata"]["RequestId"])
    assert record["userIdentity"]["type"] == "SAMLUser"
    assert record["recipientAccountId"] == scene.account.account_id
    assert assertion not in json.dumps(record)


def test_with_an_identity_store_the_provider_admits_its_active_users_alone(scene: Scene) -> None:
    claim = "https://aws.amazon.com/SAML/Attributes/RoleSessionName"
    pushed = push_people(
        scene.server, scene.account.root, scene.provider_arn, MatchBy="userName", Claim=claim
    )
    denied = (403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithSAML")
    assert scene.refused(scene.sign_in()) == denied
    user_id = pushed.scim.new_user("Alice@Example.com")
    keys = Keys.of(scene.assume(scene.sign_in())["Credentials"])
    who = scene.server.client("sts", keys).get_caller_identity
    assert who()["Arn"].endswith("assumed-role/reader/alice@example.com")
    pushed.scim.patch(f"/Users/{user_id}", {"op": "Replace", "path": "active", "value": "False"})
    assert refused(who)[1] == "InvalidClientTokenId"
    assert scene.refused(scene.sign_in()) == denied
