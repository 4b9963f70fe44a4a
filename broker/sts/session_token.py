"""GetSessionToken: a session of the caller itself, optionally with MFA. It needs no permission."""

from broker.access.resource import Resource
from broker.access.restrictions import long_term_principal
from broker.credentials.durations import user_session_duration
from broker.names.principal import IamUser, Root
from broker.operation import Call, Prepared, operation
from broker.protocol.shapes import sts as shapes
from broker.sts.answers import credentials_shape
from broker.sts.mfa import find_offered_code


async def caller_with_code(call: Call, request: shapes.GetSessionTokenRequest) -> Prepared[IamUser | Root]:
    principal = long_term_principal(call.caller, "GetSessionToken")
    code = await find_offered_code(call, request.serial_number, request.token_code)
    return Prepared(Resource(), principal, code)


@operation("sts:GetSessionToken", prepare=caller_with_code)
async def get_session_token(
    call: Call, request: shapes.GetSessionTokenRequest, prepared: Prepared[IamUser | Root]
) -> shapes.GetSessionTokenResponse:
    principal = prepared.found
    minted = call.mint.session_token(
        principal,
        now=call.now,
        duration=user_session_duration(request.duration_seconds, is_root=isinstance(principal, Root)),
        mfa_authenticated_at=None if prepared.offered_code is None else int(call.now),
        mfa_serial=request.serial_number,
        issuer_access_key_id=call.caller.access_key_id,
        minimum_token_size=request.minimum_session_token_size or 0,
    )
    return shapes.GetSessionTokenResponse(
        credentials=credentials_shape(minted),
        session_token_utilization=minted.utilization,
        session_token_size=minted.token_size,
    )
