"""How much work is done between two turns of the event loop, counted and not timed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


class Work:
    """`most` is the largest number of items that were noted between two turns."""

    def __init__(self) -> None:
        self.most = self.noted = self._since = 0

    def note(self) -> None:
        self.noted += 1
        self._since += 1
        self.most = max(self.most, self._since)

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        turning = asyncio.create_task(self._turn())
        await asyncio.sleep(0)
        try:
            yield
        finally:
            turning.cancel()

    async def _turn(self) -> None:
        while True:
            self._since = 0
            await asyncio.sleep(0)


class Noted(list[T]):
    """A list each item of which is noted when it is looked at."""

    def __init__(self, items: Iterable[T], work: Work) -> None:
        super().__init__(items)
        self._work = work

    def __iter__(self) -> Iterator[T]:
        for item in super().__iter__():
            self._work.note()
            yield item
