"""The start URL that `aws configure sso` asks for.

Since version 2.36 the AWS CLI resolves it: a HEAD has to be answered with a redirect to a host of AWS's form, which it
does not follow, and from which it takes the region. A browser goes to the first page.
"""

from aiohttp import web

from broker.portal.dependencies import Portal
from broker.portal.rendering import see_other
from broker.portal.routes import Route
from broker.portal.signing_in import FIRST_PAGE
from broker.portal.visit import Visit

_ID = "broker"


async def start(portal: Portal, visit: Visit) -> web.Response:
    if visit.request.method == "HEAD":
        resolved = f"https://{_ID}.portal.{portal.sso_region}.app.aws/"
        return web.Response(status=302, headers={"Location": resolved})
    return see_other(FIRST_PAGE)


ROUTES = (Route("GET", "/start", start, "Start", is_open=True),)
