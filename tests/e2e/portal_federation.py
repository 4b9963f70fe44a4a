"""A portal at which people sign in with an OpenID provider, and who is known there."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from tests.e2e.conftest import Account
from tests.e2e.portal import PortalServer
from tests.e2e.scenes import allow, new_role
from tests.e2e.web_identity import trust
from tests.identity_providers.openid_provider import Client, OpenIdProvider
from tests.ports import free_port

CLIENT, TESTER = "portal", "tester"  # the second is for test sign-ins of the console
NAME, LABEL = "company", "the company"
LOOPBACK = {"BROKER_FEDERATION_PLAIN_HTTP": "true", "BROKER_FEDERATION_PRIVATE_NETWORKS": "127.0.0.0/8"}
PEOPLE: dict[str, dict[str, Any]] = {
    "alice": {"email": "alice@example.com", "groups": ["readers"]},
    "bob": {"email": "bob@example.com", "groups": []},
    "<b>mallory</b>": {"email": "<script>alert(1)</script>", "groups": ["readers"]},
    "tagged": {
        "email": "tagged@example.com",
        "groups": ["readers"],
        "https://aws.amazon.com/tags": {"principal_tags": {"team": ["blue"]}, "transitive_tag_keys": []},
    },
}


@dataclass
class Scene:
    """Two accounts that know the provider, with roles for readers, and one that does not."""

    server: PortalServer
    provider: OpenIdProvider
    first: Account
    second: Account
    third: Account
    provider_arns: dict[str, str] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        return self.server.origin

    @property
    def name_in_policies(self) -> str:
        return self.provider.issuer.removeprefix("http://")

    def trust_readers(self, account: Account, *actions: str, **conditions: Any) -> dict[str, Any]:
        """A statement for people in the group `readers`, signed in to the portal."""
        issuer = self.name_in_policies
        condition = {f"{issuer}:aud": CLIENT, f"{issuer}:groups": "readers", **conditions}
        return trust(self.provider_arns[account.account_id], *actions, StringEquals=condition)

    def know_provider(self, account: Account, client_id: str = CLIENT) -> str:
        iam = self.server.client("iam", account.root)
        made = iam.create_open_id_connect_provider(Url=self.provider.issuer, ClientIDList=[client_id])
        arn = str(made["OpenIDConnectProviderArn"])
        self.provider_arns[account.account_id] = arn
        return arn


def portal_settings(entries: list[Mapping[str, Any]]) -> dict[str, str]:
    return {**LOOPBACK, "BROKER_PORTAL_OPENID_CONNECT": json.dumps(entries)}


@contextmanager
def openid_scene(folder: Path, *more: Mapping[str, Any]) -> Iterator[Scene]:
    """`more` are further entries of the portal's settings."""
    address = f"127.0.0.1:{free_port()}"
    client = Client(
        CLIENT,
        redirect_uri=f"http://{address}/sign-in/with/{NAME}/answer",
        logout_uri=f"http://{address}/sign-in",
    )
    provider = OpenIdProvider(folder, [client], PEOPLE, {})
    tested = hashlib.sha256(provider.issuer.removeprefix("http://").encode()).hexdigest()[:16]
    tester = Client(TESTER, redirect_uri=f"http://{address}/console/test-sign-in/{tested}/answer")
    provider.clients[TESTER] = tester
    with provider.running():
        entry = {
            "name": NAME,
            "label": LABEL,
            "issuer": provider.issuer,
            "client_id": CLIENT,
            "client_secret": client.secret,
            "scopes": ["openid"],
            "name_claims": ["email"],
        }
        environment = portal_settings([entry, *more])
        server = PortalServer(
            folder, f"sqlite:{folder / 'broker.db'}", environment=environment, portal=address
        )
        with server.running():
            accounts = [server.new_account() for _ in range(3)]
            scene = Scene(server, provider, *accounts)
            for account in (scene.first, scene.second):
                scene.know_provider(account)
            new_role(server, scene.first, "reader", scene.trust_readers(scene.first), allow("iam:ListRoles"))
            new_role(
                server,
                scene.second,
                "analyst",
                scene.trust_readers(scene.second, "sts:AssumeRoleWithWebIdentity", "sts:TagSession"),
                allow("iam:ListUsers"),
            )
            yield scene


def sign_in_at_provider(page: Page, origin: str, user: str) -> None:
    """From the portal's first page to the portal, by the provider's own pages."""
    page.goto(origin)
    page.get_by_role("link", name=f"Continue with {LABEL}").click()
    page.locator("input[name=login]").fill(user)
    page.locator("input[name=password]").fill("any")
    page.locator("button[type=submit]").click()
    page.locator("button[type=submit]").click()  # consents
    page.wait_for_load_state()
