"""The operator's page: workers, store, keys, certificate, journal and version of the node that answers.

It is there in one account alone, `portal.operator_account`, for whom the gate allows `broker:GetState`; each look
leaves a record. Elsewhere there is no such page. It only shows: who is to change something needs the machine.
"""

from aiohttp import web

from broker.access.caller import Caller
from broker.access.resource import Resource
from broker.audit.event import begin_event
from broker.errors import Refusal
from broker.performing import recorded
from broker.portal.console.acting import acting_caller
from broker.portal.console.frame import console_page, console_route
from broker.portal.console.operations import FAULTS
from broker.portal.dependencies import Portal
from broker.portal.visit import Visit
from broker.storage.store import Transaction

_SERVICE, _OPERATION = "broker", "GetState"


async def show(portal: Portal, visit: Visit) -> web.Response:
    if portal.read_state is None or visit.request.match_info["account"] != portal.operator_account:
        raise web.HTTPNotFound
    try:
        await _require(portal, visit)
    except Refusal as refusal:
        if refusal.code in FAULTS:
            raise
        return await console_page(portal, visit, "refused", refusal=refusal)
    return await console_page(portal, visit, "operator", state=await portal.read_state())


async def _require(portal: Portal, visit: Visit) -> None:
    """Raises Refusal, and what the store raises; in any case a record is written."""
    facts, session, tools = visit.facts, visit.session, portal.tools
    assert session is not None
    event = begin_event(facts.now, facts.request_id, facts.source_ip, facts.user_agent, tools.entropy(16))
    event.event_source, event.event_name = f"{_SERVICE}.amazonaws.com", _OPERATION
    event.aws_region, event.read_only = facts.region, True

    async def admit(store: Transaction) -> None:
        caller: Caller = await acting_caller(store, session, facts.now)
        event.user_identity, event.recipient_account_id = caller.identity, caller.account
        await tools.gate.require(store, caller, facts, f"{_SERVICE}:{_OPERATION}", Resource())

    async with recorded(tools, event):
        await tools.store.transact(admit)


ROUTES = (console_route("GET", "/operator", show, "ConsoleOperator"),)
