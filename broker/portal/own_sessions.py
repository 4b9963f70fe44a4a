"""The person's own sessions of the portal: end one of them, or all."""

from aiohttp import web

from broker.credentials.portal_sessions import delete_session, end_all_sessions, find_sessions
from broker.portal.dependencies import Portal
from broker.portal.rendering import see_other
from broker.portal.routes import Route
from broker.portal.security import SECURITY
from broker.portal.sessions import require_session
from broker.portal.sign_in_records import LOGOUT, begin_record, note_success
from broker.portal.signing_in import SIGN_IN, without_session
from broker.portal.visit import Visit
from broker.storage.portal_records import PortalSession
from broker.storage.store import Transaction


async def end(portal: Portal, visit: Visit) -> web.Response:
    """End the session that the form names; without a name all of them, this one and those of clients included."""
    session = visit.session
    assert session is not None
    chosen = visit.form.get("session", "")
    portal.tools.journal.catch_up()

    async def work(store: Transaction) -> list[PortalSession]:
        await require_session(portal, store, session, visit.facts.now)
        if not chosen:
            return await end_all_sessions(store, session.identity.subject)
        found = await find_sessions(store, session.identity.subject)
        ended = [one for one in found if one.shown_id == chosen]
        for one in ended:
            delete_session(store, one)
        return ended

    ended = await portal.tools.store.transact(work)
    for one in ended:
        event = begin_record(portal, visit.facts, LOGOUT)
        note_success(event, session.identity, endedSession=one.shown_id)
        await portal.tools.journal.record(event)
    if session.session_id in [one.session_id for one in ended]:
        return without_session(visit, see_other(SIGN_IN))
    return see_other(SECURITY)


ROUTES = (Route("POST", "/security/sessions", end, "EndSessions"),)
