"""Favourites: roles that a person wants to see first. They are kept with the person, and open nothing.

A role that the person may not take any more is not shown, favourite or not.
"""

import re
from collections.abc import Sequence

from aiohttp import web
from msgspec.structs import replace

from broker.credentials.sso_sessions import shard_of
from broker.errors import Refusal
from broker.names.arn import iam_arn
from broker.own_roles import OwnRole
from broker.portal.dependencies import Portal
from broker.portal.rendering import see_other
from broker.portal.routes import Route
from broker.portal.sessions import require_session
from broker.portal.signing_in import FIRST_PAGE
from broker.portal.taking import is_own_role
from broker.portal.visit import Visit
from broker.storage.portal_records import PortalPreferences
from broker.storage.store import PORTAL_PREFERENCES, Transaction

MOST_FAVOURITES = 20
FAVOURITES = "/favourites"
_is_path = re.compile(r"([0-9]{12})/(.{1,600})").fullmatch  # that of OwnRole


async def find_favourites(store: Transaction, subject: str) -> tuple[str, ...]:
    """ARNs of roles, the one chosen last at the end."""
    found = await store.find(PORTAL_PREFERENCES, shard_of(subject), subject)
    return found.favourites if found is not None else ()


async def choose(portal: Portal, visit: Visit) -> web.Response:
    """Add or remove the role whose path the form has; one that is not the person's is not added."""
    session = visit.session
    assert session is not None
    is_added, subject = "add" in visit.form, session.identity.subject
    path = _is_path(visit.form.get("add" if is_added else "remove", ""))
    if path is None:
        raise Refusal("MalformedInput", "This form names no role.")
    arn = iam_arn(path[1], f"role/{path[2]}")
    store = portal.tools.store.transaction()
    if is_added and not await is_own_role(portal, store, session, visit.facts, arn):
        raise web.HTTPNotFound

    async def work(store: Transaction) -> None:
        await require_session(portal, store, session, visit.facts.now)
        found = await store.find(PORTAL_PREFERENCES, shard_of(subject), subject)
        before = found or PortalPreferences(subject=subject)
        chosen = changed_favourites(before.favourites, arn, is_added=is_added)
        if chosen != before.favourites:
            store.put(PORTAL_PREFERENCES, shard_of(subject), replace(before, favourites=chosen))

    await portal.tools.store.transact(work)
    return see_other(FIRST_PAGE)


def changed_favourites(favourites: Sequence[str], arn: str, *, is_added: bool) -> tuple[str, ...]:
    """At most MOST_FAVOURITES: the one that was chosen first goes."""
    others = tuple(one for one in favourites if one != arn)
    return (*others, arn)[-MOST_FAVOURITES:] if is_added else others


def parted_by_favourites(
    roles: Sequence[OwnRole], favourites: Sequence[str]
) -> tuple[tuple[OwnRole, ...], tuple[OwnRole, ...]]:
    """The favourites in the order of names, and the others."""
    chosen = frozenset(favourites)
    first = tuple(one for one in roles if one.role.arn in chosen)
    return first, tuple(one for one in roles if one.role.arn not in chosen)


ROUTES = (Route("POST", FAVOURITES, choose, "Favourite"),)
