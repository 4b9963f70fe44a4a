"""The event history of accounts: the journal, as far as it is an account's own.

An account sees the records whose `recipientAccountId` it is, and no others, whatever a filter says. It sees those of
this node: each node has a journal of its own.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from broker.audit.facets import RecordFilter
from broker.audit.reader import FoundRecord, FoundRecords, JournalReader, RecordPlace
from broker.causes import explained
from broker.errors import Refusal, service_unavailable

# How long a look-up may index what was not searched before; the rest follows in the background, in steps as long.
_INDEXING_SECONDS = 0.5
# What is wrong with the broker itself: the exact reason names the operator's machines, and is not for accounts.
_FAULTS = frozenset({"ServiceUnavailable", "InternalFailure"})
_MOST_TAILS = 32  # of one worker: each asks gate and journal every other second
_MOST_OF_A_PERSON = 6  # so that one person does not take all


class EventHistory:
    """Searches in threads, one at a time."""

    def __init__(self, reader: JournalReader) -> None:
        self._reader = reader
        self._lock = asyncio.Lock()
        self._indexing: asyncio.Task[None] | None = None
        self._tails: Counter[str] = Counter()

    async def find(
        self, account: str, wanted: RecordFilter, limit: int, after: RecordPlace | None = None
    ) -> FoundRecords:
        """Records of `account` that match `wanted`, the newest first. Raises Refusal where they cannot be read."""
        own = msgspec.structs.replace(wanted, terms=(("account", account), *wanted.terms))
        found = await self._find(own, limit, after)
        is_idle = self._indexing is None or self._indexing.done()
        if found.complete_since is not None and is_idle:
            self._indexing = asyncio.create_task(self._index_the_rest())
        records = tuple(map(shown_to_account, found.records))
        return msgspec.structs.replace(found, records=records)

    @contextmanager
    def tail(self, subject: str) -> Iterator[None]:
        """Around a live tail of the person `subject`; raises Refusal where there are too many."""
        if self._tails.total() >= _MOST_TAILS or self._tails[subject] >= _MOST_OF_A_PERSON:
            raise Refusal("Throttling", "Too many live tails are open.")
        self._tails[subject] += 1
        try:
            yield
        finally:
            self._tails[subject] -= 1
            self._tails += Counter()  # removes those who have none

    async def _find(self, wanted: RecordFilter, limit: int, after: RecordPlace | None) -> FoundRecords:
        async with self._lock:
            try:
                return await asyncio.to_thread(self._reader.find, wanted, limit, after, _INDEXING_SECONDS)
            except OSError as error:
                raise service_unavailable(f"the journal cannot be read: {explained(error)}") from None

    async def _index_the_rest(self) -> None:
        """In steps, between which look-ups have their turn."""
        left: int | None = 0
        while left is not None:
            left = (await self._find(RecordFilter(), 0, None)).complete_since


def shown_to_account(found: FoundRecord) -> FoundRecord:
    """Without what is for the operator alone."""
    if found.event.error_code not in _FAULTS:
        return found
    event = msgspec.structs.replace(found.event, error_message="")
    return FoundRecord(event, msgspec.json.encode(event))
