"""StartDeviceAuthorization: a client without a browser gets a code that a person enters in the portal (RFC 8628)."""

from urllib.parse import urlencode

from broker.credentials.failed_attempts import count_failure, counter, find_wait, network_of
from broker.credentials.sso_clients import DEVICE_CODE, hash_of_client, prove_client
from broker.credentials.sso_devices import DEVICE_SECONDS, INTERVAL, start_device
from broker.errors import Refusal, not_implemented
from broker.operation import Call, Prepared, no_resource, operation
from broker.protocol.shapes import sso_oidc as shapes
from broker.sso.register_client import anonymous

# Each one is stored, and the request needs no proof: from one address so many at once, then one in so many seconds.
_FREE, _LONGEST_WAIT = 50, 30.0


@operation("sso-oidc:StartDeviceAuthorization", prepare=no_resource, prove=anonymous)
async def start_device_authorization(
    call: Call, request: shapes.StartDeviceAuthorizationRequest, prepared: Prepared[None]
) -> shapes.StartDeviceAuthorizationResponse:
    if not call.portal_url:
        raise not_implemented("This broker has no portal, in which a person could enter a code.")
    client = prove_client(call.mint.keyring(), request.client_id, request.client_secret, call.now)
    if not client.may_use(DEVICE_CODE):
        raise Refusal("UnauthorizedClientException", "The client has not registered this grant type.")
    asked_from = counter(_FREE, _LONGEST_WAIT, "device authorizations", network_of(call.facts.source_ip))
    if await find_wait(call.store, asked_from, call.now):
        raise Refusal("SlowDownException", "Too many device authorizations were started.")
    await count_failure(call.store, asked_from, call.now)
    device_code, user_code = await start_device(
        call.store,
        hash_of_client(request.client_id),
        client.name,
        call.entropy,
        call.now,
        is_refreshable=client.is_refreshable,
    )
    page = f"{call.portal_url}/device"
    return shapes.StartDeviceAuthorizationResponse(
        device_code=device_code,
        user_code=user_code,
        verification_uri=page,
        verification_uri_complete=f"{page}?{urlencode({'user_code': user_code})}",
        expires_in=DEVICE_SECONDS,
        interval=INTERVAL,
    )
