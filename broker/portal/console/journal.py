"""The journal of the account: records, narrowed by a click on any cell; one opens beside the others.

It is cloudtrail:LookupEvents, with its record and by the gate. A filter is an address that can be sent to others.
"""

import json
from collections.abc import Sequence

from aiohttp import web

from broker.audit.facets import RecordFilter
from broker.audit.history import EventHistory
from broker.audit.reader import FoundRecord, FoundRecords, RecordPlace
from broker.errors import Refusal
from broker.event_history import look_up_events
from broker.portal.console.acting import acting_caller
from broker.portal.console.frame import console_page, console_path, console_route
from broker.portal.console.journal_query import (
    TERMS,
    JournalQuery,
    query_of,
    question_of,
    shown_place,
    shown_record,
)
from broker.portal.dependencies import Portal
from broker.portal.rendering import page, texts_of
from broker.portal.visit import Visit

SHOWN = 40
_ROWS = "console/journal_rows"
# Fields of the form; what else the address has is kept in hidden ones.
_FIELDS = ("principal", "event", "resource", "outcome", "since")
_EMPTY = JournalQuery({}, RecordFilter(), None)


async def show(portal: Portal, visit: Visit) -> web.Response:
    query, found, refusal = _EMPTY, None, None
    try:
        query = query_of(visit.request.query, visit.facts.now)
        if portal.tools.history is not None:
            found = await look_up(portal, portal.tools.history, visit, query.wanted, query.after)
    except Refusal as refused:
        if refused.code in ("ServiceUnavailable", "ExpiredToken"):
            raise
        refusal = refused
    records = found.records if found is not None else ()
    wanted = visit.request.query.get("record", "")
    opened = next((one for one in records if one.event.event_id == wanted), None)
    older = shown_place(records[-1].place) if found is not None and found.has_more else ""
    return await console_page(
        portal,
        visit,
        "journal",
        refusal=refusal,
        found=found,
        is_readable=portal.tools.history is not None,
        query=query,
        fields=_FIELDS,
        terms=TERMS,
        rows=[shown_record(one.event, query) for one in records],
        row_text=texts_of(_ROWS),
        path=f"{console_path(visit.request.match_info['account'])}/journal",
        here=visit.request.query.get("after", ""),
        now=int(visit.facts.now),
        opened=opened.event if opened is not None else None,
        opened_text=_indented(opened) if opened is not None else "",
        question=question_of(opened.event) if opened is not None else "",
        older=query.narrowed(after=older) if older else "",
    )


async def look_up(
    portal: Portal,
    history: EventHistory,
    visit: Visit,
    wanted: RecordFilter,
    after: RecordPlace | None = None,
    limit: int = SHOWN,
) -> FoundRecords:
    """Raises Refusal."""
    session = visit.session
    assert session is not None
    started, code = portal.timer(), ""
    try:
        return await look_up_events(
            portal.tools,
            history,
            visit.facts,
            lambda store: acting_caller(store, session, visit.facts.now),
            wanted,
            limit,
            after,
        )
    except Refusal as refusal:
        code = refusal.code
        raise
    finally:
        seconds = portal.timer() - started
        portal.count("cloudtrail", "LookupEvents", code, seconds, visit.facts.request_id)


def rows_of(
    portal: Portal, visit: Visit, records: Sequence[FoundRecord], query: JournalQuery, now: float
) -> str:
    """Table rows as HTML, for the live tail."""
    answer = page(
        portal,
        visit,
        _ROWS,
        rows=[shown_record(one.event, query) for one in records],
        row_text=texts_of(_ROWS),
        query=query,
        here="",
        now=int(now),
        opened=None,
    )
    assert answer.text is not None
    return answer.text


def _indented(found: FoundRecord) -> str:
    return json.dumps(json.loads(found.line), indent=2, ensure_ascii=False)


ROUTES = (console_route("GET", "/journal", show, "ConsoleJournal"),)
