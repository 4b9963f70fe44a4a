"""Revocation lists from where certificates say that they are published (RFC 5280, section 4.2.1.13).

A list is signed, so it may come by plain http; whether it is its issuer's, and current, is judged where it is used. It
is fetched again after LIFETIME. While it cannot be fetched the last one is used, which refuses by itself when it has
expired. One fetch for each URL at a time; after a failure none for RETRY_AFTER seconds.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from broker.cache import Cache
from broker.federation.provider_keys import Fetches
from broker.federation.reach import FetchFailed

LIFETIME, RETRY_AFTER = 3600, 15  # seconds
MOST_URLS = 1000


class ListUnavailable(Exception):
    """There is no list of this URL; the text is for the operator."""


class FetchedLists(msgspec.Struct, frozen=True):
    """What the URL gave last, and when to ask again, in epoch seconds."""

    lists: tuple[Any, ...]
    ask_at: float
    failure: str = ""


class DistributionPoints:
    """`parse` reads lists, and raises ValueError."""

    def __init__(
        self, fetcher: Fetches, clock: Callable[[], float], parse: Callable[[bytes], tuple[Any, ...]]
    ) -> None:
        self._fetcher = fetcher
        self._clock = clock
        self._parse = parse
        self._known: Cache[str, FetchedLists] = Cache(MOST_URLS)
        self._fetches: dict[str, asyncio.Task[FetchedLists]] = {}

    async def get(self, url: str) -> tuple[Any, ...]:
        """The lists at `url`; raises ListUnavailable."""
        known = self._known.get(url)
        if known is None or self._clock() >= known.ask_at:
            # Shielded: the cancellation of one request must not cancel the fetch that others wait for.
            known = await asyncio.shield(self._start_fetch(url, known))
        if not known.lists:
            raise ListUnavailable(known.failure or f"{url} has no list")
        return known.lists

    async def close(self) -> None:
        """Cancel the running fetches."""
        fetches = list(self._fetches.values())
        for fetch in fetches:
            fetch.cancel()
        await asyncio.gather(*fetches, return_exceptions=True)

    def _start_fetch(self, url: str, known: FetchedLists | None) -> "asyncio.Task[FetchedLists]":
        running = self._fetches.get(url)
        if running is None:
            running = asyncio.create_task(self._fetch(url, known))
            self._fetches[url] = running
            running.add_done_callback(lambda _: self._fetches.pop(url, None))
        return running

    async def _fetch(self, url: str, known: FetchedLists | None) -> FetchedLists:
        before = known.lists if known is not None else ()
        try:
            answer = await self._fetcher.get(url)
            found = FetchedLists(self._parse(answer.body), self._clock() + LIFETIME)
        except (FetchFailed, ValueError) as error:
            found = FetchedLists(before, self._clock() + RETRY_AFTER, f"{url}: {error}")
        self._known.put(url, found)
        return found
