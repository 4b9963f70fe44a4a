"""The identities of pools: found by their id or by a login, made, linked, deleted."""

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from broker.audit.event import uuid_text
from broker.errors import Refusal
from broker.identity_pools.linking import linked
from broker.identity_pools.logins import ProvenLogin
from broker.identity_pools.subjects import Subject, subjects_of
from broker.operation import Call
from broker.storage.identity_pool_records import (
    IdentityCount,
    IdentityPoolRecord,
    LinkedLogin,
    PoolIdentity,
    identity_shard,
    login_key,
)
from broker.storage.people_collections import (
    IDENTITY_COUNTS,
    IDENTITY_POOL_OWNERS,
    IDENTITY_POOLS,
    LINKED_LOGINS,
    POOL_IDENTITIES,
)
from broker.storage.store import Transaction


async def find_pool(store: Transaction, unverified_pool_id: str) -> IdentityPoolRecord | None:
    """The pool with this id, of any account."""
    owner = await store.find(IDENTITY_POOL_OWNERS, "", unverified_pool_id)
    return None if owner is None else await store.find(IDENTITY_POOLS, owner.account_id, owner.pool_id)


async def find_identity(store: Transaction, unverified_identity_id: str) -> PoolIdentity | None:
    """The identity with this id, if its pool still exists."""
    shard = identity_shard(unverified_identity_id)
    identity = await store.find(POOL_IDENTITIES, shard, unverified_identity_id) if shard else None
    if identity is None or await find_pool(store, identity.pool_id) is None:
        return None
    return identity


async def owners_of(
    store: Transaction, pool: IdentityPoolRecord, logins: Sequence[ProvenLogin]
) -> tuple[str | None, ...]:
    """The identity of each login; None where it has none yet."""
    shard = identity_shard(pool.pool_id)
    found = [
        await store.find(LINKED_LOGINS, shard, login_key(pool.pool_id, one.provider, one.subject))
        for one in logins
    ]
    return tuple(None if one is None else one.identity_id for one in found)


async def new_identity(call: Call, pool: IdentityPoolRecord, logins: Sequence[ProvenLogin]) -> PoolIdentity:
    """Raises LimitExceededException where the pool is full."""
    shard, now = identity_shard(pool.pool_id), int(call.now)
    await _count(call, pool, shard)
    identity = PoolIdentity(
        identity_id=f"{pool.region}:{shard}{uuid_text(call.entropy(16))[len(shard) :]}",
        pool_id=pool.pool_id,
        account_id=pool.account_id,
        created_at=now,
        modified_at=now,
    )
    call.store.put(POOL_IDENTITIES, shard, identity)
    return link(call, identity, logins)


async def _count(call: Call, pool: IdentityPoolRecord, shard: str) -> None:
    counted = await call.store.find(IDENTITY_COUNTS, shard, pool.pool_id)
    count = 0 if counted is None else counted.identities
    if count >= call.quotas.identities_per_pool:
        message = (
            f"The identity pool has the most identities that it may have: {call.quotas.identities_per_pool}."
        )
        raise Refusal("LimitExceededException", message)
    call.store.put(IDENTITY_COUNTS, shard, IdentityCount(pool_id=pool.pool_id, identities=count + 1))


def link(call: Call, identity: PoolIdentity, logins: Sequence[ProvenLogin]) -> PoolIdentity:
    """The identity with these logins as well; written only where that changes it."""
    together = linked(identity, logins)
    if together == identity.logins:
        return identity
    changed = replace(identity, logins=together, modified_at=int(call.now))
    shard = identity_shard(identity.pool_id)
    call.store.put(POOL_IDENTITIES, shard, changed)
    put_logins(call, identity, together.items())
    return changed


def put_logins(call: Call, identity: PoolIdentity, logins: Iterable[Subject]) -> None:
    """Each of these is found as a login of `identity` from now on, also where it was another's."""
    shard = identity_shard(identity.pool_id)
    for provider, subject in logins:
        key = login_key(identity.pool_id, provider, subject)
        call.store.put(LINKED_LOGINS, shard, LinkedLogin(key=key, identity_id=identity.identity_id))


def forget_logins(call: Call, identity: PoolIdentity, logins: Iterable[Subject]) -> None:
    shard = identity_shard(identity.pool_id)
    for provider, subject in logins:
        call.store.delete(LINKED_LOGINS, shard, login_key(identity.pool_id, provider, subject))


async def delete_identities(call: Call, pool_id: str, identities: Sequence[PoolIdentity]) -> None:
    shard = identity_shard(pool_id)
    for identity in identities:
        forget_logins(call, identity, subjects_of(identity))
        call.store.delete(POOL_IDENTITIES, shard, identity.identity_id)
    counted = await call.store.find(IDENTITY_COUNTS, shard, pool_id)
    if counted is not None and identities:
        left = max(0, counted.identities - len(identities))
        call.store.put(IDENTITY_COUNTS, shard, IdentityCount(pool_id=pool_id, identities=left))


async def identities_in(call: Call, pool_id: str) -> list[PoolIdentity]:
    """By their ids. A shard is one pool's, but for chance."""
    found = await call.store.scan(POOL_IDENTITIES, identity_shard(pool_id))
    return [one for one in found if one.pool_id == pool_id]
