"""What pages say and note when a person allows a client (`aws sso login`) to act for them."""

from collections.abc import Sequence

import msgspec
from aiohttp import web

from broker.access.caller import Caller
from broker.access.people import caller_of
from broker.portal.access import AccountRoles
from broker.portal.dependencies import Portal
from broker.portal.rendering import page
from broker.portal.sign_in_records import begin_record, identity_of
from broker.portal.visit import Visit
from broker.storage.portal_records import FederatedIdentity, PortalSession

ALLOW, DENY = "allow", "deny"


class OfferedRoles(msgspec.Struct, frozen=True):
    """Of which roles the person chooses one, by account; `chosen` is the ARN that is first in the form."""

    accounts: Sequence[AccountRoles]
    chosen: str
    is_complete: bool


def consent_page(
    portal: Portal,
    visit: Visit,
    client_name: str,
    action: str,
    user_code: str = "",
    *,
    is_login: bool = False,
    offered: OfferedRoles | None = None,
) -> web.Response:
    """Names the client and the person; `action` is where the decision is posted to, `user_code` what stands on both.

    `is_login`: the client gets the person's own permissions, or with `offered` those of one role, which they choose.
    """
    return page(
        portal,
        visit,
        "consent",
        client_name=client_name,
        action=action,
        user_code=user_code,
        is_login=is_login,
        offered=offered,
        allow=ALLOW,
        deny=DENY,
    )


async def record_decision(
    portal: Portal,
    visit: Visit,
    session: PortalSession,
    client_name: str,
    *,
    is_allowed: bool,
    way: str,
    name: str = "AuthorizeClient",
    source: str = "sso.amazonaws.com",
    caller: Caller | None = None,
) -> None:
    """AWS has no AuthorizeClient in CloudTrail; without it no record would say who allowed a client.

    `caller` is the principal that the client will act as, where that is not the person.
    """
    event = begin_record(portal, visit.facts, name)
    event.event_source = source
    if caller is None and isinstance(session.identity, FederatedIdentity):
        event.user_identity = identity_of(session.identity)
    else:
        caller = caller or await caller_of(portal.tools.store.transaction(), session)
        event.user_identity, event.recipient_account_id = caller.identity, caller.account
    event.request_parameters = {"clientName": client_name, "grantType": way}
    event.response_elements = {name: "Allowed" if is_allowed else "Denied"}
    await portal.tools.journal.record(event)
