"""Which roles are the person's who is signed in, and credentials of one: for IAM users and for people of providers."""

from msgspec.structs import replace

from broker.access.caller import Caller
from broker.access.facts import RequestFacts
from broker.access.people import caller_of, person_of
from broker.access.trust import find_role
from broker.errors import Refusal
from broker.federated_roles import (
    Taking,
    federated_caller,
    find_federated_roles,
    may_take_federated,
    taking_of,
)
from broker.operation import Call
from broker.own_roles import OwnRoles, assume_role_request, find_roles, may_take
from broker.performing import perform_recorded
from broker.portal.dependencies import Portal
from broker.portal.sessions import require_session
from broker.protocol.shapes.sts import Credentials
from broker.sealing.claims import SessionClaims
from broker.sealing.session import open_session
from broker.storage.portal_records import FederatedIdentity, PortalSession
from broker.storage.store import Transaction

SHORTEST_SESSION = 900  # seconds


async def roles_of(
    portal: Portal, store: Transaction, session: PortalSession, facts: RequestFacts
) -> OwnRoles:
    if isinstance(session.identity, FederatedIdentity):
        return await find_federated_roles(await _asking(portal, store, session, facts), session.identity)
    return await find_roles(await _asking(portal, store, session, facts))


async def is_own_role(
    portal: Portal, store: Transaction, session: PortalSession, facts: RequestFacts, role_arn: str
) -> bool:
    if isinstance(session.identity, FederatedIdentity):
        asking = await _asking(portal, store, session, facts)
        return await may_take_federated(asking, session.identity, role_arn)
    return await may_take(await _asking(portal, store, session, facts), role_arn)


async def _asking(portal: Portal, store: Transaction, session: PortalSession, facts: RequestFacts) -> Call:
    return portal.tools.call(store, await person_of(store, session), facts)


async def take_session(
    portal: Portal, session: PortalSession, facts: RequestFacts, role_arn: str
) -> SessionClaims:
    """A session of the role, as long as role and sign-in let it be; of its credentials only the claims are kept."""
    role = await find_role(portal.tools.store.transaction(), role_arn)
    longest = role.max_session_duration if role is not None else SHORTEST_SESSION
    duration = max(SHORTEST_SESSION, min(longest, session.ends_at - int(facts.now)))
    credentials = await take_role(portal, session, facts, role_arn, duration)
    return open_session(portal.tools.mint.keyring(), credentials.session_token).claims


async def take_role(
    portal: Portal, session: PortalSession, facts: RequestFacts, role_arn: str, duration: int
) -> Credentials:
    """Credentials, by the operation of STS that the person would use: its gate, its mint, its record."""
    identity = session.identity

    async def caller_in(store: Transaction) -> Caller:
        await require_session(portal, store, session, facts.now)
        if isinstance(identity, FederatedIdentity):
            return await federated_caller(portal.tools.federation, store, identity, role_arn, facts.now)
        return await caller_of(store, session)

    if isinstance(identity, FederatedIdentity):
        taking = taking_of(identity, role_arn, duration)
    else:
        caller = await caller_in(portal.tools.store.transaction())
        taking = Taking("AssumeRole", assume_role_request(caller, role_arn, duration))
    started, code = portal.timer(), ""
    try:
        answer = await perform_recorded(
            portal.tools, replace(facts, service="sts"), caller_in, taking.operation, taking.request
        )
    except Refusal as refusal:
        code = refusal.code
        raise
    finally:
        portal.count("sts", taking.operation, code, portal.timer() - started, facts.request_id)
    credentials: Credentials = answer.credentials
    return credentials
