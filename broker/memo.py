"""Answers that are kept, of functions that give the same answer each time."""

from collections.abc import Callable, Hashable
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)
Answer = TypeVar("Answer")


class Memo(dict[Key, Answer]):
    """`memo[key]` is what `make` makes of `key`; of more than `limit` answers all are forgotten.

    For answers of which thousands are in use at a time, and that cost little: `functools.lru_cache` would put each
    that it finds to the end of a list, and so write to memory all over the place to save what is seldom needed.
    """

    __slots__ = ("_limit", "_make")

    def __init__(self, make: Callable[[Key], Answer], limit: int = 4096) -> None:
        super().__init__()
        self._make = make
        self._limit = limit

    def __missing__(self, key: Key) -> Answer:
        answer = self._make(key)
        if len(self) >= self._limit:
            self.clear()
        self[key] = answer
        return answer
