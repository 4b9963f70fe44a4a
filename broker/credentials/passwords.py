"""Hashing and verifying of passwords in threads, off the event loop, with a bounded queue.

When the queue is full, the next request is refused at once: hashes cannot use up the broker's memory, nor the time of
other requests.
"""

import asyncio
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from copy import copy
from threading import BoundedSemaphore
from typing import Any, Self, TypeVar
from weakref import WeakKeyDictionary

import msgspec

from broker.errors import Refusal
from broker.names.secret import SecretKey
from broker.sealing.passwords import (
    DIGEST_SIZE,
    SALT_SIZE,
    HashCost,
    hash_of_nothing,
    hash_password,
    is_outdated,
    is_password,
)

_WAITING_PER_THREAD = 8

T = TypeVar("T")


class PasswordSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a hash costs, how many are made at a time, and how failed attempts slow down the next."""

    memory_kib: int = HashCost().memory_kib
    passes: int = HashCost().passes
    hashes_at_a_time: int = 2
    free_attempts_of_user: int = 5
    free_attempts_of_address: int = 30
    longest_wait_of_user_seconds: int = 900
    longest_wait_of_address_seconds: int = 60

    @property
    def cost(self) -> HashCost:
        return HashCost(self.memory_kib, self.passes)


class Passwords:
    """Hashes and verifies; leave it by `close`."""

    # What was done already for one request, by what it was.
    _done: dict[Hashable, Any] | None = None

    def __init__(self, settings: PasswordSettings, entropy: Callable[[int], bytes]) -> None:
        threads = settings.hashes_at_a_time
        self.settings = settings
        self._entropy = entropy
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="passwords")
        self._places = BoundedSemaphore(threads * (1 + _WAITING_PER_THREAD))
        self._of_requests: WeakKeyDictionary[Any, dict[Hashable, Any]] = WeakKeyDictionary()

    def during(self, request: object) -> Self:
        """The same, with the results for `request` cached as long as that object exists.

        A request is retried if its account has changed in the meantime. A hash takes so long that in a busy account
        every retry would meet the next change. If this already has a cache, that of the outer request, it is used.
        """
        if self._done is not None:
            return self
        caching = copy(self)
        caching._done = self._of_requests.setdefault(request, {})
        return caching

    async def hash(self, password: SecretKey) -> SecretKey:
        salt, cost = self._entropy(SALT_SIZE), self.settings.cost
        return await self._once(("hash", password.reveal()), lambda: hash_password(password, salt, cost))

    async def verify(self, password_hash: SecretKey | None, unverified_password: SecretKey) -> bool:
        """Whether this is the password; for None always false, after the same work."""
        if password_hash is None:
            password_hash = hash_of_nothing(self._entropy(SALT_SIZE + DIGEST_SIZE), self.settings.cost)
        proven = password_hash
        what = "verify", proven.reveal(), unverified_password.reveal()
        return await self._once(what, lambda: is_password(proven, unverified_password))

    async def is_among(self, password_hashes: Iterable[SecretKey], password: SecretKey) -> bool:
        """Whether it is one of these, which are tried one after another, in one thread."""
        hashes = tuple(password_hashes)
        what = "among", *(one.reveal() for one in hashes), password.reveal()
        return await self._once(what, lambda: any(is_password(one, password) for one in hashes))

    def is_outdated(self, password_hash: SecretKey) -> bool:
        return is_outdated(password_hash, self.settings.cost)

    def close(self) -> None:
        """Takes no more; what runs ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _once(self, what: Hashable, work: Callable[[], T]) -> T:
        if self._done is None:
            return await self._run(work)
        if what not in self._done:
            self._done[what] = await self._run(work)
        done: T = self._done[what]
        return done

    async def _run(self, work: Callable[[], T]) -> T:
        """Raises Throttling where too many wait already."""
        if not self._places.acquire(blocking=False):
            raise Refusal("Throttling", "Rate exceeded", reason="too many passwords wait to be hashed")
        try:
            future = self._threads.submit(work)
        except BaseException:
            self._places.release()
            raise
        future.add_done_callback(self._release)
        return await asyncio.wrap_future(future)

    def _release(self, _: "Future[Any]") -> None:
        self._places.release()
