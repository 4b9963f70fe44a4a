"""Limits how often a password may be tried: exponential backoff after some failures.

An attempt counts as failed from its beginning until its outcome is known, so concurrent attempts are limited, too. Each
worker of each node counts for itself. An attempt during the backoff is refused, whatever its password, and does not
prolong the backoff.
"""

from collections.abc import Callable
from ipaddress import ip_address, ip_network
from threading import Lock

import msgspec

RESET_AFTER = 3600.0  # seconds after the last attempt
MOST_KEYS = 10_000
_NETWORK = 64  # bits: a client with one IPv6 address mostly has all addresses of its network


class TooManyAttempts(Exception):
    """The reason is for the operator."""


class _Attempted(msgspec.Struct, frozen=True):
    failures: int
    last_at: float


class Attempts:
    """Counts failures by key: there is no backoff for the first `free` ones, and none is longer than `longest` seconds.

    Used from several threads, so it reads the clock itself, under its lock; the clock has to be monotonic.
    """

    def __init__(self, free: int, longest: float, clock: Callable[[], float]) -> None:
        self._free = free
        self._longest = longest
        self._clock = clock
        self._lock = Lock()
        self._attempted: dict[str, _Attempted] = {}

    def begin(self, key: str) -> None:
        """Count an attempt; raises TooManyAttempts during the backoff."""
        with self._lock:
            now = self._clock()
            past = self._attempted.pop(key, _Attempted(0, now))
            if now >= past.last_at + RESET_AFTER:
                past = _Attempted(0, now)
            backoff = self._backoff(past)
            if now < past.last_at + backoff:
                self._attempted[key] = past
                raise TooManyAttempts(
                    f"{key}: {past.failures} attempts failed, the next is accepted {backoff:g} seconds after the last"
                )
            if len(self._attempted) >= MOST_KEYS:
                self._evict(now)
            self._attempted[key] = _Attempted(past.failures + 1, now)

    def discount(self, key: str) -> None:
        """Do not count the attempt: it was not decided, or succeeded."""
        with self._lock:
            past = self._attempted.get(key)
            if past is not None and past.failures > 0:
                self._attempted[key] = _Attempted(past.failures - 1, past.last_at)

    def reset(self, key: str) -> None:
        """Delete the failures of `key`, after a success: they were typing errors."""
        with self._lock:
            self._attempted.pop(key, None)

    def _backoff(self, past: _Attempted) -> float:
        beyond = past.failures - self._free
        return 0.0 if beyond < 0 else min(2.0 ** min(beyond, 60), self._longest)

    def _evict(self, now: float) -> None:
        """Drop the keys without a backoff; where too many have one, drop the oldest."""
        waiting = {key: one for key, one in self._attempted.items() if now < one.last_at + self._backoff(one)}
        while len(waiting) >= MOST_KEYS:
            waiting.pop(next(iter(waiting)))
        self._attempted = waiting


def address_key(address: str) -> str:
    """The key for failures from `address`: the address itself, or the network of an IPv6 address."""
    try:
        if ip_address(address).version == 4:
            return address
        return str(ip_network(f"{address.partition('%')[0]}/{_NETWORK}", strict=False))
    except ValueError:
        return address
