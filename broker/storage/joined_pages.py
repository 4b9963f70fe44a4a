"""Listings of more records than one question to the engine may ask for, while others commit all the time.

The pages are read at revisions of their own, and the feed of changes tells what was written since the first one: that
is read again, until nothing of the listing has changed while it was. Then everything is true at one revision.

The feed is asked after each page, so that it does not end before the listing does. It goes on from the revision of each
answer: so no answer came from a server that was replaced, and whose last commits were lost.

It is refused (Conflict) where there is no feed: in partitions without one (`changes.py`), after commits of very many
keys, and where more than FEED_LENGTH commits come between two pages.
"""

import asyncio
from collections.abc import Callable
from operator import itemgetter
from typing import Generic, TypeVar

import msgspec

from broker.storage.engine import Engine, Revision

T = TypeVar("T")

# How many records a page has: they are read and decoded while no other request is served.
_PAGE = 500

# How often what has changed meanwhile is read again, and how many records at most.
_MOST_ROUNDS = 50
_MOST_CHANGED = 10_000


class JoinedPages(msgspec.Struct, Generic[T], frozen=True):
    """`records` by key, in order, all true at `revision`; `changed` keys of the partition were written meanwhile."""

    revision: Revision
    records: list[tuple[str, T]]
    changed: set[str]


class _Lost(Exception):
    """The feed does not tell what has happened."""


async def read_joined(
    engine: Engine,
    partition: str,
    since: Revision,
    prefix: str,
    after: str,
    decode: Callable[[str, bytes], T],
) -> JoinedPages[T] | None:
    """What a scan without a limit finds, and what was written since `since`; None where that is unknown."""
    joining = _Joining(engine, partition, prefix, after, since, decode)
    try:
        await joining.read_pages()
        revision = await joining.catch_up()
    except _Lost:
        return None
    return JoinedPages(revision, sorted(joining.records.items(), key=itemgetter(0)), joining.changed)


class _Joining(Generic[T]):
    def __init__(
        self,
        engine: Engine,
        partition: str,
        prefix: str,
        after: str,
        since: Revision,
        decode: Callable[[str, bytes], T],
    ) -> None:
        self._engine, self._partition, self._decode = engine, partition, decode
        self._prefix, self._after = prefix, after
        self._seen = since
        self._stale: set[str] = set()
        self.records: dict[str, T] = {}
        self.changed: set[str] = set()

    async def read_pages(self) -> None:
        after = self._after
        while True:
            revision, pairs = await self._engine.page(self._partition, self._prefix, after, _PAGE)
            await self._follow(revision)
            self.records.update((key, self._decode(key, value)) for key, value in pairs)
            if len(pairs) < _PAGE:
                return
            after = pairs[-1][0]
            await asyncio.sleep(0)  # let the event loop serve requests

    async def catch_up(self) -> Revision:
        """A revision at which all records are true."""
        for _ in range(_MOST_ROUNDS):
            await self._follow(None)
            if not self._stale:
                return self._seen
            if len(self._stale) > _MOST_CHANGED:
                break
            stale, self._stale = sorted(self._stale), set()
            revision, values = await self._engine.fetch(self._partition, stale)
            await self._follow(revision)
            for key, value in zip(stale, values, strict=True):
                if value is None:
                    self.records.pop(key, None)
                else:
                    self.records[key] = self._decode(key, value)
        raise _Lost

    async def _follow(self, answered: Revision | None) -> None:
        """Note what was written until `answered`, and perhaps after it: that is noted again by the next call.

        None: until now.
        """
        changes = await self._engine.changes(self._partition, self._seen)
        if changes is None:
            raise _Lost
        answered = answered or changes.revision
        if not self._seen.number <= answered.number <= changes.revision.number:
            raise _Lost
        self.changed.update(changes.present)
        self._stale.update(
            key for key in changes.present if key.startswith(self._prefix) and key > self._after
        )
        self._seen = answered
