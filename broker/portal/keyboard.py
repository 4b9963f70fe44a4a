"""The keys of the pages: which there are, and the switch that turns them off.

WCAG 2.2, 2.1.4: a key that is a single character can be turned off, for speech input and the like type at random.
"""

from aiohttp import web

from broker.portal.dependencies import Portal
from broker.portal.rendering import page, see_other
from broker.portal.routes import Route
from broker.portal.sessions import choose_keys
from broker.portal.visit import Visit

KEYBOARD = "/keyboard"


async def show(portal: Portal, visit: Visit) -> web.Response:
    return page(portal, visit, "keyboard")


async def choose(portal: Portal, visit: Visit) -> web.Response:
    session = visit.session
    assert session is not None
    await choose_keys(portal, session, are_off=visit.form.get("keys") == "off")
    return see_other(KEYBOARD)


ROUTES = (
    Route("GET", KEYBOARD, show, "Keyboard", is_of_console=True),
    Route("POST", KEYBOARD, choose, "Keyboard", is_of_console=True),
)
