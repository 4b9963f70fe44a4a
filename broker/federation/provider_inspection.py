"""What an OpenID Connect provider publishes, fetched while it is set up: each step of what a token would need.

It is fetched by the same client under the same rules as for a token (`reach`), and nothing of it is cached: it proves
nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from broker.assertions.checks import Check, CheckFailed, Checks
from broker.assertions.key_descriptions import KeyDescription, describe_keys
from broker.assertions.unverified_token import ALGORITHMS
from broker.federation.provider_keys import Fetches, lifetime_of
from broker.federation.reach import Answer, FetchFailed, Reach, require_admitted
from broker.strict_json import read_object

# Inspections at a time by each worker: tokens need the HTTP client, too.
MOST_AT_A_TIME = 4
_LONGEST_URL = 2048
_ENDPOINTS = (
    "authorization_endpoint",
    "token_endpoint",
    "userinfo_endpoint",
    "end_session_endpoint",
    "introspection_endpoint",
    "revocation_endpoint",
    "jwks_uri",
)


class InspectedProvider(msgspec.Struct, frozen=True):
    """The checks in their order, the last of which may have failed; `endpoints` by the name in the document."""

    checks: tuple[Check, ...]
    endpoints: Mapping[str, str] = {}
    keys: tuple[KeyDescription, ...] = ()
    fetched_at: float | None = None
    fresh_until: float | None = None


class _Inspection:
    """What was found until a check failed."""

    def __init__(self) -> None:
        self.endpoints: dict[str, str] = {}
        self.keys: tuple[KeyDescription, ...] = ()
        self.lifetime: float | None = None


class ProviderInspector:
    """Inspects with the HTTP client of federation."""

    def __init__(self, fetcher: Fetches, clock: Callable[[], float], reach: Reach) -> None:
        self._fetcher = fetcher
        self._clock = clock
        self._reach = reach
        self._inspecting = 0

    async def inspect(self, issuer: str, thumbprints: Sequence[str] = ()) -> InspectedProvider:
        """`thumbprints` are those of the provider's record. Raises FetchFailed where too many are inspected already."""
        if self._inspecting >= MOST_AT_A_TIME:
            raise FetchFailed(f"{MOST_AT_A_TIME} providers are being inspected already")
        self._inspecting += 1
        checks, found = Checks(), _Inspection()
        try:
            await self._follow(issuer, thumbprints, checks, found)
        except CheckFailed:
            pass
        finally:
            self._inspecting -= 1
        now = self._clock()
        is_fetched = found.lifetime is not None
        return InspectedProvider(
            tuple(checks.made),
            found.endpoints,
            found.keys,
            now if is_fetched else None,
            now + (found.lifetime or 0) if is_fetched else None,
        )

    async def _follow(
        self, issuer: str, thumbprints: Sequence[str], checks: Checks, found: _Inspection
    ) -> None:
        """Raises CheckFailed at the first step that a token would fail at."""
        location = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
        document = await self._document(location, thumbprints, checks)
        stated = document.get("issuer")
        checks.require("issuer", stated == issuer, found=_shown(stated), wanted=issuer)
        found.endpoints = _endpoints(document)
        _require_algorithms(document, checks)
        keys_location = document.get("jwks_uri")
        if type(keys_location) is not str:
            raise checks.fail("jwks_uri", found="none", wanted="where the keys are")
        answer = await self._fetched("keys", keys_location, thumbprints, checks)
        try:
            found.keys = describe_keys(answer.body)
        except ValueError as error:
            raise checks.fail("keys", found=error, wanted="keys that can verify a signature") from None
        checks.require("keys", True, found=f"{len(found.keys)}, at {_shown(keys_location)}")
        found.lifetime = lifetime_of(answer.cache_control)

    async def _document(self, location: str, thumbprints: Sequence[str], checks: Checks) -> Mapping[str, Any]:
        answer = await self._fetched("discovery document", location, thumbprints, checks)
        try:
            document = read_object(answer.body)
        except ValueError as error:
            raise checks.fail("discovery document", found=error, wanted="a JSON object") from None
        checks.require("discovery document", True, found=location)
        return document

    async def _fetched(self, name: str, url: str, thumbprints: Sequence[str], checks: Checks) -> Answer:
        try:
            require_admitted(url, self._reach)
            return await self._fetcher.get(url, thumbprints)
        except FetchFailed as error:
            raise checks.fail(name, found=error, wanted="an answer") from None


def _require_algorithms(document: Mapping[str, Any], checks: Checks) -> None:
    """A provider need not say by which it signs ID tokens; where it does, one has to be among ours."""
    stated = document.get("id_token_signing_alg_values_supported")
    if type(stated) is not list:
        return
    names = [name for name in stated if type(name) is str]
    checks.require(
        "signature algorithms",
        not ALGORITHMS.isdisjoint(names),
        found=_shown(", ".join(names)),
        wanted="one of " + ", ".join(sorted(ALGORITHMS)),
    )


def _endpoints(document: Mapping[str, Any]) -> dict[str, str]:
    found = {name: document.get(name) for name in _ENDPOINTS}
    return {name: _shown(url) for name, url in found.items() if type(url) is str}


def _shown(value: object) -> str:
    return str(value)[:_LONGEST_URL] if value is not None else "none"
