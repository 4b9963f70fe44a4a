"""GetSessionToken: the caller again, for a while, and perhaps with MFA. No permission is needed."""

from broker.credentials.durations import user_session_duration
from broker.names.principal import Root, User
from broker.operation import Call, no_resource, operation
from broker.protocol.shapes import sts as shapes
from broker.sts.answers import credentials_shape
from broker.sts.mfa import authenticated_at


@operation("sts:GetSessionToken", resource=no_resource)
async def get_session_token(
    call: Call, request: shapes.GetSessionTokenRequest
) -> shapes.GetSessionTokenResponse:
    principal = call.caller.principal
    assert isinstance(principal, User | Root), "temporary credentials never come here"
    minted = call.mint.session_token(
        principal,
        now=call.now,
        duration=user_session_duration(request.duration_seconds, is_root=isinstance(principal, Root)),
        mfa_authenticated_at=await authenticated_at(call, request.serial_number, request.token_code),
        mfa_serial=request.serial_number,
        issuer_access_key_id=call.caller.access_key_id,
        minimum_token_size=request.minimum_session_token_size or 0,
    )
    return shapes.GetSessionTokenResponse(
        credentials=credentials_shape(minted),
        session_token_utilization=minted.utilization,
        session_token_size=minted.token_size,
    )
