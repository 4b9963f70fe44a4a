"""Sign out: the session ends at once, on every worker and node; that of the identity provider where one wants that."""

from aiohttp import web
from msgspec.structs import replace

from broker.portal.dependencies import Portal
from broker.portal.openid_connect import find_logout_url
from broker.portal.rendering import page, see_other
from broker.portal.routes import Route
from broker.portal.sessions import end_session
from broker.portal.sign_in_records import LOGOUT, begin_record, note_success
from broker.portal.signing_in import SIGN_IN, without_session
from broker.portal.visit import Visit
from broker.storage.portal_records import OpenIdConnectIdentity


async def sign_out(portal: Portal, visit: Visit) -> web.Response:
    session = visit.session
    assert session is not None
    portal.tools.journal.catch_up()
    await end_session(portal, session)
    event = begin_record(portal, visit.facts, LOGOUT)
    note_success(event, session.identity)
    await portal.tools.journal.record(event)
    identity, logout_url = session.identity, ""
    if isinstance(identity, OpenIdConnectIdentity):
        logout_url = await find_logout_url(portal, visit, identity)
    if not logout_url:
        return without_session(visit, see_other(SIGN_IN))
    assert isinstance(identity, OpenIdConnectIdentity)
    # No redirect: `form-action` stops one to another host. And who signs out here need not want to sign out there.
    return without_session(
        visit,
        page(
            portal,
            replace(visit, session=None),
            "signed_out",
            provider=portal.sign_ins.title_of(identity),
            logout_url=logout_url,
        ),
    )


ROUTES = (Route("POST", "/sign-out", sign_out, "SignOut", is_of_console=True),)
