"""GetCallerIdentity: the caller's own identity. It needs no permission, and no policy can deny it."""

from broker.operation import Call, Prepared, no_resource, operation
from broker.protocol.shapes import sts as shapes


@operation("sts:GetCallerIdentity", prepare=no_resource)
async def get_caller_identity(
    call: Call, request: shapes.GetCallerIdentityRequest, prepared: Prepared[None]
) -> shapes.GetCallerIdentityResponse:
    identity = call.caller.identity  # as the journal has it
    return shapes.GetCallerIdentityResponse(
        user_id=identity.principal_id, account=identity.account_id, arn=identity.arn
    )
