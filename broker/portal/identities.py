"""From who a session is of to a caller, proven anew for every request.

A session of the portal has what credentials of GetSessionToken have: the person's own permissions, and MFA where it was
given. So it ends as those do: with the user, by `broker revoke`, or by its own time.
"""

from broker.access.caller import Caller
from broker.access.sessions import session_caller
from broker.sealing.claims import SessionTokenClaims
from broker.storage.portal_records import IamUserIdentity, Identity, PortalSession, RootIdentity
from broker.storage.store import Transaction


def claims_of(session: PortalSession) -> SessionTokenClaims:
    """The session as revocations and the list of sessions know it."""
    user = session.identity if isinstance(session.identity, IamUserIdentity) else None
    return SessionTokenClaims(
        session.access_key_id,
        bytes.fromhex(session.session_id),
        session.signed_in_at,
        session.ends_at,
        session.identity.account_id,
        user_name=user.user_name if user else None,
        user_path=user.path if user else "/",
        user_id=user.user_id if user else None,
        mfa_authenticated_at=session.mfa_authenticated_at,
        mfa_serial=session.mfa_serial,
    )


async def caller_of(store: Transaction, session: PortalSession) -> Caller:
    """The person as the gate judges them; raises Refusal where the user is gone or the session was revoked."""
    return await session_caller(store, claims_of(session))


def name_of(identity: Identity) -> str:
    """What pages call the person."""
    match identity:
        case IamUserIdentity():
            return identity.user_name
        case RootIdentity():
            return "root"
