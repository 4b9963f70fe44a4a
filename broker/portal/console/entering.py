"""The way into the console, as oneself or as a role, and back."""

from aiohttp import web

from broker.names.arn import iam_arn
from broker.portal.console.acting import acting_of
from broker.portal.console.frame import console_path, console_route
from broker.portal.dependencies import Portal
from broker.portal.rendering import see_other
from broker.portal.routes import Route
from broker.portal.sessions import act_in_console
from broker.portal.sign_in_records import SWITCH_ROLE, begin_record, note_success
from broker.portal.signing_in import FIRST_PAGE
from broker.portal.taking import take_session
from broker.portal.visit import Visit
from broker.sealing.claims import claims_to_bytes

CONSOLE = "/console"
_ROLE = r"/console/{account:[0-9]{12}}/as/{role:.{1,600}}"


async def enter(portal: Portal, visit: Visit) -> web.Response:
    """The console of the account in which the person acts."""
    assert visit.session is not None
    return see_other(_first_page(acting_of(visit.session).account_id))


async def enter_as_oneself(portal: Portal, visit: Visit) -> web.Response:
    session = visit.session
    assert session is not None
    await act_in_console(portal, session, None)
    return see_other(_first_page(session.identity.account_id))


async def enter_as_role(portal: Portal, visit: Visit) -> web.Response:
    """sts:AssumeRole, by its gate and with its record; of the credentials only the claims are kept."""
    session = visit.session
    assert session is not None
    account_id, name = visit.request.match_info["account"], visit.request.match_info["role"]
    arn = iam_arn(account_id, f"role/{name}")
    claims = await take_session(portal, session, visit.facts, arn)
    await act_in_console(portal, session, claims_to_bytes(claims))
    event = begin_record(portal, visit.facts, SWITCH_ROLE)
    note_success(
        event,
        session.identity,
        switchTo=arn,
        redirectTo=f"{visit.origin}{overview_path(account_id)}",
    )
    await portal.tools.journal.record(event)
    return see_other(overview_path(account_id))


def _first_page(account_id: str) -> str:
    """The overview; people of identity providers act in no account before they open a role."""
    return overview_path(account_id) if account_id else FIRST_PAGE


def overview_path(account_id: str) -> str:
    return f"{console_path(account_id)}/overview"


ROUTES = (
    Route("GET", CONSOLE, enter, "Console", is_of_console=True),
    console_route("GET", "", enter, "Console"),
    Route("POST", CONSOLE, enter_as_oneself, "ConsoleAsOneself"),
    Route("POST", _ROLE, enter_as_role, "ConsoleAsRole"),
)
