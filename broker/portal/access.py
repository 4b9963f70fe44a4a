"""Your access: the first page, the roles that the person may take, by account."""

from collections.abc import Sequence
from itertools import groupby

import msgspec
from aiohttp import web

from broker.own_roles import OwnRole
from broker.portal.dependencies import Portal
from broker.portal.favourites import find_favourites, parted_by_favourites
from broker.portal.rendering import page, see_other
from broker.portal.routes import Route
from broker.portal.signing_in import FIRST_PAGE, SIGN_IN
from broker.portal.taking import roles_of
from broker.portal.visit import Visit
from broker.storage.portal_records import RootIdentity
from broker.storage.records import Account

MOST_SHOWN = 75  # roles on one page, which stays below 60 kB
MOST_WITH_STARS = 50  # beyond, the buttons for favourites are on the roles' own pages
_LONGEST_SEARCH = 200


class AccountRoles(msgspec.Struct, frozen=True):
    """The roles of one account, as the page shows them together."""

    account: Account
    roles: tuple[OwnRole, ...]


async def show(portal: Portal, visit: Visit) -> web.Response:
    session = visit.session
    assert session is not None
    store = portal.tools.store.transaction()
    found = await roles_of(portal, store, session, visit.facts)
    search = visit.request.query.get("search", "")[:_LONGEST_SEARCH]
    matching = matching_roles(found.roles, search)
    favourites = await find_favourites(store, session.identity.subject)
    first, others = parted_by_favourites(matching, favourites)
    return page(
        portal,
        visit,
        "access",
        favourites=first,
        has_stars=len(matching) <= MOST_WITH_STARS,
        accounts=by_account(others[: max(0, MOST_SHOWN - len(first))]),
        ends_at=session.ends_at,
        now=int(visit.facts.now),
        search=search,
        has_roles=bool(found.roles),
        not_shown=max(0, len(matching) - MOST_SHOWN),
        is_complete=found.is_complete,
        is_root=isinstance(session.identity, RootIdentity),
    )


def matching_roles(roles: Sequence[OwnRole], search: str) -> tuple[OwnRole, ...]:
    """Those in whose names, or their account's, every word of `search` occurs."""
    words = search.lower().split()
    return tuple(one for one in roles if all(word in _searched_text(one) for word in words))


def by_account(roles: Sequence[OwnRole]) -> list[AccountRoles]:
    return [AccountRoles(account, tuple(own)) for account, own in groupby(roles, lambda found: found.account)]


def _searched_text(found: OwnRole) -> str:
    account, role = found.account, found.role
    return f"{account.account_id} {account.name} {account.alias} {role.role_name} {role.description or ''}".lower()


async def begin(portal: Portal, visit: Visit) -> web.Response:
    return see_other(FIRST_PAGE if visit.session is not None else SIGN_IN)


ROUTES = (
    Route("GET", "/", begin, "Begin", is_open=True),
    Route("GET", FIRST_PAGE, show, "Access"),
)
