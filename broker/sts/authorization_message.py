"""DecodeAuthorizationMessage: the reasons of a denial, for callers with the permission to read them.

A message opens in the account whose request was denied and in no other; everything else is one and the same refusal.
"""

import msgspec

from broker.errors import Refusal
from broker.operation import Call, Prepared, no_resource, operation
from broker.protocol.shapes import sts as shapes


@operation("sts:DecodeAuthorizationMessage", prepare=no_resource)
async def decode_authorization_message(
    call: Call, request: shapes.DecodeAuthorizationMessageRequest, prepared: Prepared[None]
) -> shapes.DecodeAuthorizationMessageResponse:
    denial = call.gate.find_denial(request.encoded_message, call.now)
    if denial is None or denial.account != call.account:
        raise Refusal("InvalidAuthorizationMessageException", "Message is not valid")
    return shapes.DecodeAuthorizationMessageResponse(
        decoded_message=msgspec.json.encode(denial.message).decode()
    )
