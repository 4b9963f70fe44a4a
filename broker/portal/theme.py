"""Light or dark: what the person chose, kept with the session."""

from aiohttp import web
from msgspec.structs import replace

from broker.portal.dependencies import Portal
from broker.portal.rendering import see_other
from broker.portal.routes import Route
from broker.portal.sessions import put_session
from broker.portal.signing_in import FIRST_PAGE
from broker.portal.visit import Visit
from broker.storage.store import Transaction

_THEMES = ("", "light", "dark")


async def choose(portal: Portal, visit: Visit) -> web.Response:
    session, theme = visit.session, visit.form.get("theme", "")
    assert session is not None
    if theme in _THEMES:
        changed = replace(session, theme=theme)

        async def work(store: Transaction) -> None:
            put_session(store, changed, portal.idle_seconds)

        await portal.tools.store.transact(work)
    return see_other(FIRST_PAGE)


ROUTES = (Route("POST", "/theme", choose, "Theme"),)
