"""GetRoleCredentials: sts:AssumeRole or its sibling for the person, with its gate, mint and record.

People of identity providers take their roles as the portal has them do it (`broker.federated_roles`).
"""

from broker.errors import Refusal
from broker.federated_roles import Taking, federated_caller, taking_of
from broker.operation import Call, Prepared, find_operation, no_resource, operation, perform_within
from broker.own_roles import assume_role_request
from broker.protocol.shapes import sso as shapes
from broker.protocol.shapes.sts import Credentials
from broker.sso.bearer import bearer, identity_of_bearer
from broker.storage.portal_records import FederatedIdentity, Identity
from broker.storage.store import ROLES


@operation("sso:GetRoleCredentials", prepare=no_resource, prove=bearer)
async def get_role_credentials(
    call: Call, request: shapes.GetRoleCredentialsRequest, prepared: Prepared[None]
) -> shapes.GetRoleCredentialsResponse:
    role = await call.store.find(ROLES, request.account_id, request.role_name)
    if role is None or role.role_name != request.role_name:
        raise _forbidden("there is no such role")
    try:
        credentials = await _take_role(call, await identity_of_bearer(call, request), role.arn)
    except Refusal as refusal:
        raise _forbidden(refusal.reason or refusal.message) from None
    return shapes.GetRoleCredentialsResponse(
        role_credentials=shapes.RoleCredentials(
            access_key_id=credentials.access_key_id,
            secret_access_key=credentials.secret_access_key,
            session_token=credentials.session_token,
            expiration=int(credentials.expiration * 1000),
        )
    )


async def _take_role(call: Call, identity: Identity, role_arn: str) -> Credentials:
    if isinstance(identity, FederatedIdentity):
        caller = await federated_caller(call.federation, call.store, identity, role_arn, call.now)
        taking = taking_of(identity, role_arn, None)
    else:
        caller = call.caller
        taking = Taking("AssumeRole", assume_role_request(caller, role_arn, None))
    answer = await perform_within(call, caller, find_operation("sts", taking.operation), taking.request)
    credentials: Credentials = answer.credentials
    return credentials


def _forbidden(reason: str) -> Refusal:
    """One answer for roles that do not exist and for those of other people."""
    return Refusal("ForbiddenException", "No access", reason=reason, status=403)
