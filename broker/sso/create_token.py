"""CreateToken: a client trades a code, or its refresh token, for an access token.

The caller in the journal is the person who allowed it: the holder of a valid code acts for them.
"""

from broker.access.caller import Caller
from broker.access.facts import RequestFacts
from broker.access.people import claims_of
from broker.approvals import approving_caller
from broker.credentials.sso_clients import (
    AUTHORIZATION_CODE,
    DEVICE_CODE,
    GRANT_TYPES,
    REFRESH_TOKEN,
    hash_of_client,
    prove_client,
)
from broker.credentials.sso_codes import find_code, take_code
from broker.credentials.sso_devices import find_device, poll
from broker.credentials.sso_sessions import (
    Tokens,
    begin_session,
    find_by_refresh_token,
    invalid_grant,
    refresh,
)
from broker.errors import Refusal
from broker.federation.federation import Federation
from broker.names.principal import Anonymous
from broker.operation import Call, Prepared, no_resource, operation
from broker.protocol.shapes import sso_oidc as shapes
from broker.sealing.claims import claims_to_bytes
from broker.storage.portal_records import FederatedIdentity
from broker.storage.sso_records import Approval
from broker.storage.store import Transaction


async def _person(
    federation: Federation, store: Transaction, facts: RequestFacts, request: shapes.CreateTokenRequest
) -> Caller:
    """The person who allowed the code or refresh token; an anonymous caller where it is invalid, and gets no token."""
    approval = await _find_approval(store, request, facts.now)
    if approval is None:
        return Caller(principal=Anonymous(), account="")
    try:
        return await approving_caller(federation, store, approval, facts.now)
    except Refusal as refusal:
        raise invalid_grant(refusal.reason) from None


async def _find_approval(
    store: Transaction, request: shapes.CreateTokenRequest, now: float
) -> Approval | None:
    match request.grant_type:
        case "authorization_code":
            code = await find_code(store, request.code or "", now)
            return None if code is None else code.approval
        case "refresh_token":
            session = await find_by_refresh_token(store, request.refresh_token or "")
            return None if session is None else session.approval
        case _:
            device = await find_device(store, request.device_code or "")
            return None if device is None else device.approval


@operation("sso-oidc:CreateToken", prepare=no_resource, prove=_person)
async def create_token(
    call: Call, request: shapes.CreateTokenRequest, prepared: Prepared[None]
) -> shapes.CreateTokenResponse:
    client = prove_client(call.mint.keyring(), request.client_id, request.client_secret, call.now)
    if request.grant_type not in GRANT_TYPES:
        raise Refusal("UnsupportedGrantTypeException", "The grant type is not supported.")
    if not client.may_use(request.grant_type):
        raise Refusal("UnauthorizedClientException", "The client has not registered this grant type.")
    if set(request.scope) - set(client.scopes):
        raise Refusal("InvalidScopeException", "The client has not registered this scope.")
    approval = await _find_approval(call.store, request, call.now)
    tokens = await _traded(call, request, hash_of_client(request.client_id))
    assert approval is not None, "a valid code has the approval of a person"
    if request.grant_type != REFRESH_TOKEN and not isinstance(approval.identity, FederatedIdentity):
        # The list of sessions is of accounts: of people of providers, those of the roles that they take are on it.
        claims = claims_of(approval)
        call.mint.note(claims.account, claims_to_bytes(claims), call.mint.keyring().primary.id)
    return shapes.CreateTokenResponse(
        access_token=tokens.access_token,
        token_type="Bearer",  # noqa: S106  no password
        expires_in=tokens.expires_in,
        refresh_token=tokens.refresh_token,
    )


async def _traded(call: Call, request: shapes.CreateTokenRequest, client_hash: str) -> Tokens:
    store, entropy, now = call.store, call.entropy, call.now
    if request.grant_type == AUTHORIZATION_CODE:
        code = _required(request.code, "code")
        redirect_uri = _required(request.redirect_uri, "redirectUri")
        verifier = _required(request.code_verifier, "codeVerifier")
        taken = await take_code(store, code, client_hash, redirect_uri, verifier, now)
        return begin_session(
            store,
            taken.approval,
            client_hash,
            taken.client_name,
            entropy,
            now,
            is_refreshable=taken.is_refreshable,
        )
    if request.grant_type == DEVICE_CODE:
        device_code = _required(request.device_code, "deviceCode")
        return await poll(store, device_code, client_hash, entropy, now)
    return await refresh(store, _required(request.refresh_token, "refreshToken"), client_hash, entropy, now)


def _required(value: str | None, name: str) -> str:
    if value is None:
        raise Refusal("InvalidRequestException", f"This grant type needs {name}.")
    return value
