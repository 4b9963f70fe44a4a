"""A role: what it is, and credentials of it. They are shown once, and not stored."""

from aiohttp import web

from broker.access.trust import find_role
from broker.credentials.durations import DEFAULT_ROLE_SESSION
from broker.errors import Refusal
from broker.names.arn import iam_arn
from broker.own_roles import OwnRole
from broker.portal.dependencies import Portal
from broker.portal.favourites import find_favourites
from broker.portal.rendering import page
from broker.portal.routes import Route
from broker.portal.shells import Form, forms_of
from broker.portal.taking import is_own_role, take_role
from broker.portal.visit import Visit
from broker.protocol.shapes.sts import Credentials
from broker.storage.records import Account
from broker.storage.store import ACCOUNTS, Transaction

_PATH = r"/access/{account:[0-9]{12}}/{role:.{1,600}}"
_DURATIONS = (900, 3600, 4 * 3600, 8 * 3600, 12 * 3600)
_SHORTEST = _DURATIONS[0]


async def show(portal: Portal, visit: Visit) -> web.Response:
    store = portal.tools.store.transaction()
    found = await _find(portal, visit, store)
    if found is None:
        raise web.HTTPNotFound
    return await _shown(portal, visit, found, DEFAULT_ROLE_SESSION)


async def get_credentials(portal: Portal, visit: Visit) -> web.Response:
    """sts:AssumeRole or its sibling for the person who is signed in: its gate, its mint, its record."""
    session = visit.session
    assert session is not None
    found = await _find(portal, visit, portal.tools.store.transaction())
    if found is None:
        raise web.HTTPNotFound
    duration = parse_duration(visit.form.get("duration", ""), found.role.max_session_duration)
    credentials = await take_role(portal, session, visit.facts, found.role.arn, duration)
    return await _shown(portal, visit, found, duration, credentials)


async def _find(portal: Portal, visit: Visit, store: Transaction) -> OwnRole | None:
    """The role that the URL names, if the person may take it: others are as absent as those that do not exist."""
    assert visit.session is not None
    account_id, name = visit.request.match_info["account"], visit.request.match_info["role"]
    arn = iam_arn(account_id, f"role/{name}")
    account = await store.find(ACCOUNTS, "", account_id)
    role = await find_role(store, arn) if account is not None else None
    if account is None or role is None:
        return None
    is_own = await is_own_role(portal, store, visit.session, visit.facts, arn)
    return OwnRole(account, role) if is_own else None


def parse_duration(unverified_text: str, longest: int) -> int:
    """Seconds; raises Refusal for what the page does not offer."""
    if not unverified_text:
        return min(DEFAULT_ROLE_SESSION, longest)
    if unverified_text not in map(str, durations_of(longest)):
        raise Refusal("ValidationError", "The role gives no session of this length.")
    return int(unverified_text)


def durations_of(longest: int) -> list[int]:
    """What may be chosen for a role whose sessions last `longest` seconds at most."""
    return sorted({*(one for one in _DURATIONS if one <= longest), max(longest, _SHORTEST)})


async def _shown(
    portal: Portal, visit: Visit, found: OwnRole, duration: int, credentials: Credentials | None = None
) -> web.Response:
    assert visit.session is not None
    store = portal.tools.store.transaction()
    favourites = await find_favourites(store, visit.session.identity.subject)
    forms: tuple[Form, ...] = ()
    if credentials is not None:
        forms = forms_of(credentials, found.role.role_name, portal.api_url, portal.sso_region)
    return page(
        portal,
        visit,
        "role",
        account=found.account,
        role=found.role,
        path=found.path,
        is_favourite=found.role.arn in favourites,
        account_label=label_of(found.account),
        durations=durations_of(found.role.max_session_duration),
        duration=duration,
        forms=forms,
        ends_at=int(credentials.expiration) if credentials is not None else 0,
        now=int(visit.facts.now),
    )


def label_of(account: Account) -> str:
    return account.name or account.alias or account.account_id


ROUTES = (
    Route("GET", _PATH, show, "Role"),
    Route("POST", _PATH, get_credentials, "Role"),
)
