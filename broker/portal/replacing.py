"""The question that comes first where a link, or a provider's form, would replace the session of somebody else.

Else a page that a person visits could sign them in as its owner, unnoticed (login CSRF), and they would work, and leave
their secrets, in an account of a stranger. AWS asks for a sign-out first, as far as is known to us. Nothing is used up
before the person has answered.
"""

from collections.abc import Mapping

import msgspec
from aiohttp import web

from broker.access.people import name_of
from broker.portal.dependencies import Portal
from broker.portal.rendering import page
from broker.portal.sessions import end_session
from broker.portal.sign_in_records import LOGOUT, begin_record, note_success
from broker.portal.visit import Visit
from broker.storage.portal_records import ConsoleIdentity, FederatedIdentity, Identity


class Newcomer(msgspec.Struct, frozen=True):
    """Who would be signed in. `provider` vouches for them; `arn` is that of a role's session or of a federated user."""

    name: str
    provider: str = ""
    arn: str = ""


def is_somebody_else(visit: Visit, identity: Identity) -> bool:
    """Whether the browser has a session of another identity than this one."""
    return visit.session is not None and _identifier(visit.session.identity) != _identifier(identity)


def _identifier(identity: Identity) -> tuple[type, str]:
    """A console session is of its principal: each set of its credentials has a subject of its own."""
    name = identity.arn if isinstance(identity, ConsoleIdentity) else identity.subject
    return type(identity), name


def ask_first(
    portal: Portal, visit: Visit, identity: Identity, action: str, fields: Mapping[str, str]
) -> web.Response:
    """Says who is signed in, and who would be; the form posts `fields` to `action`, a path of ours."""
    newcomer = Newcomer(name_of(identity))
    if isinstance(identity, ConsoleIdentity):
        newcomer = Newcomer(newcomer.name, arn=identity.arn)
    elif isinstance(identity, FederatedIdentity):
        newcomer = Newcomer(newcomer.name, portal.sign_ins.title_of(identity))
    return page(portal, visit, "replace_session", newcomer=newcomer, action=action, fields=fields, status=409)


async def end_replaced(portal: Portal, visit: Visit) -> None:
    """End the session that the browser had, if any, with its record."""
    if visit.session is None:
        return
    await end_session(portal, visit.session)
    event = begin_record(portal, visit.facts, LOGOUT)
    note_success(event, visit.session.identity)
    await portal.tools.journal.record(event)
