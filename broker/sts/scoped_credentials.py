"""GetScopedCredentials: a session gives away less of itself ("Permissions for GetScopedCredentials").

Who it is stays: principal, session name, tags, source identity, MFA, and the moment of its issue. What its scope down
policies do not allow, it may not do; it never outlives the session that asked; and it ends when that one is revoked.
"""

import msgspec

from broker.access.caller import Caller
from broker.access.resource import Resource
from broker.credentials.durations import scoped_session_duration
from broker.errors import Refusal, access_denied, validation_error
from broker.names.principal import AssumedRole, FederatedUser, IamUser
from broker.operation import Call, Prepared, operation
from broker.protocol.shapes import sts as shapes
from broker.sealing.claims import OriginalClaims, RootClaims, ScopedClaims
from broker.sts.answers import credentials_shape
from broker.sts.session_policies import session_policies

MOST_SCOPE_POLICIES = 3


class CallingSession(msgspec.Struct, frozen=True):
    """The session that is to be scoped down, and who it is."""

    claims: OriginalClaims | ScopedClaims
    principal: AssumedRole | FederatedUser | IamUser


async def calling_session(
    call: Call, request: shapes.GetScopedCredentialsRequest
) -> Prepared[CallingSession]:
    session = _session_of(call.caller)
    if request.policy is None and request.duration_seconds is None:
        raise validation_error("Either Policy or DurationSeconds must be given.")
    if request.policy is not None and len(call.caller.scope_policies) >= MOST_SCOPE_POLICIES:
        raise access_denied(
            f"A session has at most {MOST_SCOPE_POLICIES} scope down policies, and this one has them already."
        )
    return Prepared(Resource(), session)


def _session_of(caller: Caller) -> CallingSession:
    """Raises InvalidSubjectCredentials; `access.restrictions` has refused long-term credentials and root already."""
    principal, claims = caller.principal, caller.claims
    if (
        claims is None
        or isinstance(claims, RootClaims)
        or not isinstance(principal, AssumedRole | FederatedUser | IamUser)
    ):
        raise Refusal("InvalidSubjectCredentials", "The calling session is not a valid session.")
    return CallingSession(claims, principal)


@operation("sts:GetScopedCredentials", prepare=calling_session)
async def get_scoped_credentials(
    call: Call, request: shapes.GetScopedCredentialsRequest, prepared: Prepared[CallingSession]
) -> shapes.GetScopedCredentialsResponse:
    caller, session = call.caller, prepared.found
    if request.policy is not None:
        await session_policies(call, call.account, request.policy, ())
    minted = call.mint.scoped(
        session.claims,
        now=call.now,
        duration=scoped_session_duration(request.duration_seconds, session.claims.expires_at, call.now),
        scope_policy=request.policy,
        minimum_token_size=request.minimum_session_token_size or 0,
    )
    return shapes.GetScopedCredentialsResponse(
        credentials=credentials_shape(minted),
        session_info=shapes.ScopedSession(
            scoped_session_id=session.principal.user_id, arn=session.principal.arn
        ),
        session_token_utilization=minted.utilization,
        session_token_size=minted.token_size,
        scoped_policies_count=len(caller.scope_policies) + (request.policy is not None),
        source_identity=caller.source_identity,
    )
