"""GetAccessKeyInfo: the account of an access key, which is encoded in its id."""

from broker.access.prove import account_of_key
from broker.errors import validation_error
from broker.operation import Call, Prepared, no_resource, operation
from broker.protocol.shapes import sts as shapes


@operation("sts:GetAccessKeyInfo", prepare=no_resource)
async def get_access_key_info(
    call: Call, request: shapes.GetAccessKeyInfoRequest, prepared: Prepared[None]
) -> shapes.GetAccessKeyInfoResponse:
    account = await account_of_key(call.store, request.access_key_id)
    if account is None:
        raise validation_error("Invalid access key ID format or type.")
    return shapes.GetAccessKeyInfoResponse(account=account)
