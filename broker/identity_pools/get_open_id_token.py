"""GetOpenIdToken: a token of an identity, which the app trades by AssumeRoleWithWebIdentity (the basic flow).

The app chooses the role, and its trust policy decides alone; guests have no session policy, as on AWS. So a pool says
that it wants this (AllowClassicFlow). The token is signed by the account's issuer and good for ten minutes, at this
broker: for others it is a token of Cognito with keys that they do not know.
"""

import msgspec

from broker.assertions.token_signing import RS256
from broker.audit.event import uuid_text
from broker.credentials.issuer_keys import signed_token
from broker.identity_pools.get_credentials import claims_of
from broker.identity_pools.identities import find_identity, find_pool, link, owners_of
from broker.identity_pools.linking import require_identity
from broker.identity_pools.logins import proven_logins, require_unused
from broker.identity_pools.refusals import invalid, misconfigured, no_such_identity, no_such_pool
from broker.identity_pools.resources import app_of_identity
from broker.operation import Call, Prepared, no_resource, operation
from broker.protocol.shapes import cognito_identity as shapes
from broker.storage.identity_pool_records import STORE_USERS_CLAIM
from broker.storage.store import TOKEN_ISSUERS

_SECONDS = 600
_NOT_ENABLED = "Basic (classic) flow is not enabled, please use enhanced flow."


@operation("cognito-identity:GetOpenIdToken", prepare=no_resource, prove=app_of_identity)
async def get_open_id_token(
    call: Call, request: shapes.GetOpenIdTokenInput, prepared: Prepared[None]
) -> shapes.GetOpenIdTokenResponse:
    identity = await find_identity(call.store, request.identity_id)
    if identity is None:
        raise no_such_identity(request.identity_id)
    pool = await find_pool(call.store, identity.pool_id)
    if pool is None:
        raise no_such_pool(identity.pool_id)
    if not pool.allow_classic_flow:
        raise invalid(_NOT_ENABLED)
    logins = await proven_logins(call, pool, request.logins)
    require_identity(pool, identity, logins, await owners_of(call.store, pool, logins))
    link(call, identity, logins)
    await require_unused(call, pool, logins)
    issuer = await call.store.find(TOKEN_ISSUERS, pool.account_id)
    if issuer is None or not issuer.is_enabled:
        raise misconfigured(f"account {pool.account_id} issues no web identity tokens any more")
    now = int(call.now)
    claims = {
        **claims_of(pool, identity, logins),
        "iat": now,
        "exp": now + _SECONDS,
        "jti": uuid_text(call.entropy(16)),
        STORE_USERS_CLAIM: [user for one in logins for user in one.store_users],
    }
    token = signed_token(issuer, RS256, msgspec.json.encode(claims), call.now)
    return shapes.GetOpenIdTokenResponse(identity_id=identity.identity_id, token=token)
