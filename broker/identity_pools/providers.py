"""The providers of a pool: by which name clients present their tokens, and by which key roles and tags are chosen.

A provider that IAM knows has its ARN as its key, a user pool `NAME:CLIENT`, others their name, as on AWS.
"""

from collections.abc import Iterator

import msgspec

from broker.names.arn import iam_arn
from broker.storage.identity_pool_records import IdentityPoolRecord
from broker.storage.store import OPEN_ID_CONNECT_PROVIDERS, Transaction

# Login providers whose tokens are ID tokens of OpenID Connect. AWS has others, whose tokens are not.
LOGIN_PROVIDERS = frozenset({"accounts.google.com", "appleid.apple.com"})
# Google's tokens may leave the scheme of the issuer out.
_WITHOUT_SCHEME = "accounts.google.com"


class PoolProvider(msgspec.Struct, frozen=True):
    """`name` is what clients call it. `key` is that of its role mapping; of a user pool, its client is added."""

    name: str
    issuers: tuple[str, ...]
    client_ids: tuple[str, ...]
    key: str
    thumbprints: tuple[str, ...] = ()
    has_client_keys: bool = False

    def key_for(self, client_id: str) -> str:
        return f"{self.key}:{client_id}" if self.has_client_keys else self.key


async def find_pool_provider(
    store: Transaction, pool: IdentityPoolRecord, unverified_name: str
) -> PoolProvider | None:
    """The provider of `pool` that clients call so; None where the pool, or the pool's account, has none (any more)."""
    arn = iam_arn(pool.account_id, f"oidc-provider/{unverified_name}")
    if arn in pool.open_id_connect_provider_arns:
        registered = await store.find(OPEN_ID_CONNECT_PROVIDERS, pool.account_id, unverified_name)
        if registered is None:
            return None
        return PoolProvider(
            unverified_name, (registered.url,), registered.client_ids, arn, registered.thumbprints
        )
    return _unregistered(pool, unverified_name)


def _unregistered(pool: IdentityPoolRecord, name: str) -> PoolProvider | None:
    issuer = f"https://{name}"
    application = pool.login_providers.get(name)
    if application is not None:
        issuers = (issuer, name) if name == _WITHOUT_SCHEME else (issuer,)
        return PoolProvider(name, issuers, (application,), name)
    clients = tuple(one.client_id for one in pool.cognito_logins if one.provider_name == name)
    return PoolProvider(name, (issuer,), clients, name, has_client_keys=True) if clients else None


def provider_keys(pool: IdentityPoolRecord) -> Iterator[str]:
    """The keys that role mappings and attribute maps of the pool may have."""
    yield from pool.open_id_connect_provider_arns
    yield from pool.login_providers
    yield from (f"{one.provider_name}:{one.client_id}" for one in pool.cognito_logins)
