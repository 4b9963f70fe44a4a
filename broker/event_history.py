"""The event history of an account: what CloudTrail's LookupEvents shows, to whom the gate allows it.

An account sees the records whose `recipientAccountId` it is, and no others, whatever a filter says. It sees those of
this node: each node has a journal of its own.

A look-up leaves its own record, as on AWS. A live tail leaves one when it begins; it asks the gate again before it
shows more, and leaves another record where that refuses.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from broker.access.caller import Caller
from broker.access.facts import RequestFacts
from broker.access.resource import Resource
from broker.access.restrictions import refuse_restricted
from broker.audit.event import begin_event, iso_time
from broker.audit.facets import RecordFilter
from broker.audit.journal import JournalUnavailable
from broker.audit.reader import FoundRecord, FoundRecords, JournalReader, RecordPlace
from broker.errors import Refusal, service_unavailable
from broker.performing import (
    CallerOf,
    Tools,
    internal_failure,
    known_refusal,
    note_refusal,
    record_caller,
    unjournalled,
)
from broker.storage.store import Transaction

_SERVICE, _OPERATION = "cloudtrail", "LookupEvents"
_ACTION = f"{_SERVICE}:{_OPERATION}"
# How long a look-up may index what was not searched before; the rest follows in the background, in steps as long.
_INDEXING_SECONDS = 0.5
# What is wrong with the broker itself: the exact reason names the operator's machines, and is not for accounts.
_FAULTS = frozenset({"ServiceUnavailable", "InternalFailure"})
_MOST_TAILS = 32  # of one worker: each asks gate and journal every other second


class EventHistory:
    """Searches in threads, one at a time."""

    def __init__(self, reader: JournalReader) -> None:
        self._reader = reader
        self._lock = asyncio.Lock()
        self._indexing: asyncio.Task[None] | None = None
        self._tails = 0

    async def find(
        self, account: str, wanted: RecordFilter, limit: int, after: RecordPlace | None = None
    ) -> FoundRecords:
        """Records of `account` that match `wanted`, the newest first. Raises Refusal where they cannot be read."""
        own = msgspec.structs.replace(wanted, terms=(("account", account), *wanted.terms))
        found = await self._find(own, limit, after)
        is_idle = self._indexing is None or self._indexing.done()
        if found.complete_since is not None and is_idle:
            self._indexing = asyncio.create_task(self._index_the_rest())
        records = tuple(map(_for_the_account, found.records))
        return msgspec.structs.replace(found, records=records)

    @contextmanager
    def tail(self) -> Iterator[None]:
        """Around a live tail; raises Refusal where there are too many."""
        if self._tails >= _MOST_TAILS:
            raise Refusal("Throttling", "Too many live tails are open.")
        self._tails += 1
        try:
            yield
        finally:
            self._tails -= 1

    async def _find(self, wanted: RecordFilter, limit: int, after: RecordPlace | None) -> FoundRecords:
        async with self._lock:
            try:
                return await asyncio.to_thread(self._reader.find, wanted, limit, after, _INDEXING_SECONDS)
            except OSError as error:
                raise service_unavailable(f"the journal cannot be read: {error}") from None

    async def _index_the_rest(self) -> None:
        """In steps, between which look-ups have their turn."""
        left: int | None = 0
        while left is not None:
            left = (await self._find(RecordFilter(), 0, None)).complete_since


async def look_up_events(
    tools: Tools,
    history: EventHistory,
    facts: RequestFacts,
    caller_of: CallerOf,
    wanted: RecordFilter,
    limit: int,
    after: RecordPlace | None = None,
) -> FoundRecords:
    """A page of the caller's account. Raises Refusal, with its record written, and what store and journal raise."""
    facts = msgspec.structs.replace(facts, service=_SERVICE)
    event = begin_event(facts.now, facts.request_id, facts.source_ip, facts.user_agent, tools.entropy(16))
    event.event_source, event.event_name = f"{_SERVICE}.amazonaws.com", _OPERATION
    event.aws_region, event.request_parameters = facts.region, _parameters(wanted, limit)

    async def admit(store: Transaction) -> Caller:
        caller = await caller_of(store)
        record_caller(tools.store, event, facts, caller)
        refuse_restricted(caller, _SERVICE, _OPERATION)
        await tools.gate.require(store, caller, facts, _ACTION, Resource())
        return caller

    try:
        # Nothing is done before the journal holds the records of earlier requests.
        tools.journal.catch_up()
        caller = await tools.store.transact(admit)
        found = await history.find(caller.account, wanted, limit, after)
        event.read_only = True
    except Exception as error:
        note_refusal(event, known_refusal(error) or internal_failure())
        await tools.journal.record(event)
        raise
    try:
        await tools.journal.record(event)
    except JournalUnavailable as error:
        raise unjournalled(event, str(error)) from None
    return found


async def may_look_up_events(tools: Tools, facts: RequestFacts, caller: Caller) -> bool:
    """Whether the gate would still allow it; leaves no record."""
    facts = msgspec.structs.replace(facts, service=_SERVICE, now=tools.clock())
    store = tools.store.transaction()
    return (await tools.gate.decide(store, caller, facts, _ACTION, Resource())).allowed


def _for_the_account(found: FoundRecord) -> FoundRecord:
    if found.event.error_code not in _FAULTS:
        return found
    event = msgspec.structs.replace(found.event, error_message="")
    return FoundRecord(event, msgspec.json.encode(event))


def _parameters(wanted: RecordFilter, limit: int) -> dict[str, Any]:
    """`requestParameters`, as CloudTrail has them; the keys of the filter's terms are the broker's."""
    parameters: dict[str, Any] = {"maxResults": limit}
    if wanted.terms:
        parameters["lookupAttributes"] = [
            {"attributeKey": facet, "attributeValue": value} for facet, value in wanted.terms
        ]
    for name, at in (("startTime", wanted.start), ("endTime", wanted.end)):
        if at is not None:
            parameters[name] = iso_time(at)
    return parameters
