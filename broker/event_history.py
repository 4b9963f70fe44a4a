"""The event history of an account for pages, by the gate: CloudTrail's LookupEvents with more to look for.

A look-up leaves its own record, as on AWS. A live tail leaves one when it begins; it asks the gate again before it
shows more, and leaves another record where that refuses.
"""

from typing import Any

import msgspec

from broker.access.caller import Caller
from broker.access.facts import RequestFacts
from broker.access.resource import Resource
from broker.access.restrictions import refuse_restricted
from broker.audit.event import begin_event, iso_time
from broker.audit.facets import RecordFilter
from broker.audit.history import EventHistory
from broker.audit.reader import FoundRecords, RecordPlace
from broker.performing import (
    CallerOf,
    Tools,
    record_caller,
    recorded,
)
from broker.storage.store import Transaction

_SERVICE, _OPERATION = "cloudtrail", "LookupEvents"
_ACTION = f"{_SERVICE}:{_OPERATION}"


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

    async with recorded(tools, event):
        caller = await tools.store.transact(admit)
        found = await history.find(caller.account, wanted, limit, after)
        event.read_only = True
    return found


async def may_look_up_events(tools: Tools, facts: RequestFacts, caller: Caller) -> bool:
    """Whether the gate would still allow it; leaves no record."""
    facts = msgspec.structs.replace(facts, service=_SERVICE, now=tools.clock())
    store = tools.store.transaction()
    return (await tools.gate.decide(store, caller, facts, _ACTION, Resource())).allowed


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
