"""What tests of Cognito identity pools share: an account with a pool, its roles, and the people of a provider."""

import secrets
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tests.e2e.conftest import Account, Keys, Server
from tests.e2e.scenes import Statement, allow, new_role
from tests.identity_providers.fixtures import STS
from tests.identity_providers.openid_provider import OpenIdProvider

COGNITO = "cognito-identity.amazonaws.com"


def trust_of(pool_id: str, *actions: str, kind: str = "authenticated") -> Statement:
    """What trusts the identities of a pool."""
    return {
        "Effect": "Allow",
        "Principal": {"Federated": COGNITO},
        "Action": list(actions) or ["sts:AssumeRoleWithWebIdentity"],
        "Condition": {
            "StringEquals": {f"{COGNITO}:aud": pool_id},
            "ForAnyValue:StringLike": {f"{COGNITO}:amr": kind},
        },
    }


@dataclass(frozen=True)
class PoolScene:
    """A pool that takes the provider's tokens for `web`, and gives the role `member` to those who have one."""

    server: Server
    account: Account
    provider: OpenIdProvider
    provider_arn: str
    pool_id: str
    role_arn: str

    @property
    def provider_name(self) -> str:
        return self.provider_arn.partition("oidc-provider/")[2]

    @cached_property
    def cognito(self) -> Any:
        return self.server.client("cognito-identity", self.account.root)

    @cached_property
    def app(self) -> Any:
        """A client that signs nothing."""
        return self.server.client("cognito-identity", None)

    def token(self, user: str = "alice", client: str = "web") -> str:
        return str(self.provider.sign_in(user, client)["id_token"])

    @property
    def machine_token(self) -> str:
        """Of another subject of the same provider."""
        return self.provider.machine_token("pipeline", "urn:sts")

    def logins(self, token: str) -> dict[str, str]:
        return {self.provider_name: token}

    def new_role(self, *statements: Statement, trusts: Statement | None = None) -> str:
        name = f"app-{secrets.token_hex(4)}"
        return new_role(self.server, self.account, name, trusts or trust_of(self.pool_id), *statements)

    def new_pool(self, **options: Any) -> str:
        """Another pool of the account, which takes the same tokens unless told otherwise; its id."""
        request = {
            "IdentityPoolName": f"pool {secrets.token_hex(4)}",
            "AllowUnauthenticatedIdentities": False,
            "OpenIdConnectProviderARNs": [self.provider_arn],
            **options,
        }
        return str(self.cognito.create_identity_pool(**request)["IdentityPoolId"])

    def get_id(self, token: str, pool_id: str = "") -> str:
        answer = self.app.get_id(IdentityPoolId=pool_id or self.pool_id, Logins=self.logins(token))
        return str(answer["IdentityId"])

    def credentials(self, identity_id: str, token: str, **options: Any) -> Keys:
        answer = self.app.get_credentials_for_identity(
            IdentityId=identity_id, Logins=self.logins(token), **options
        )
        return keys_of(answer)

    def set_roles(self, pool_id: str = "", mappings: dict[str, Any] | None = None, **roles: str) -> None:
        self.cognito.set_identity_pool_roles(
            IdentityPoolId=pool_id or self.pool_id, Roles=roles, RoleMappings=mappings or {}
        )

    def who(self, keys: Keys) -> str:
        return str(self.server.client("sts", keys).get_caller_identity()["Arn"])


def keys_of(answer: dict[str, Any]) -> Keys:
    found = answer["Credentials"]
    return Keys(found["AccessKeyId"], found["SecretKey"], found["SessionToken"])


def new_scene(server: Server, account: Account, provider: OpenIdProvider) -> PoolScene:
    iam = server.client("iam", account.root)
    arn = iam.create_open_id_connect_provider(
        Url=provider.issuer, ClientIDList=["web", STS], ThumbprintList=["0" * 40]
    )["OpenIDConnectProviderArn"]
    cognito = server.client("cognito-identity", account.root)
    pool_id = cognito.create_identity_pool(
        IdentityPoolName="app", AllowUnauthenticatedIdentities=False, OpenIdConnectProviderARNs=[arn]
    )["IdentityPoolId"]
    role_arn = new_role(server, account, "member", trust_of(pool_id), allow("iam:ListUsers"))
    scene = PoolScene(server, account, provider, arn, pool_id, role_arn)
    scene.set_roles(authenticated=role_arn)
    return scene
