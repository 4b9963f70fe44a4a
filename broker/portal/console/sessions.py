"""The live sessions of the account, or of one role or user, and their revocation."""

from urllib.parse import quote

from aiohttp import web

from broker.errors import Refusal
from broker.portal.console.frame import console_page, console_path, console_route
from broker.portal.console.operations import OperationForm, attempt, take_form
from broker.portal.dependencies import Portal
from broker.portal.visit import Visit

_MOST_SHOWN = 150
_LONGEST_ARN = 2048
LIVE = "live"


async def show(portal: Portal, visit: Visit, refusal: Refusal | None = None) -> web.Response:
    principal = _principal(visit)
    parameters = {"MaxItems": str(_MOST_SHOWN), **({"Principal": principal} if principal else {})}
    marker = visit.request.query.get("marker", "")
    if marker:
        parameters["Marker"] = marker
    listed = await attempt(portal, visit, "ListSessions", parameters, service="sts")
    return await console_page(
        portal,
        visit,
        "sessions",
        refusal=refusal,
        principal=principal,
        is_session=":assumed-role/" in principal or ":federated-user/" in principal,
        listed=listed,
        live=sum(one.state == LIVE for one in getattr(listed, "sessions", ())),
    )


async def act(portal: Portal, visit: Visit) -> web.Response:
    """Revoke the session or the principal that the form names."""
    principal = _principal(visit)
    path = f"{console_path(visit.request.match_info['account'])}/sessions"
    here = f"{path}?principal={quote(principal, safe='')}" if principal else path
    forms = {"RevokeSessions": OperationForm(lambda _answer: here, service="sts")}
    return await take_form(portal, visit, forms, {}, show)


def _principal(visit: Visit) -> str:
    return visit.request.query.get("principal", "")[:_LONGEST_ARN].strip()


ROUTES = (
    console_route("GET", "/sessions", show, "ConsoleSessions"),
    console_route("POST", "/sessions", act, "ConsoleSessions"),
)
