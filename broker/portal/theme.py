"""Light or dark: what the person chose, kept with the session."""

from aiohttp import web

from broker.portal.dependencies import Portal
from broker.portal.rendering import see_other
from broker.portal.routes import Route
from broker.portal.sessions import choose_theme
from broker.portal.signing_in import FIRST_PAGE
from broker.portal.visit import Visit

_THEMES = ("", "light", "dark")


async def choose(portal: Portal, visit: Visit) -> web.Response:
    session, theme = visit.session, visit.form.get("theme", "")
    assert session is not None
    if theme in _THEMES:
        await choose_theme(portal, session, theme)
    return see_other(FIRST_PAGE)


ROUTES = (Route("POST", "/theme", choose, "Theme", is_of_console=True),)
