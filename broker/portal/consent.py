"""What pages say and note when a person allows a client (`aws sso login`) to act for them."""

from aiohttp import web

from broker.access.people import caller_of
from broker.portal.dependencies import Portal
from broker.portal.rendering import page
from broker.portal.sign_in_records import begin_record
from broker.portal.visit import Visit
from broker.storage.portal_records import PortalSession

ALLOW, DENY = "allow", "deny"


def consent_page(
    portal: Portal,
    visit: Visit,
    client_name: str,
    action: str,
    user_code: str = "",
    *,
    is_login: bool = False,
) -> web.Response:
    """Names the client and the person; `action` is where the decision is posted to, `user_code` what stands on both.

    `is_login`: the client gets the person's own permissions, not their roles.
    """
    return page(
        portal,
        visit,
        "consent",
        client_name=client_name,
        action=action,
        user_code=user_code,
        is_login=is_login,
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
) -> None:
    """AWS has no AuthorizeClient in CloudTrail; without it no record would say who allowed a client."""
    caller = await caller_of(portal.tools.store.transaction(), session)
    event = begin_record(portal, visit.facts, name)
    event.event_source = source
    event.user_identity = caller.identity
    event.recipient_account_id = session.identity.account_id
    event.request_parameters = {"clientName": client_name, "grantType": way}
    event.response_elements = {name: "Allowed" if is_allowed else "Denied"}
    await portal.tools.journal.record(event)
