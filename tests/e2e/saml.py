"""What tests of SAML share: an account that knows the provider, a role that trusts it, and a person of the provider."""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.e2e.conftest import Account, Server
from tests.e2e.scenes import allow, new_role, records_of, refused
from tests.identity_providers.saml import SamlProvider, ServiceProvider, User, aws_attributes

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

    @cached_property
    def sts(self) -> Any:
        """A client that signs nothing."""
        return self.server.client("sts", None)

    def assume(self, assertion: str, **options: Any) -> Any:
        request = {"RoleArn": self.role_arn, "PrincipalArn": self.provider_arn, "SAMLAssertion": assertion}
        return self.sts.assume_role_with_saml(**{**request, **options})

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


def new_scene(server: Server, account: Account, saml_provider: SamlProvider) -> Scene:
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
