"""What tests of web identities share: an account that knows the OpenID provider, and a role that trusts it."""

import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.e2e.conftest import REGION, Account, Server
from tests.e2e.scenes import allow, new_role, refused
from tests.identity_providers.fixtures import STS
from tests.identity_providers.openid_provider import OpenIdProvider

ACTION = "sts:AssumeRoleWithWebIdentity"


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

    @cached_property
    def sts(self) -> Any:
        """A client that signs nothing."""
        return self.server.client("sts", None)

    def assume(self, token: str, **options: Any) -> Any:
        request = {"RoleArn": self.role_arn, "RoleSessionName": "run-7", "WebIdentityToken": token, **options}
        return self.sts.assume_role_with_web_identity(**request)

    def refused(self, token: str, **options: Any) -> tuple[int, str, str]:
        return refused(lambda: self.assume(token, **options))

    def environment(self, token_file: Path) -> dict[str, str]:
        """What a pod has: a token in a file, a role, no keys. The session is called `from-file`."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(token_file.parent),
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(token_file),
            "AWS_ROLE_ARN": self.role_arn,
            "AWS_ROLE_SESSION_NAME": "from-file",
            "AWS_ENDPOINT_URL": self.server.url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }


def trust(provider: str, *actions: str, **conditions: Any) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Principal": {"Federated": provider},
        "Action": list(actions) or [ACTION],
        "Condition": conditions,
    }


def new_scene(server: Server, account: Account, provider: OpenIdProvider) -> Scene:
    iam = server.client("iam", account.root)
    created = iam.create_open_id_connect_provider(
        Url=provider.issuer, ClientIDList=[STS, "web"], ThumbprintList=["0" * 40]
    )
    arn = created["OpenIDConnectProviderArn"]
    role = new_role(server, account, "deployer", trust(arn), allow("iam:ListUsers"))
    return Scene(server, account, provider, arn, role)
