"""What the pages are given: the tools of operations, how the listener sees its clients, and the portal's settings."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from broker.federation.sign_ins import SignIns
from broker.performing import Tools
from broker.portal.operator_state import OperatorState

DIRECTORY = "/sign-in/directory"

# Address of the peer, whether it spoke TLS, X-Forwarded-For, X-Forwarded-Proto: the client's address, whether it did.
SourceOf = Callable[[str, bool, Sequence[str], str], tuple[str, bool]]


class Way(msgspec.Struct, frozen=True):
    """A way to sign in with an identity provider: what a link to it says, and where that leads."""

    title: str
    path: str


class Portal(msgspec.Struct, frozen=True, kw_only=True):
    """`timer` gives seconds for durations, `count` counts a request: service, operation, error code, seconds, its id.

    `stopping` is set when the listener stops. `is_host` says whether the portal may be called by this Host header.
    `url` and `api_url` are "" where not set. `sign_in_hosts` are the hosts behind proxies at which people sign in;
    from there they are sent to `url_for_hosts`.
    `read_state` is what the operator's page shows, in `operator_account` alone.
    """

    tools: Tools
    timer: Callable[[], float]
    count: Callable[[str, str, str, float, str], None]
    source_of: SourceOf
    is_host: Callable[[str], bool]
    url: str = ""
    api_url: str = ""
    url_for_hosts: str = ""
    sign_in_hosts: frozenset[str] = frozenset()
    help_text: str = ""
    sso_region: str = "us-east-1"
    idle_seconds: int = 3600
    session_seconds: int = 12 * 3600
    passkey_user_verification: str = "preferred"
    operator_account: str = ""
    read_state: Callable[[], Awaitable[OperatorState]] | None = None
    stopping: asyncio.Event = msgspec.field(default_factory=asyncio.Event)

    @property
    def sign_ins(self) -> SignIns:
        return self.tools.federation.sign_ins

    @property
    def ways(self) -> tuple[Way, ...]:
        """In the order of the settings."""
        chosen = self.sign_ins
        ways = [Way(one.title, one.path) for one in chosen.openid_connect]
        ways += [Way(one.title, one.path) for one in chosen.saml]
        return (*ways, Way(chosen.directory, DIRECTORY)) if chosen.directory else tuple(ways)
