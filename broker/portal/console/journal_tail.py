"""The live tail of the journal: new records as server-sent events (HTML Living Standard, "Server-sent events").

Before it sends more it looks whether the session still lives, still acts in this account and still may: what the
person has lost ends the tail within seconds. Watching is no use of a session, so one that is idle ends, too.
"""

import asyncio

import msgspec
from aiohttp import web

from broker.audit.history import EventHistory
from broker.errors import Refusal
from broker.event_history import may_look_up_events
from broker.portal.console.acting import acting_caller, acting_of
from broker.portal.console.frame import console_route
from broker.portal.console.journal import SHOWN, look_up, rows_of
from broker.portal.console.journal_query import JournalQuery, query_of
from broker.portal.dependencies import Portal
from broker.portal.headers import add_headers
from broker.portal.sessions import find_unused_session, reference_of
from broker.portal.visit import Visit
from broker.storage.engine import EngineUnavailable

_POLL_SECONDS = 2.0
_LONGEST_SECONDS = 900.0  # then the browser asks again, which leaves another record
_SENDING_SECONDS = 10.0
_ENDED = "event: ended\ndata: {}\n\n"
_ALIVE = ": \n\n"  # a comment, so that a connection whose browser is gone is noticed


async def tail(portal: Portal, visit: Visit) -> web.StreamResponse:
    """Begins with the newest records: the page knows which of them it shows already."""
    history = portal.tools.history
    if history is None or visit.request.method == "HEAD":
        raise web.HTTPNotFound
    assert visit.session is not None
    query = msgspec.structs.replace(query_of(visit.request.query, visit.facts.now), after=None)
    with history.tail(visit.session.identity.subject):
        found = await look_up(portal, history, visit, query.wanted)
        response = web.StreamResponse()
        response.content_type, response.charset = "text/event-stream", "utf-8"
        add_headers(response, is_secure=visit.is_secure)
        try:
            await response.prepare(visit.request)
            await send(response, _records(rows_of(portal, visit, found.records, query, visit.facts.now)))
            seen = {one.event.event_id for one in found.records}
            await _follow(portal, history, visit, query, response, seen)
        except (ConnectionError, TimeoutError):  # the browser has gone, or does not read
            pass
    return response


async def _follow(
    portal: Portal,
    history: EventHistory,
    visit: Visit,
    query: JournalQuery,
    response: web.StreamResponse,
    seen: set[str],
) -> None:
    account = visit.request.match_info["account"]
    ends_at = portal.timer() + _LONGEST_SECONDS
    while portal.timer() < ends_at and not await _stops(portal):
        if not await _may_go_on(portal, history, visit, query):
            await send(response, _ENDED.encode())
            return
        found = await history.find(account, query.wanted, SHOWN)
        new = [one for one in found.records if one.event.event_id not in seen]
        seen = {one.event.event_id for one in found.records}
        rows = rows_of(portal, visit, new, query, portal.tools.clock())
        await send(response, _records(rows) if new else _ALIVE.encode())


async def send(response: web.StreamResponse, text: bytes, seconds: float = _SENDING_SECONDS) -> None:
    """Raises TimeoutError where the browser does not read: it would keep its tail beyond every end."""
    async with asyncio.timeout(seconds):
        await response.write(text)


async def _stops(portal: Portal) -> bool:
    """Wait for the next look; whether the listener stops meanwhile."""
    try:
        async with asyncio.timeout(_POLL_SECONDS):
            return await portal.stopping.wait()
    except TimeoutError:
        return False


async def _may_go_on(portal: Portal, history: EventHistory, visit: Visit, query: JournalQuery) -> bool:
    """A look-up that the gate refuses by now leaves its record."""
    assert visit.session is not None
    now, store = portal.tools.clock(), portal.tools.store.transaction()
    try:
        session = await find_unused_session(portal, store, reference_of(visit.session), now)
        if session is None or acting_of(session) != acting_of(visit.session):
            return False
        caller = await acting_caller(store, session, now)
        if not await may_look_up_events(portal.tools, visit.facts, caller):
            await look_up(portal, history, visit, query.wanted)
    except (Refusal, EngineUnavailable):
        return False
    return True


def _records(rows: str) -> bytes:
    return b"event: records\ndata: " + msgspec.json.encode({"rows": rows}) + b"\n\n"


ROUTES = (console_route("GET", "/journal/tail", tail, "ConsoleJournalTail"),)
