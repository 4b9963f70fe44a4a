"""Assertions of real SAML providers are traded for credentials of roles that trust them, by unmodified clients."""

import json
from dataclasses import dataclass, replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.e2e.conftest import Account, Keys, Server
from tests.e2e.scenes import allow, new_role, records_of, refused
from tests.identity_providers.certificates import KeyPair
from tests.identity_providers.saml import (
    CONSUMER_URL,
    SamlProvider,
    ServiceProvider,
    User,
    aws_attributes,
)

ACTION = "sts:AssumeRoleWithSAML"


@dataclass(frozen=True)
class Scene:
    """An account that knows the provider, and the role `reader` that `person` of the provider may take."""

    server: Server
    account: Account
    provider: SamlProvider
    provider_arn: str
    role_arn: str
    person: str

    def trust_policy(self, *actions: str, **conditions: Any) -> None:
        document = json.dumps(
            {"Version": "2012-10-17", "Statement": trust(self.provider_arn, *actions, **conditions)}
        )
        iam = self.server.client("iam", self.account.root)
        iam.update_assume_role_policy(RoleName="reader", PolicyDocument=document)

    def sign_in(self, consumer: ServiceProvider | None = None) -> str:
        """The assertion that the person's browser is given for AWS's address."""
        return self.provider.sign_in(self.person, consumer or ServiceProvider()).values["SAMLResponse"]

    def assume(self, assertion: str, **options: Any) -> Any:
        sts = self.server.client("sts", None)
        request = {"RoleArn": self.role_arn, "PrincipalArn": self.provider_arn, "SAMLAssertion": assertion}
        return sts.assume_role_with_saml(**{**request, **options})

    def refused(self, assertion: str, **options: Any) -> tuple[int, str, str]:
        return refused(lambda: self.assume(assertion, **options))

    def reason(self, assertion: str, **options: Any) -> str:
        """What the journal says of the refusal."""
        with pytest.raises(ClientError) as error:
            self.assume(assertion, **options)
        (record,) = records_of(self.server, error.value.response["ResponseMetadata"]["RequestId"])
        assert assertion not in json.dumps(record)
        return str(record["errorMessage"])


def trust(provider: str, *actions: str, **conditions: Any) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Principal": {"Federated": provider},
        "Action": list(actions) or [ACTION, "sts:TagSession", "sts:SetSourceIdentity"],
        "Condition": conditions,
    }


@pytest.fixture
def scene(server: Server, account: Account, saml_provider: SamlProvider) -> Scene:
    iam = server.client("iam", account.root)
    created = iam.create_saml_provider(Name="idp", SAMLMetadataDocument=saml_provider.metadata())
    arn = created["SAMLProviderArn"]
    role = new_role(server, account, "reader", trust(arn), allow("iam:ListUsers"))
    person = f"of-{account.account_id}"
    attributes = aws_attributes(
        [f"{role},{arn}"],
        "alice@example.com",
        duration=1800,
        tags={"team": "blue"},
        transitive=["team"],
        source_identity="alice",
    )
    saml_provider.add_user(person, User("her password", attributes))
    return Scene(server, account, saml_provider, arn, role, person)


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
