"""Sign out: the session ends at once, on every worker and node."""

from aiohttp import web

from broker.portal.dependencies import Portal
from broker.portal.rendering import see_other
from broker.portal.routes import Route
from broker.portal.sessions import end_session
from broker.portal.sign_in_records import LOGOUT, begin_record, note_success
from broker.portal.signing_in import SIGN_IN, without_session
from broker.portal.visit import Visit


async def sign_out(portal: Portal, visit: Visit) -> web.Response:
    session = visit.session
    assert session is not None
    portal.tools.journal.catch_up()
    await end_session(portal, session)
    event = begin_record(portal, visit.facts, LOGOUT)
    note_success(event, session.identity)
    await portal.tools.journal.record(event)
    return without_session(visit, see_other(SIGN_IN))


ROUTES = (Route("POST", "/sign-out", sign_out, "SignOut"),)
