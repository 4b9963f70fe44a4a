"""GetRoleCredentials: sts:AssumeRole for the person, with its gate and its mint, in the answer of the portal's API."""

from broker.errors import Refusal
from broker.operation import Call, Prepared, find_operation, no_resource, operation, perform
from broker.own_roles import assume_role_request
from broker.protocol.shapes import sso as shapes
from broker.protocol.shapes.sts import AssumeRoleResponse
from broker.sso.bearer import bearer
from broker.storage.store import ROLES


@operation("sso:GetRoleCredentials", prepare=no_resource, prove=bearer)
async def get_role_credentials(
    call: Call, request: shapes.GetRoleCredentialsRequest, prepared: Prepared[None]
) -> shapes.GetRoleCredentialsResponse:
    role = await call.store.find(ROLES, request.account_id, request.role_name)
    if role is None or role.role_name != request.role_name:
        raise _forbidden("there is no such role")
    asked = assume_role_request(call.caller, role.arn, None)
    try:
        answer: AssumeRoleResponse = await perform(find_operation("sts", "AssumeRole"), call, asked)
    except Refusal as refusal:
        raise _forbidden(refusal.reason or refusal.message) from None
    credentials = answer.credentials
    assert credentials is not None, "AssumeRole answers with credentials, or refuses"
    return shapes.GetRoleCredentialsResponse(
        role_credentials=shapes.RoleCredentials(
            access_key_id=credentials.access_key_id,
            secret_access_key=credentials.secret_access_key,
            session_token=credentials.session_token,
            expiration=int(credentials.expiration * 1000),
        )
    )


def _forbidden(reason: str) -> Refusal:
    """One answer for roles that do not exist and for those of other people."""
    return Refusal("ForbiddenException", "No access", reason=reason, status=403)
