"""The collections of people that other directories know: of identity pools, and of identity stores."""

from broker.storage.collection import Collection, single_key
from broker.storage.engine import IDENTITY_POOL_OWNERS_PARTITION, identities_partition, people_partition
from broker.storage.identity_pool_records import (
    IdentityCount,
    IdentityPoolOwner,
    IdentityPoolRecord,
    LinkedLogin,
    PoolIdentity,
)
from broker.storage.identity_store_records import (
    IdentityStoreRecord,
    ProviderIdentityStore,
    StoreCounts,
    StoreGroup,
    StoreMembership,
    StoreName,
    StoreToken,
    StoreUser,
)


def identity_pool_owners_partition(account: str) -> str:
    """A partition of its own: it must not change the global partition's revision."""
    return IDENTITY_POOL_OWNERS_PARTITION


IDENTITY_POOLS = Collection("identity-pool", IdentityPoolRecord, lambda p: p.pool_id, exact=True)
IDENTITY_POOL_OWNERS = Collection(
    "identity-pool-owner",
    IdentityPoolOwner,
    lambda o: o.pool_id,
    partition=identity_pool_owners_partition,
    exact=True,
)
# By `identity_shard` of a pool's or an identity's id.
POOL_IDENTITIES = Collection(
    "pool-identity", PoolIdentity, lambda i: i.identity_id, partition=identities_partition, exact=True
)
LINKED_LOGINS = Collection(
    "linked-login", LinkedLogin, lambda one: one.key, partition=identities_partition, exact=True
)
IDENTITY_COUNTS = Collection(
    "identity-count", IdentityCount, lambda c: c.pool_id, partition=identities_partition, exact=True
)

IDENTITY_STORES = Collection("identity-store", IdentityStoreRecord, lambda s: s.store_id, exact=True)
PROVIDER_IDENTITY_STORES = Collection(
    "provider-identity-store", ProviderIdentityStore, lambda s: s.provider, exact=True
)
STORE_TOKENS = Collection("store-token", StoreToken, lambda t: f"{t.store_id}/{t.token_id}", exact=True)
# By `people_shard`. A membership is stored under each of `membership_keys`.
STORE_USERS = Collection("store-user", StoreUser, lambda u: u.user_id, partition=people_partition, exact=True)
STORE_GROUPS = Collection(
    "store-group", StoreGroup, lambda g: g.group_id, partition=people_partition, exact=True
)
STORE_MEMBERSHIPS = Collection("store-membership", StoreMembership, partition=people_partition, exact=True)
STORE_NAMES = Collection("store-name", StoreName, lambda n: n.key, partition=people_partition, exact=True)
STORE_COUNTS = Collection("store-counts", StoreCounts, single_key, partition=people_partition)
