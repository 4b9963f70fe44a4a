"""How long a request's body may take to arrive: a client that sends half of one holds neither memory nor shutdown."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

BODY_SECONDS = 20.0
LAST_SECONDS = 1.0


class Patience:
    """One per worker. Whoever waits for a client does so inside `waiting`, which raises TimeoutError."""

    def __init__(self, seconds: float = BODY_SECONDS) -> None:
        self._seconds = seconds
        self._waiting: set[asyncio.Timeout] = set()
        self._nobody = asyncio.Event()

    @asynccontextmanager
    async def waiting(self) -> AsyncIterator[None]:
        """For all that comes inside together, not for each byte: a trickle is no progress."""
        async with asyncio.timeout(self._seconds) as deadline:
            self._waiting.add(deadline)
            try:
                yield
            finally:
                self._waiting.discard(deadline)
                if not self._waiting:
                    self._nobody.set()

    async def end(self) -> None:
        """The server stops: wait a second for what is on its way, and no longer."""
        self._seconds = min(self._seconds, LAST_SECONDS)
        latest = asyncio.get_running_loop().time() + LAST_SECONDS
        for deadline in self._waiting:
            when = deadline.when()
            if when is None or when > latest:
                deadline.reschedule(latest)
        if self._waiting:
            self._nobody.clear()
            await self._nobody.wait()
