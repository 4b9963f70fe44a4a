"""Logins to an LDAP directory: they block, so they run in threads, a bounded number at a time.

The blocking function (`directory_login.log_in`) is passed in, so ldap3 is imported only where it is configured.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import BoundedSemaphore

import msgspec

from broker.assertions.checks import Checks
from broker.federation.attempts import Attempts, TooManyAttempts, address_key
from broker.federation.directory_rules import DirectoryRules

# Failures without a backoff, and the longest backoff in seconds: of one person, and of all behind one address.
_PERSON_LIMIT, _ADDRESS_LIMIT = (10, 300.0), (30, 60.0)

_WAITING_PER_THREAD = 8
_MARGIN = 1.0  # seconds for the way of an answer from its thread to the event loop


class DirectoryUnavailable(Exception):
    """No server of the directory gave a usable answer; the reason is for the operator."""


class Person(msgspec.Struct, frozen=True):
    """A person who has proven a password: name and distinguished name as in the directory, and those of the groups."""

    name: str
    distinguished_name: str
    groups: tuple[str, ...] = ()


# Called with a person's normalised distinguished name before the password is tried; raises TooManyAttempts.
Admit = Callable[[str], None]
# User name, password, timeout in seconds, admit, checks -> the person. Blocks. Raises CheckFailed, TooManyAttempts of
# `admit`, and DirectoryUnavailable.
LogIn = Callable[[str, str, float, Admit, Checks], Person]


class DirectoryLogins:
    """Runs at most `rules.logins_at_a_time` logins at a time; some more are queued, and the rest is refused."""

    def __init__(
        self, rules: DirectoryRules, log_in: LogIn, clock: Callable[[], float] = time.monotonic
    ) -> None:
        threads = rules.logins_at_a_time
        self.rules = rules
        self._log_in = log_in
        self._person_attempts = Attempts(*_PERSON_LIMIT, clock)
        self._address_attempts = Attempts(*_ADDRESS_LIMIT, clock)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="directory")
        self._slots = BoundedSemaphore(threads * (1 + _WAITING_PER_THREAD))

    async def log_in(self, user_name: str, password: str, address: str, checks: Checks) -> Person:
        """The person; raises CheckFailed, TooManyAttempts and DirectoryUnavailable."""
        if not self._slots.acquire(blocking=False):
            raise TooManyAttempts("too many logins are queued for the directory")
        try:
            future = self._threads.submit(self._attempt, user_name, password, address, checks)
        except BaseException:
            self._slots.release()
            raise
        future.add_done_callback(self._release)
        try:
            async with asyncio.timeout(self.rules.timeout_seconds + _MARGIN):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise DirectoryUnavailable("the directory did not answer in time") from None

    def close(self) -> None:
        """Refuse further logins; those that run end at their deadlines."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _release(self, _: "Future[Person]") -> None:
        self._slots.release()

    def _attempt(self, user_name: str, password: str, address: str, checks: Checks) -> Person:
        """One login, counted as failed until it is known to have succeeded."""
        client = address_key(address)
        self._address_attempts.begin(client)
        begun: list[str] = []

        def admit(name: str) -> None:
            if name not in begun:  # where a second server is tried, the attempt is the same
                self._person_attempts.begin(name)
                begun.append(name)

        try:
            person = self._log_in(user_name, password, self.rules.timeout_seconds, admit, checks)
        except (DirectoryUnavailable, TooManyAttempts):
            self._address_attempts.discount(client)
            for name in begun:
                self._person_attempts.discount(name)
            raise
        self._address_attempts.discount(client)
        for name in begun:
            self._person_attempts.reset(name)
        return person
