"""UnlinkIdentity: a person takes a login from their identity, by proving it."""

from broker.identity_pools.identities import find_identity, find_pool, forget_logins, owners_of
from broker.identity_pools.linking import require_identity
from broker.identity_pools.logins import proven_logins
from broker.identity_pools.refusals import invalid, no_such_identity, no_such_pool
from broker.identity_pools.resources import app_of_identity
from broker.identity_pools.subjects import without
from broker.operation import Call, Prepared, no_resource, operation
from broker.protocol.shapes import cognito_identity as shapes
from broker.storage.identity_pool_records import identity_shard
from broker.storage.people_collections import POOL_IDENTITIES


@operation("cognito-identity:UnlinkIdentity", prepare=no_resource, prove=app_of_identity)
async def unlink_identity(call: Call, request: shapes.UnlinkIdentityInput, prepared: Prepared[None]) -> None:
    """An identity without its last login is nobody's: the login gets a new identity the next time."""
    identity = await find_identity(call.store, request.identity_id)
    if identity is None:
        raise no_such_identity(request.identity_id)
    pool = await find_pool(call.store, identity.pool_id)
    if pool is None:
        raise no_such_pool(identity.pool_id)
    if not request.logins or not set(request.logins_to_remove) <= set(request.logins):
        raise invalid("Logins has a token of each of LoginsToRemove.")
    logins = await proven_logins(call, pool, request.logins)
    owners = await owners_of(call.store, pool, logins)
    require_identity(pool, identity, logins, owners)
    removed = [
        (one.provider, one.subject)
        for one, owner in zip(logins, owners, strict=True)
        if one.provider in request.logins_to_remove and owner == identity.identity_id
    ]
    forget_logins(call, identity, removed)
    changed = without(identity, removed, int(call.now))
    call.store.put(POOL_IDENTITIES, identity_shard(pool.pool_id), changed)
