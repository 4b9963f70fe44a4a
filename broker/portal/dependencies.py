"""What the pages are given: the tools of operations, how the listener sees its clients, and the portal's settings."""

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from broker.event_history import EventHistory
from broker.federation.openid_connect import OpenIdConnectSignIn
from broker.federation.saml_sign_in import SamlSignIn
from broker.performing import Tools
from broker.storage.portal_records import (
    DirectoryIdentity,
    FederatedIdentity,
    OpenIdConnectIdentity,
    SamlIdentity,
)

DIRECTORY = "/sign-in/directory"

# Address of the peer, whether it spoke TLS, X-Forwarded-For, X-Forwarded-Proto: the client's address, whether it did.
SourceOf = Callable[[str, bool, Sequence[str], str], tuple[str, bool]]


class Way(msgspec.Struct, frozen=True):
    """A way to sign in with an identity provider: what a link to it says, and where that leads."""

    title: str
    path: str


class Portal(msgspec.Struct, frozen=True, kw_only=True):
    """`timer` gives seconds for durations, `count` counts a request: service, operation, error code, seconds.

    `journal` is None where the journal is no file that could be read. `stopping` is set when the listener stops.
    `is_host` says whether the portal may be called by this Host header. `url` and `api_url` are "" where not set.
    """

    tools: Tools
    timer: Callable[[], float]
    count: Callable[[str, str, str, float], None]
    source_of: SourceOf
    is_host: Callable[[str], bool]
    url: str = ""
    api_url: str = ""
    help_text: str = ""
    sso_region: str = "us-east-1"
    idle_seconds: int = 3600
    session_seconds: int = 12 * 3600
    passkey_user_verification: str = "preferred"
    journal: EventHistory | None = None
    stopping: asyncio.Event = msgspec.field(default_factory=asyncio.Event)
    openid_connect: tuple[OpenIdConnectSignIn, ...] = ()
    saml: tuple[SamlSignIn, ...] = ()

    @property
    def ways(self) -> tuple[Way, ...]:
        """In the order of the settings."""
        ways = [Way(one.title, one.path) for one in self.openid_connect]
        ways += [Way(one.title, one.path) for one in self.saml]
        directory = self.tools.federation.directory
        return (*ways, Way(directory.rules.provider, DIRECTORY)) if directory is not None else tuple(ways)

    def find_openid_connect(self, name: str) -> OpenIdConnectSignIn | None:
        return next((one for one in self.openid_connect if one.name == name), None)

    def find_saml(self, name: str) -> SamlSignIn | None:
        return next((one for one in self.saml if one.name == name), None)

    def knows(self, identity: FederatedIdentity) -> bool:
        """Whether the settings still let people sign in as this person did."""
        match identity:
            case OpenIdConnectIdentity():
                client = self.find_openid_connect(identity.sign_in)
                if client is None or client.issuer != identity.issuer:
                    return False
                return client.client_id in identity.audience
            case SamlIdentity():
                saml = self.find_saml(identity.sign_in)
                return saml is not None and saml.provider in identity.providers
            case DirectoryIdentity():
                directory = self.tools.federation.directory
                return directory is not None and directory.rules.provider == identity.provider

    def title_of(self, identity: FederatedIdentity) -> str:
        """What pages call the provider of the person."""
        if isinstance(identity, DirectoryIdentity):
            return identity.provider
        titles = {one.name: one.title for one in self.openid_connect}
        titles |= {one.name: one.title for one in self.saml}
        return titles.get(identity.sign_in, identity.sign_in)
