"""The keys of OpenID Connect providers: found by discovery, remembered for their lifetime, fetched again in time.

The law:

1. Keys that are fresh are used as they are. A key id that they lack makes them be fetched again, at most once in
   REFRESH_INTERVAL: a stranger's token cannot make the broker ask more often.
2. Keys that are past their lifetime are fetched again beside the request that found them so. While the provider is away
   they are used on, until LAST_GOOD after they were fetched: a provider that took a key back is then asked first.
3. One request to a provider at a time: who wants the same keys waits for it.
4. Keys are bound to the issuer that they were fetched from, and the discovery document has to name this very issuer.
5. Keys are bound to the thumbprints that they were fetched with: what one account accepts by a thumbprint of its own
   proves nothing in another.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import msgspec

from broker.assertions.key_sets import VerificationKey, parse_key_set
from broker.cache import Cache
from broker.federation.reach import Answer, FetchFailed
from broker.strict_json import read_object

REFRESH_INTERVAL = 15.0  # seconds between two requests to one provider
SHORTEST_LIFETIME, USUAL_LIFETIME, LONGEST_LIFETIME = 60, 3600, 24 * 3600  # seconds
LAST_GOOD = 24 * 3600  # seconds since they were fetched that keys are used while their provider is away
MOST_PROVIDERS = 10_000

_max_age = re.compile(r"(?:^|[\s,])max-age=\"?([0-9]{1,10})").search
_no_store = re.compile(r"(?:^|[\s,])no-(?:store|cache)(?:$|[\s,=])").search


class ProviderUnreachable(Exception):
    """The provider's keys are not known and cannot be fetched; the reason is for the operator."""


class Known(msgspec.Struct, frozen=True):
    """A provider's keys. `fresh_until` ends their lifetime, `asked_at` is when the provider was last asked.

    `failure` is why the last request failed; empty where it did not.
    """

    keys: tuple[VerificationKey, ...] = ()
    fetched_at: float = 0.0
    fresh_until: float = 0.0
    asked_at: float = float("-inf")
    failure: str = ""


class KeySource(NamedTuple):
    """Where keys come from, and which certificates may vouch for them beside the trusted authorities'."""

    issuer: str
    thumbprints: tuple[str, ...] = ()


class Fetches(Protocol):
    """What keys are fetched with: a Fetcher."""

    async def get(self, url: str, thumbprints: Sequence[str] = ()) -> Answer: ...


class ProviderKeys:
    """Remembers keys by source; `pinned` are those of issuers that are never asked."""

    def __init__(
        self,
        fetcher: Fetches,
        clock: Callable[[], float],
        pinned: dict[str, tuple[VerificationKey, ...]] | None = None,
    ) -> None:
        self._fetcher = fetcher
        self._clock = clock
        self._pinned = pinned or {}
        self._known: Cache[KeySource, Known] = Cache(MOST_PROVIDERS)
        self._fetches: dict[KeySource, asyncio.Task[Known]] = {}

    async def get(
        self, issuer: str, key_id: str | None, thumbprints: Sequence[str] = ()
    ) -> tuple[VerificationKey, ...]:
        """The keys of `issuer`, fetched again where none has `key_id`; raises ProviderUnreachable.

        `thumbprints` are those that the provider's record lists.
        """
        pinned = self._pinned.get(issuer)
        if pinned is not None:
            return pinned
        source = KeySource(issuer, tuple(sorted(thumbprints)))
        known = self._known.get(source) or Known()
        now = self._clock()
        has_key = key_id is None or any(key.key_id == key_id for key in known.keys)
        is_usable = bool(known.keys) and now < known.fetched_at + LAST_GOOD
        if is_usable and has_key:
            if now >= known.fresh_until and self._may_ask(known, now):
                self._begin(source, known)
            return known.keys
        if self._may_ask(known, now):
            # A request that is cancelled must not end the fetch that others wait for.
            known = await asyncio.shield(self._begin(source, known))
            is_usable = bool(known.keys) and self._clock() < known.fetched_at + LAST_GOOD
        if not is_usable:
            raise ProviderUnreachable(known.failure or f"the keys of {issuer} are not known")
        return known.keys

    async def close(self) -> None:
        """End the requests that are under way."""
        fetches = list(self._fetches.values())
        for fetch in fetches:
            fetch.cancel()
        await asyncio.gather(*fetches, return_exceptions=True)

    def _may_ask(self, known: Known, now: float) -> bool:
        return not known.asked_at <= now < known.asked_at + REFRESH_INTERVAL

    def _begin(self, source: KeySource, known: Known) -> asyncio.Task[Known]:
        fetch = self._fetches.get(source)
        if fetch is None:
            fetch = self._fetches[source] = asyncio.create_task(self._fetch(source, known))
            fetch.add_done_callback(lambda _: self._fetches.pop(source, None))
        return fetch

    async def _fetch(self, source: KeySource, known: Known) -> Known:
        """Ask the provider, and remember what it answered, or why it did not."""
        try:
            keys, lifetime = await fetch_keys(self._fetcher, *source)
        except FetchFailed as error:
            found = msgspec.structs.replace(known, asked_at=self._clock(), failure=str(error))
        else:
            now = self._clock()
            found = Known(keys, fetched_at=now, fresh_until=now + lifetime, asked_at=now)
        self._known.put(source, found)
        return found


async def fetch_keys(
    fetcher: Fetches, issuer: str, thumbprints: Sequence[str]
) -> tuple[tuple[VerificationKey, ...], float]:
    """The keys that `issuer` publishes, by way of its discovery document, and their lifetime; raises FetchFailed."""
    location = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
    document = await fetcher.get(location, thumbprints)
    try:
        metadata = read_object(document.body)
    except ValueError as error:
        raise FetchFailed(f"{location}: {error}") from None
    if metadata.get("issuer") != issuer:
        raise FetchFailed(f"{location} is of the issuer {metadata.get('issuer')!r}, not of {issuer}")
    keys_location = metadata.get("jwks_uri")
    if type(keys_location) is not str:
        raise FetchFailed(f"{location} names no jwks_uri")
    answer = await fetcher.get(keys_location, thumbprints)
    try:
        return parse_key_set(answer.body), lifetime_of(answer.cache_control)
    except ValueError as error:
        raise FetchFailed(f"{keys_location}: {error}") from None


def lifetime_of(cache_control: str) -> float:
    """Seconds that an answer is fresh (RFC 9111), within bounds."""
    text = cache_control.lower()
    if _no_store(text):
        return SHORTEST_LIFETIME
    age = _max_age(text)
    return USUAL_LIFETIME if age is None else min(max(int(age[1]), SHORTEST_LIFETIME), LONGEST_LIFETIME)
