"""A caller as CloudTrail writes it ("CloudTrail userIdentity element")."""

from typing import TYPE_CHECKING

from broker.audit.event import SessionAttributes, SessionContext, SessionIssuer, UserIdentity, iso_time
from broker.names.ids import is_key_id
from broker.names.principal import Anonymous, AssumedRole, FederatedUser, Root, SamlSubject, User, WebIdentity

if TYPE_CHECKING:
    from broker.access.caller import Caller  # which makes each caller's record once

_TYPES = {
    Root: "Root",
    User: "IAMUser",
    AssumedRole: "AssumedRole",
    FederatedUser: "FederatedUser",
    WebIdentity: "WebIdentityUser",
    SamlSubject: "SAMLUser",
    Anonymous: "AWSAccount",
}


def identity_of(caller: "Caller") -> UserIdentity:
    """The `userIdentity` of a record."""
    principal = caller.principal
    return UserIdentity(
        type=_TYPES.get(type(principal), "AWSService"),
        principal_id=principal.user_id,
        arn=principal.arn,
        account_id=caller.account,
        access_key_id=caller.access_key_id,
        user_name=principal.name if isinstance(principal, User) else "",
        session_context=_session_context(caller),
    )


def _session_context(caller: "Caller") -> SessionContext | None:
    if caller.token_issued_at is None:
        return None
    return SessionContext(
        attributes=SessionAttributes(
            creation_date=iso_time(caller.token_issued_at),
            mfa_authenticated="false" if caller.mfa_authenticated_at is None else "true",
        ),
        session_issuer=_session_issuer(caller),
        source_identity=caller.source_identity,
        assumed_root="true" if caller.is_assumed_root else None,
    )


def _session_issuer(caller: "Caller") -> SessionIssuer | None:
    """Where a session's permissions come from: the role, or the user who asked for the federation."""
    if caller.role is not None:
        role = caller.role
        return SessionIssuer("Role", role.role_id, role.arn, caller.account, role.role_name)
    if caller.user is not None and isinstance(caller.principal, FederatedUser):
        return SessionIssuer(
            "IAMUser", caller.user.user_id, caller.user.arn, caller.account, caller.user.user_name
        )
    return None


def claimed_identity(unverified_access_key_id: str) -> UserIdentity:
    """For a request of which nothing is proven: the key it claims to be signed with, and not whose key that is."""
    claimed = unverified_access_key_id if is_key_id(unverified_access_key_id) else ""
    return UserIdentity("Unknown", access_key_id=claimed)
