"""Pauses within long work on the event loop, in which it serves other requests."""

import asyncio


class Pauses:
    """A pause after each `every` items, counted over all lists of them: many short lists are long work, too."""

    def __init__(self, every: int) -> None:
        self._every = every
        self._counted = 0

    async def count(self) -> None:
        """Count an item; where it is the last of `every` ones, the event loop runs once before this returns."""
        self._counted += 1
        if self._counted == self._every:
            self._counted = 0
            await asyncio.sleep(0)
