"""What the pages are given: the tools of operations, how the listener sees its clients, and the portal's settings."""

from collections.abc import Callable, Sequence

import msgspec

from broker.federation.openid_connect import OpenIdConnectSignIn
from broker.performing import Tools
from broker.storage.portal_records import FederatedIdentity

# Address of the peer, whether it spoke TLS, X-Forwarded-For, X-Forwarded-Proto: the client's address, whether it did.
SourceOf = Callable[[str, bool, Sequence[str], str], tuple[str, bool]]


class Portal(msgspec.Struct, frozen=True, kw_only=True):
    """`timer` gives seconds for durations, `count` counts a request: service, operation, error code, seconds.

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
    openid_connect: tuple[OpenIdConnectSignIn, ...] = ()

    def find_openid_connect(self, name: str) -> OpenIdConnectSignIn | None:
        return next((one for one in self.openid_connect if one.name == name), None)

    def knows(self, identity: FederatedIdentity) -> bool:
        """Whether the settings still let people sign in as this person did."""
        sign_in = self.find_openid_connect(identity.sign_in)
        return (
            sign_in is not None
            and sign_in.issuer == identity.issuer
            and sign_in.client_id in identity.audience
        )

    def title_of(self, identity: FederatedIdentity) -> str:
        """What pages call the provider of the person."""
        sign_in = self.find_openid_connect(identity.sign_in)
        return sign_in.title if sign_in is not None else identity.sign_in
