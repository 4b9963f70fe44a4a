"""GetId: an app gets the identity of the person whose tokens it presents, or a guest's."""

from broker.identity_pools.identities import find_pool, link, new_identity, owners_of
from broker.identity_pools.linking import identity_of, require_guests
from broker.identity_pools.logins import proven_logins
from broker.identity_pools.refusals import no_such_identity, no_such_pool, not_authorized
from broker.identity_pools.resources import app_of_pool
from broker.operation import Call, Prepared, no_resource, operation
from broker.protocol.shapes import cognito_identity as shapes
from broker.storage.identity_pool_records import IdentityPoolRecord, identity_shard
from broker.storage.people_collections import POOL_IDENTITIES


@operation("cognito-identity:GetId", prepare=no_resource, prove=app_of_pool)
async def get_id(call: Call, request: shapes.GetIdInput, prepared: Prepared[None]) -> shapes.GetIdResponse:
    """Each call for a guest makes a new identity."""
    pool = await find_pool(call.store, request.identity_pool_id)
    if pool is None:
        raise no_such_pool(request.identity_pool_id)
    if request.account_id not in (None, pool.account_id):
        raise not_authorized(
            "Access to the identity pool is forbidden.", f"it is not of account {request.account_id}"
        )
    return shapes.GetIdResponse(identity_id=await _identity_id(call, pool, request))


async def _identity_id(call: Call, pool: IdentityPoolRecord, request: shapes.GetIdInput) -> str:
    if not request.logins:
        require_guests(pool)
        return (await new_identity(call, pool, ())).identity_id
    logins = await proven_logins(call, pool, request.logins)
    known = identity_of(await owners_of(call.store, pool, logins))
    if known is None:
        return (await new_identity(call, pool, logins)).identity_id
    identity = await call.store.find(POOL_IDENTITIES, identity_shard(pool.pool_id), known)
    if identity is None:
        raise no_such_identity(known)
    return link(call, identity, logins).identity_id
