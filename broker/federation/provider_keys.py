"""The keys of OpenID Connect providers: found by discovery, cached for their lifetime, refreshed in the background.

The law:

1. Fresh keys are used without a request. An unknown key id causes a new fetch, at most once in REFRESH_INTERVAL:
   forged tokens cannot cause more requests.
2. Stale keys are used while they are fetched again in the background. While the provider cannot be reached they are
   used until STALE_LIMIT after they were fetched; later a request has to fetch them first.
3. One fetch per provider at a time; concurrent requests wait for the same one.
4. Keys are bound to the issuer that they were fetched from, and the discovery document has to name exactly this issuer.
5. Keys are bound to the thumbprints that they were fetched with: a certificate that one account accepts by thumbprint
   proves nothing in another account.
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
STALE_LIMIT = 24 * 3600  # seconds after the fetch that keys are used while their provider cannot be reached
MOST_PROVIDERS = 10_000

_max_age = re.compile(r"(?:^|[\s,])max-age=\"?([0-9]{1,10})").search
_no_store = re.compile(r"(?:^|[\s,])no-(?:store|cache)(?:$|[\s,=])").search


class ProviderUnreachable(Exception):
    """The provider's keys are not cached and cannot be fetched; the reason is for the operator."""


class CachedKeys(msgspec.Struct, frozen=True):
    """A provider's keys. `fresh_until` ends their lifetime, `asked_at` is the time of the last request.

    `failure` is the error of the last request, or empty.
    """

    keys: tuple[VerificationKey, ...] = ()
    fetched_at: float = 0.0
    fresh_until: float = 0.0
    asked_at: float = float("-inf")
    failure: str = ""


class KeySource(NamedTuple):
    """The issuer of keys, and the thumbprints of certificates that are accepted beside those of trusted authorities.

    `location` is the URL of the keys, where the operator has named it; else discovery at the issuer finds it.
    """

    issuer: str
    thumbprints: tuple[str, ...] = ()
    location: str = ""


class Fetches(Protocol):
    """A Fetcher."""

    async def get(self, url: str, thumbprints: Sequence[str] = ()) -> Answer: ...


class ProviderKeys:
    """Caches keys by source; issuers with `pinned` keys are never sent a request."""

    def __init__(
        self,
        fetcher: Fetches,
        clock: Callable[[], float],
        pinned: dict[str, tuple[VerificationKey, ...]] | None = None,
    ) -> None:
        self._fetcher = fetcher
        self._clock = clock
        self._pinned = pinned or {}
        self._cache: Cache[KeySource, CachedKeys] = Cache(MOST_PROVIDERS)
        self._fetches: dict[KeySource, asyncio.Task[CachedKeys]] = {}

    async def get(
        self, issuer: str, key_id: str | None, thumbprints: Sequence[str] = (), location: str = ""
    ) -> tuple[VerificationKey, ...]:
        """The keys of `issuer`, fetched again where none has `key_id`; raises ProviderUnreachable.

        `thumbprints` are those that the provider's record lists; without a `location` of the keys, discovery finds it.
        """
        pinned = self._pinned.get(issuer)
        if pinned is not None:
            return pinned
        source = KeySource(issuer, tuple(sorted(thumbprints)), location)
        known = self._cache.get(source) or CachedKeys()
        now = self._clock()
        has_key = key_id is None or any(key.key_id == key_id for key in known.keys)
        is_usable = bool(known.keys) and now < known.fetched_at + STALE_LIMIT
        if is_usable and has_key:
            if now >= known.fresh_until and self._may_ask(known, now):
                self._start_fetch(source, known)
            return known.keys
        if self._may_ask(known, now):
            # Shielded: the cancellation of one request must not cancel the fetch that others wait for.
            known = await asyncio.shield(self._start_fetch(source, known))
            is_usable = bool(known.keys) and self._clock() < known.fetched_at + STALE_LIMIT
        if not is_usable:
            raise ProviderUnreachable(known.failure or f"the keys of {issuer} are not known")
        return known.keys

    async def close(self) -> None:
        """Cancel the running fetches."""
        fetches = list(self._fetches.values())
        for fetch in fetches:
            fetch.cancel()
        await asyncio.gather(*fetches, return_exceptions=True)

    def _may_ask(self, known: CachedKeys, now: float) -> bool:
        return not known.asked_at <= now < known.asked_at + REFRESH_INTERVAL

    def _start_fetch(self, source: KeySource, known: CachedKeys) -> asyncio.Task[CachedKeys]:
        fetch = self._fetches.get(source)
        if fetch is None:
            fetch = self._fetches[source] = asyncio.create_task(self._fetch(source, known))
            fetch.add_done_callback(lambda _: self._fetches.pop(source, None))
        return fetch

    async def _fetch(self, source: KeySource, known: CachedKeys) -> CachedKeys:
        """Fetch the keys, and cache the answer or the failure."""
        try:
            keys, lifetime = await fetch_keys(self._fetcher, *source)
        except FetchFailed as error:
            found = msgspec.structs.replace(known, asked_at=self._clock(), failure=str(error))
        else:
            now = self._clock()
            found = CachedKeys(keys, fetched_at=now, fresh_until=now + lifetime, asked_at=now)
        self._cache.put(source, found)
        return found


async def fetch_keys(
    fetcher: Fetches, issuer: str, thumbprints: Sequence[str], keys_location: str = ""
) -> tuple[tuple[VerificationKey, ...], float]:
    """The keys at `keys_location`, or those that the discovery document of `issuer` refers to, and their lifetime.

    Raises FetchFailed.
    """
    keys_location = keys_location or await _discovered(fetcher, issuer, thumbprints)
    answer = await fetcher.get(keys_location, thumbprints)
    try:
        return parse_key_set(answer.body), lifetime_of(answer.cache_control)
    except ValueError as error:
        raise FetchFailed(f"{keys_location}: {error}") from None


async def _discovered(fetcher: Fetches, issuer: str, thumbprints: Sequence[str]) -> str:
    """The URL of the keys in the discovery document of `issuer`."""
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
    return keys_location


def lifetime_of(cache_control: str) -> float:
    """Seconds that an answer is fresh (RFC 9111), within bounds."""
    text = cache_control.lower()
    if _no_store(text):
        return SHORTEST_LIFETIME
    age = _max_age(text)
    return USUAL_LIFETIME if age is None else min(max(int(age[1]), SHORTEST_LIFETIME), LONGEST_LIFETIME)
