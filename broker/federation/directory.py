"""Logins to an LDAP directory as the event loop sees them: they run in threads of their own, so many at a time.

What blocks (`directory_login`) is handed in: so ldap3 is imported only where a directory is configured.
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

# What costs nothing, and the longest wait in seconds: a person's own slips; those of all people behind one address.
_OF_PERSON, _OF_ADDRESS = (10, 300.0), (30, 60.0)

_WAITING_PER_THREAD = 8
_MARGIN = 1.0  # seconds that an answer may take to come back from its thread


class DirectoryUnavailable(Exception):
    """No server of the directory gave an answer that counts; the reason is for the operator."""


class Person(msgspec.Struct, frozen=True):
    """Who has proven a password: the name and the distinguished name as the directory has them, and the groups'."""

    name: str
    distinguished_name: str
    groups: tuple[str, ...] = ()


# Called with a person's normalised distinguished name before the password is tried; raises TooManyAttempts.
Admit = Callable[[str], None]
# User name, password, seconds that there are, admit, checks -> the person. Blocks. Raises CheckFailed, what Admit
# raises, and DirectoryUnavailable.
LogIn = Callable[[str, str, float, Admit, Checks], Person]


class DirectoryLogins:
    """So many logins run at a time as the rules say, and some more wait; what comes beyond that is refused."""

    def __init__(
        self, rules: DirectoryRules, log_in: LogIn, clock: Callable[[], float] = time.monotonic
    ) -> None:
        threads = rules.logins_at_a_time
        self.rules = rules
        self._log_in = log_in
        self._of_person, self._of_address = Attempts(*_OF_PERSON, clock), Attempts(*_OF_ADDRESS, clock)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="directory")
        self._places = BoundedSemaphore(threads * (1 + _WAITING_PER_THREAD))

    async def log_in(self, user_name: str, password: str, address: str, checks: Checks) -> Person:
        """The person; raises CheckFailed, TooManyAttempts and DirectoryUnavailable."""
        if not self._places.acquire(blocking=False):
            raise TooManyAttempts("too many logins at the same time wait for the directory")
        try:
            future = self._threads.submit(self._attempt, user_name, password, address, checks)
        except BaseException:
            self._places.release()
            raise
        future.add_done_callback(self._release)
        try:
            async with asyncio.timeout(self.rules.timeout_seconds + _MARGIN):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise DirectoryUnavailable("the directory did not answer in time") from None

    def close(self) -> None:
        """Takes no more logins; those that run end by their deadlines."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _release(self, _: "Future[Person]") -> None:
        self._places.release()

    def _attempt(self, user_name: str, password: str, address: str, checks: Checks) -> Person:
        """One login, counted as failed until it is known not to be."""
        of_address = address_key(address)
        self._of_address.begin(of_address)
        begun: list[str] = []

        def admit(name: str) -> None:
            if name not in begun:  # a second server is asked about the same attempt
                self._of_person.begin(name)
                begun.append(name)

        try:
            person = self._log_in(user_name, password, self.rules.timeout_seconds, admit, checks)
        except (DirectoryUnavailable, TooManyAttempts):
            self._of_address.take_back(of_address)
            for name in begun:
                self._of_person.take_back(name)
            raise
        self._of_address.take_back(of_address)
        for name in begun:
            self._of_person.forget(name)
        return person
