"""Who a client acts for: the person who allowed it, or their role, proven again for each of its requests."""

from broker.access.caller import Caller
from broker.access.federated_people import person_of_identity
from broker.access.identity_stores import require_admitted
from broker.access.people import person_of
from broker.access.sessions import session_caller
from broker.errors import Refusal, access_denied
from broker.federation.federation import Federation
from broker.federation.sign_ins import SignIns
from broker.sealing.claims import claims_from_bytes
from broker.storage.portal_records import FederatedIdentity
from broker.storage.sso_records import Approval
from broker.storage.store import Transaction


async def require_admitted_person(
    sign_ins: SignIns, store: Transaction, identity: FederatedIdentity, signed_in_at: int
) -> None:
    """Raises AccessDenied where the way to sign in has an identity store, of which the person is no active user."""
    arn, person = sign_ins.identity_store_of(identity), person_of_identity(identity)
    await require_admitted(store, arn, person, signed_in_at)


async def approving_caller(
    federation: Federation, store: Transaction, approval: Approval, now: float
) -> Caller:
    """Raises Refusal where the user or the role was deleted, the session revoked, or the way to sign in taken away."""
    identity = approval.identity
    if isinstance(identity, FederatedIdentity) and not federation.sign_ins.knows(identity):
        raise access_denied("People do not sign in so any more.", reason="no entry of the settings is left")
    if isinstance(identity, FederatedIdentity):
        await require_admitted_person(federation.sign_ins, store, identity, approval.signed_in_at)
    if approval.role_claims is None:
        return await person_of(store, approval)
    claims = claims_from_bytes(approval.role_claims)
    if now >= claims.expires_at:
        raise Refusal("ExpiredToken", "The session of the role has ended.")
    return await session_caller(store, claims)
