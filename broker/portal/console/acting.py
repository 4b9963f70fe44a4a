"""Who the console acts as: the person, or a role that the person has opened.

A role's session is stored as its claims, not as credentials: no request can be signed with it, and it ends as every
session of that role does, by time, by revocation, or with the role.
"""

import msgspec
from msgspec.structs import replace

from broker.access.caller import Caller
from broker.access.people import caller_of, name_of
from broker.access.sessions import session_caller
from broker.errors import Refusal
from broker.sealing.claims import AssumedRoleClaims, SessionClaims, claims_from_bytes
from broker.storage.portal_records import IamUserIdentity, PortalSession, RootIdentity
from broker.storage.store import Transaction


class Acting(msgspec.Struct, frozen=True):
    """`role_name` is None where the person acts as themselves; `name` is the person's own name in any case.

    `account_id` is "" for people of identity providers who have opened no role: they act in no account.
    """

    account_id: str
    name: str
    role_name: str | None = None
    ends_at: int | None = None


def acting_of(session: PortalSession) -> Acting:
    name, claims = name_of(session.identity), _claims_of(session)
    if claims is None:
        return Acting(session.identity.account_id, name)
    role_name = claims.role_name if isinstance(claims, AssumedRoleClaims) else None
    return Acting(claims.account, name, role_name, claims.expires_at)


async def acting_caller(store: Transaction, session: PortalSession, now: float) -> Caller:
    """Raises Refusal where the session has ended, or its user or role was deleted."""
    claims = _claims_of(session)
    if claims is None or isinstance(session.identity, IamUserIdentity | RootIdentity):
        person = await caller_of(store, session)
    if claims is None:
        # IAM is closed to credentials of GetSessionToken without MFA, and open to a console session of the same user
        # ("Compare AWS STS credentials").
        return replace(person, is_session_token=False)
    if now >= claims.expires_at:
        raise Refusal("ExpiredToken", "The session of this role has ended. Open the console again.")
    return await session_caller(store, claims)


def _claims_of(session: PortalSession) -> SessionClaims | None:
    return claims_from_bytes(session.console_claims) if session.console_claims is not None else None
