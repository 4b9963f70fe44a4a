"""Identity providers, identity pools and identity stores, as a declaration has them.

People are no part of it, nor are private keys and bearer tokens: they are counted.
"""

from collections import Counter
from typing import Any

from broker.declaration.attempt import DEFAULT_REGION
from broker.declaration.declared_ids import declared_pool_id, declared_store_id
from broker.declaration.identity_pool_roles import (
    AUTHENTICATED_ROLE,
    present_tags,
    provider_key,
)
from broker.names.arn import iam_arn
from broker.storage.identity_pool_records import (
    ClaimRoles,
    ClaimTags,
    IdentityPoolRecord,
    identity_shard,
)
from broker.storage.identity_store_records import EXTERNAL_ID, IdentityStoreRecord
from broker.storage.people_collections import (
    IDENTITY_COUNTS,
    IDENTITY_POOLS,
    IDENTITY_STORES,
    STORE_COUNTS,
    STORE_TOKENS,
)
from broker.storage.store import OPEN_ID_CONNECT_PROVIDERS, ROLES, SAML_PROVIDERS, Transaction

Values = dict[str, Any]


async def providers_of(store: Transaction, account: str, left_out: Counter[str]) -> Values:
    """`left_out` counts what cannot be declared."""
    saml = await store.scan(SAML_PROVIDERS, account)
    left_out["encryption settings of SAML providers"] += sum(
        bool(one.encryption_mode or one.private_keys) for one in saml
    )
    return {
        "open_id_connect_providers": {
            one.name: _present(
                url=_unless(f"https://{one.name}", one.url),
                client_ids=list(one.client_ids),
                thumbprints=list(one.thumbprints),
                tags=one.tags,
            )
            for one in await store.scan(OPEN_ID_CONNECT_PROVIDERS, account)
        },
        "saml_providers": {one.name: _present(metadata=one.metadata, tags=one.tags) for one in saml},
    }


async def identities_of(store: Transaction, account: str, left_out: Counter[str]) -> Values:
    """`left_out` counts what cannot be declared."""
    roles = {one.arn: one.role_name for one in await store.scan(ROLES, account)}
    pools: dict[str, Values] = {}
    for pool in await store.scan(IDENTITY_POOLS, account):
        # Pools may have one name, the keys of a file may not.
        key = pool.pool_id if pool.pool_name in pools else pool.pool_name
        pools[key] = _pool(pool, key, roles)
        counted = await store.find(IDENTITY_COUNTS, identity_shard(pool.pool_id), pool.pool_id)
        left_out["identities of identity pools"] += counted.identities if counted else 0
    stores = await store.scan(IDENTITY_STORES, account)
    for one in stores:
        people = await store.find(STORE_COUNTS, one.shard)
        left_out["users of identity stores"] += people.users if people else 0
        left_out["groups of identity stores"] += people.groups if people else 0
    left_out["bearer tokens of identity stores"] += await store.count(STORE_TOKENS, account)
    return {"identity_pools": pools, "identity_stores": {one.provider: _store(one) for one in stores}}


def _store(record: IdentityStoreRecord) -> Values:
    return _present(
        id=_unless(declared_store_id(record.account_id, record.provider), record.store_id),
        match_by=_unless(EXTERNAL_ID, record.matched_by),
        claim=record.claim,
    )


def _pool(pool: IdentityPoolRecord, key: str, roles: dict[str, str]) -> Values:
    described = _present(
        name=_unless(key, pool.pool_name),
        id=_unless(declared_pool_id(pool.account_id, pool.region, key), pool.pool_id),
        region=_unless(DEFAULT_REGION, pool.region),
        developer_provider=pool.developer_provider,
        open_id_connect_providers=[
            arn.removeprefix(iam_arn(pool.account_id, "oidc-provider/"))
            for arn in pool.open_id_connect_provider_arns
        ],
        login_providers=pool.login_providers,
        user_pool_clients=[
            {"provider_name": one.provider_name, "client_id": one.client_id} for one in pool.cognito_logins
        ],
        roles={kind: roles.get(arn, arn) for kind, arn in pool.roles.items()},
        role_mappings={_key(pool, key): _mapping(one, roles) for key, one in pool.role_mappings.items()},
        principal_tags={_key(pool, key): _tags(one) for key, one in present_tags(pool).items()},
        tags=pool.tags,
    )
    # Said even where it is false: what a file does not mention is not changed.
    allowed = {
        "allow_unauthenticated": pool.allow_unauthenticated,
        "allow_classic_flow": pool.allow_classic_flow,
    }
    return {**described, **allowed}


def _key(pool: IdentityPoolRecord, key: str) -> str:
    """The name of a provider, unless it would be taken for another one's."""
    name = key.removeprefix(iam_arn(pool.account_id, "oidc-provider/"))
    return name if provider_key(pool, name) == key else key


def _mapping(mapping: ClaimRoles, roles: dict[str, str]) -> Values:
    rules = [
        {
            "claim": one.claim,
            "match_type": one.match_type,
            "value": one.value,
            "role": roles.get(one.role_arn, one.role_arn),
        }
        for one in mapping.rules
    ]
    resolution = None if mapping.is_denied_without else AUTHENTICATED_ROLE
    return _present(type=mapping.kind, ambiguous_role_resolution=resolution, rules=rules)


def _tags(tags: ClaimTags) -> Values:
    return _present(use_defaults=tags.use_defaults, claims=tags.claims)


def _unless(default: Any, value: Any) -> Any:
    return None if value == default else value


def _present(**values: Any) -> Values:
    return {name: value for name, value in values.items() if value}
