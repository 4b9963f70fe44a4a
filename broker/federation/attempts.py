"""How often a password may be tried: after some failures, each further attempt has to wait twice as long.

An attempt counts as failed from its beginning, until its outcome is known: many at the same time are no way around. It
is counted by each worker of each node. While an attempt has to wait it is refused, whatever its password is, and makes
nobody wait longer.
"""

from collections.abc import Callable
from ipaddress import ip_address, ip_network
from threading import Lock

import msgspec

FORGOTTEN_AFTER = 3600.0  # seconds after the last attempt
MOST_KEYS = 10_000
_NETWORK = 64  # bits: who has one IPv6 address, mostly has all of its network


class TooManyAttempts(Exception):
    """The reason is for the operator."""


class _Attempted(msgspec.Struct, frozen=True):
    failures: int
    last_at: float


class Attempts:
    """Counts failures by key: `free` of them cost nothing, and no wait is longer than `longest` seconds.

    It is used from several threads, whose attempts come in any order: so it reads the clock itself, one that never goes
    back.
    """

    def __init__(self, free: int, longest: float, clock: Callable[[], float]) -> None:
        self._free = free
        self._longest = longest
        self._clock = clock
        self._lock = Lock()
        self._attempted: dict[str, _Attempted] = {}

    def begin(self, key: str) -> None:
        """Count an attempt; raises TooManyAttempts where it comes too early."""
        with self._lock:
            now = self._clock()
            past = self._attempted.pop(key, _Attempted(0, now))
            if now >= past.last_at + FORGOTTEN_AFTER:
                past = _Attempted(0, now)
            wait = self._wait(past)
            if now < past.last_at + wait:
                self._attempted[key] = past
                raise TooManyAttempts(
                    f"{key}: {past.failures} attempts failed, the next is taken {wait:g} seconds after the last"
                )
            if len(self._attempted) >= MOST_KEYS:
                self._forget(now)
            self._attempted[key] = _Attempted(past.failures + 1, now)

    def take_back(self, key: str) -> None:
        """The attempt has not failed: it was none, or succeeded."""
        with self._lock:
            past = self._attempted.get(key)
            if past is not None and past.failures > 0:
                self._attempted[key] = _Attempted(past.failures - 1, past.last_at)

    def forget(self, key: str) -> None:
        """Whoever knows the password has proven that the failures before were slips."""
        with self._lock:
            self._attempted.pop(key, None)

    def _wait(self, past: _Attempted) -> float:
        beyond = past.failures - self._free
        return 0.0 if beyond < 0 else min(2.0 ** min(beyond, 60), self._longest)

    def _forget(self, now: float) -> None:
        """Drop those who need not wait; where all have to, those who tried first."""
        waiting = {key: one for key, one in self._attempted.items() if now < one.last_at + self._wait(one)}
        while len(waiting) >= MOST_KEYS:
            waiting.pop(next(iter(waiting)))
        self._attempted = waiting


def address_key(address: str) -> str:
    """What failures from `address` are counted under: the address, or its network where it is one of IPv6."""
    try:
        if ip_address(address).version == 4:
            return address
        return str(ip_network(f"{address.partition('%')[0]}/{_NETWORK}", strict=False))
    except ValueError:
        return address
