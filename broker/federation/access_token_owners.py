"""Whose OAuth 2.0 access token is this? The two providers that AWS knows without OpenID Connect are asked.

Their names in trust policies and as ProviderId are AWS's: www.amazon.com and graph.facebook.com.
"""

from collections.abc import Iterator

import msgspec

from broker.assertions.access_tokens import TokenOwner, read_id, read_token_info
from broker.assertions.checks import Checks
from broker.federation.reach import Asks, FetchFailed, Reach, StatusAnswer, require_admitted

AMAZON, FACEBOOK = "www.amazon.com", "graph.facebook.com"

# What the members of a token's owner are called in condition keys ("Available keys for AWS OIDC federation").
USER_KEYS = {AMAZON: "user_id", FACEBOOK: "id"}
APP_KEY = "app_id"

# Tokens that are asked about at a time by each worker: others need the HTTP client, too.
MOST_AT_A_TIME = 16


class OwnerUnknown(Exception):
    """The provider gave no answer that counts; the reason is for the operator."""


class ProviderAddresses(msgspec.Struct, frozen=True):
    """Where the providers' services are, without a slash at the end."""

    amazon: str = "https://api.amazon.com"
    facebook: str = "https://graph.facebook.com"


def faults_of_addresses(addresses: ProviderAddresses, reach: Reach) -> Iterator[str]:
    """What makes the addresses impossible, each beginning with the setting's name."""
    for name, url in (
        ("login_with_amazon_url", addresses.amazon),
        ("facebook_graph_url", addresses.facebook),
    ):
        try:
            require_admitted(url, reach)
        except FetchFailed as error:
            yield f"{name}: {error}"
        if url.endswith("/") or "?" in url or "#" in url:
            yield f"{name}: {url!r} has a slash at its end, a query or a fragment"


class AccessTokenOwners:
    def __init__(self, client: Asks, addresses: ProviderAddresses) -> None:
        self._client = client
        self._addresses = addresses
        self._asking = 0

    async def find(self, provider: str, unverified_token: str, checks: Checks) -> TokenOwner:
        """`provider` is AMAZON or FACEBOOK. Raises CheckFailed, and OwnerUnknown where there is no answer."""
        if self._asking >= MOST_AT_A_TIME:
            raise OwnerUnknown(f"{MOST_AT_A_TIME} tokens are being asked about already")
        self._asking += 1
        try:
            if provider == AMAZON:
                answer = await self._ask(f"{self._addresses.amazon}/auth/o2/tokeninfo", unverified_token)
                return read_token_info(answer.status, answer.body, checks)
            app = await self._ask(f"{self._addresses.facebook}/app", unverified_token)
            app_id = read_id(app.status, app.body, "application", checks)
            user = await self._ask(f"{self._addresses.facebook}/me", unverified_token, fields="id")
            return TokenOwner(app_id, read_id(user.status, user.body, "subject", checks))
        except (FetchFailed, ValueError) as error:
            raise OwnerUnknown(f"{provider}: {error}") from None
        finally:
            self._asking -= 1

    async def _ask(self, url: str, unverified_token: str, **query: str) -> StatusAnswer:
        return await self._client.ask("GET", url, {"access_token": unverified_token, **query}, {})
