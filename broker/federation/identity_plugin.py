"""The operator's identity plugin: a web service that knows what a token means which the broker cannot read.

MinIO's "Identity Management Plugin" on the wire: POST URL?token=…, with an Authorization header.
"""

from collections.abc import Iterator

import msgspec

from broker.assertions.checks import Checks
from broker.assertions.custom_token import TokenHolder, read_plugin_answer
from broker.federation.mapped_roles import is_provider_name
from broker.federation.reach import Asks, FetchFailed, Reach, require_admitted
from broker.names.secret import SecretKey

# Tokens that are asked about at a time by each worker: others need the HTTP client, too.
MOST_AT_A_TIME = 16


class PluginUnavailable(Exception):
    """The plugin gave no answer that counts; the reason is for the operator."""


class PluginRules(msgspec.Struct, frozen=True):
    """The settings `[identity_plugin]`, which `config/broker.toml` explains; without a URL there is none."""

    url: str = ""
    authorization: SecretKey = SecretKey("")
    provider: str = ""


def faults_of_plugin(rules: PluginRules, reach: Reach) -> Iterator[str]:
    """What is wrong with the settings as far as texts show it, each beginning with the setting's name."""
    if not rules.url:
        if rules != PluginRules():
            yield "url is empty: without it nothing else of [identity_plugin] counts"
        return
    try:
        require_admitted(rules.url, reach)
    except FetchFailed as error:
        yield f"url: {error}; [federation] plain_http and private_networks admit more"
    if not is_provider_name(rules.provider):
        yield (
            f"provider: {rules.provider!r} is no name for the plugin; trust policies call it by one like that of a "
            "host, such as tokens.example.com"
        )
    if any(not one.isprintable() or not one.isascii() for one in rules.authorization.reveal()):
        yield "authorization: the header has letters, digits and signs of ASCII only, and no line break"


class IdentityPlugin:
    def __init__(self, rules: PluginRules, client: Asks) -> None:
        self.rules = rules
        self._client = client
        self._asking = 0

    async def holder(self, unverified_token: str, checks: Checks) -> TokenHolder:
        """Whom the plugin vouches for; raises TokenRefused, CheckFailed and PluginUnavailable."""
        if self._asking >= MOST_AT_A_TIME:
            raise PluginUnavailable(f"{MOST_AT_A_TIME} tokens are being asked about already")
        authorization = self.rules.authorization.reveal()
        headers = {"Authorization": authorization} if authorization else {}
        self._asking += 1
        try:
            answer = await self._client.ask("POST", self.rules.url, {"token": unverified_token}, headers)
            return read_plugin_answer(answer.status, answer.body, checks)
        except (FetchFailed, ValueError) as error:
            raise PluginUnavailable(f"{self.rules.url}: {error}") from None
        finally:
            self._asking -= 1
