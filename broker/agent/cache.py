"""The cache of the agent: credentials by who asks.

The law:

1. What is valid is served without asking the broker. What has expired is never served.
2. Renewal is ahead of time, in the background, of what was read since the last one. What was not read is dropped.
3. One fetch for each asker at a time, MOST_FETCHES in all: others wait for it.
4. While the broker is away, one attempt at a time is made, with growing pauses. Who has nothing valid gets Unavailable
   at once, with the time of the next attempt. When it is back, renewals that became due are spread over a window.
5. A refusal ends what was cached: the broker has decided again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable

import msgspec

from broker.agent import schedule
from broker.names.secret import SecretKey

MOST_FETCHES = 8
MOST_HELD = 8192
LONGEST_WAIT = 10.0  # seconds that an asker waits for a fetch; SDKs give up sooner, and ask again

_logger = logging.getLogger("broker.agent")


class AgentCredentials(msgspec.Struct, frozen=True):
    """Credentials as the broker gave them; times in epoch seconds."""

    access_key_id: str
    secret: SecretKey
    session_token: str
    account_id: str
    role_arn: str
    issued_at: float
    expires_at: float

    def __repr__(self) -> str:
        return f"AgentCredentials({self.access_key_id}, until {self.expires_at:.0f}, ***)"


class UpstreamRefusal(Exception):
    """The broker has refused; `status` is that of its answer."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message


class UpstreamAway(Exception):
    """The broker does not answer, or cannot now; the reason is for the operator."""


class Unavailable(Exception):
    """There is nothing valid, and the broker is away; `retry_after` in whole seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"the broker is away; ask again in {retry_after} s")
        self.retry_after = retry_after


Fetch = Callable[[], Awaitable[AgentCredentials]]


class _Held(msgspec.Struct):
    """What is held for an asker; `fetch` renews it."""

    credentials: AgentCredentials
    renew_at: float
    fetch: Fetch
    was_read: bool = False


class AgentCache:
    """`clock` gives epoch seconds, `random` a number in [0, 1)."""

    def __init__(
        self,
        clock: Callable[[], float],
        random: Callable[[], float],
        return_window: float = schedule.RETURN_WINDOW,
    ) -> None:
        self._clock = clock
        self._random = random
        self._return_window = return_window
        self._held: dict[Hashable, _Held] = {}
        self._fetches: dict[Hashable, asyncio.Task[AgentCredentials]] = {}
        self._slots = asyncio.Semaphore(MOST_FETCHES)
        self._failures = 0
        self._next_attempt = 0.0

    @property
    def is_away(self) -> bool:
        """Whether the last attempt failed."""
        return self._failures > 0

    @property
    def size(self) -> int:
        return len(self._held)

    def find(self, key: Hashable) -> AgentCredentials | None:
        """What is held for the asker and valid; it counts as read."""
        held = self._held.get(key)
        if held is None or self._clock() >= held.credentials.expires_at:
            return None
        held.was_read = True
        return held.credentials

    async def get(self, key: Hashable, fetch: Fetch) -> AgentCredentials:
        """What is valid for the asker; raises UpstreamRefusal and Unavailable."""
        found = self.find(key)
        if found is not None:
            return found
        try:
            async with asyncio.timeout(LONGEST_WAIT):
                credentials = await asyncio.shield(self._fetched(key, fetch))
        except (UpstreamAway, TimeoutError):
            raise Unavailable(schedule.retry_after(self._clock(), self._next_attempt)) from None
        if (held := self._held.get(key)) is not None:
            held.was_read = True
        return credentials

    async def renew(self) -> None:
        """Start what is due; called every second or so. Returns before it is done."""
        now = self._clock()
        for key, held in list(self._held.items()):
            if now >= held.credentials.expires_at or (now >= held.renew_at and not held.was_read):
                del self._held[key]
            elif now >= held.renew_at and key not in self._fetches:
                if self.is_away and (now < self._next_attempt or self._fetches):
                    continue  # one attempt at a time tells whether it is back
                self._fetched(key, held.fetch)

    async def close(self) -> None:
        fetches = list(self._fetches.values())
        for task in fetches:
            task.cancel()
        await asyncio.gather(*fetches, return_exceptions=True)

    def _fetched(self, key: Hashable, fetch: Fetch) -> asyncio.Task[AgentCredentials]:
        """The running fetch for the asker, or a new one; raises Unavailable while the broker is known to be away."""
        task = self._fetches.get(key)
        if task is None:
            now = self._clock()
            if self.is_away and (now < self._next_attempt or self._fetches):
                raise Unavailable(schedule.retry_after(now, self._next_attempt))
            task = self._fetches[key] = asyncio.create_task(self._fetch(key, fetch))
            task.add_done_callback(lambda done: self._end_fetch(key, done))
        return task

    def _end_fetch(self, key: Hashable, task: "asyncio.Task[AgentCredentials]") -> None:
        """Who asked may have gone: what the fetch came to is looked at here, too."""
        self._fetches.pop(key, None)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, UpstreamRefusal):
            _logger.info("refused by the broker: %s", error)
        elif error is not None and not isinstance(error, UpstreamAway):
            _logger.error("a fetch failed", exc_info=error)

    async def _fetch(self, key: Hashable, fetch: Fetch) -> AgentCredentials:
        async with self._slots:
            if self.is_away and self._clock() < self._next_attempt:
                raise UpstreamAway("found away by another fetch")
            try:
                credentials = await fetch()
            except UpstreamAway as error:
                self._note_failure(error)
                raise
            except UpstreamRefusal:
                self._held.pop(key, None)
                self._note_success()
                raise
        self._note_success()
        self._hold(key, credentials, fetch)
        return credentials

    def _hold(self, key: Hashable, credentials: AgentCredentials, fetch: Fetch) -> None:
        if len(self._held) >= MOST_HELD and key not in self._held:
            soonest = min(self._held, key=lambda one: self._held[one].credentials.expires_at)
            del self._held[soonest]
        renew_at = schedule.renewal_time(credentials.issued_at, credentials.expires_at, self._random())
        self._held[key] = _Held(credentials, renew_at, fetch)

    def _note_failure(self, error: UpstreamAway) -> None:
        """Of several fetches that fail at once, the first counts."""
        now = self._clock()
        if now < self._next_attempt:
            return
        if not self.is_away:
            _logger.warning("the broker is away: %s", error)
        self._failures += 1
        self._next_attempt = schedule.next_attempt(now, self._failures, self._random())

    def _note_success(self) -> None:
        if not self.is_away:
            return
        _logger.warning("the broker is back")
        self._failures, self._next_attempt = 0, 0.0
        now = self._clock()
        for held in self._held.values():
            if held.renew_at <= now:
                end = held.credentials.expires_at
                held.renew_at = schedule.renewal_after_return(now, end, self._random(), self._return_window)
