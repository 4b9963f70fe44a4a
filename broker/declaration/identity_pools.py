"""Identity pools of Cognito that a file declares.

A pool is written as a record, for its id is made of its name or is one that apps know already, and is changed by
Cognito's own operations. The people in it are no part of a file.
"""

import re
from typing import Any

from msgspec.structs import replace

from broker.declaration.attempt import Attempt, Regional
from broker.declaration.declared import (
    DeclaredAccount,
    DeclaredIdentityPool,
    DeclaredUserPoolClient,
    value_or,
)
from broker.declaration.declared_ids import declared_pool_id
from broker.declaration.differences import describe_changes
from broker.declaration.identity_pool_roles import settle_principal_tags, settle_roles
from broker.declaration.properties import desired
from broker.declaration.source import DeclarationError
from broker.names.arn import iam_arn
from broker.storage.identity_pool_records import CognitoLogin, IdentityPoolOwner, IdentityPoolRecord
from broker.storage.people_collections import IDENTITY_POOL_OWNERS, IDENTITY_POOLS

SERVICE = "cognito-identity"

_is_region = re.compile(r"[a-z]{2}(?:-[a-z0-9]+){1,4}", re.ASCII).fullmatch
_is_uuid = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch


async def settle_identity_pools(attempt: Attempt, account: str, wanted: DeclaredAccount) -> None:
    if not isinstance(wanted.identity_pools, dict):
        return
    names: dict[str, str] = {}
    for name, pool in wanted.identity_pools.items():
        pool_id = _id_of(account, name, pool)
        if names.setdefault(pool_id, name) != name:
            raise DeclarationError(f"{pool.where}: {names[pool_id]} has the id {pool_id}, too")
        await _settle(attempt, account, name, pool)
    await _require_room(attempt, account, wanted.where)


async def prune_identity_pools(attempt: Attempt, account: str, wanted: DeclaredAccount) -> None:
    """Only where the file has the key: with a pool go the identities of its people, whose ids apps know."""
    if not isinstance(wanted.identity_pools, dict):
        return
    declared = {_id_of(account, name, pool) for name, pool in wanted.identity_pools.items()}
    for record in await attempt.store.scan(IDENTITY_POOLS, account):
        if record.pool_id not in declared:
            text = f"identity pool {record.pool_name}, with its identities: {record.pool_id}"
            named = {"IdentityPoolId": record.pool_id}
            await attempt.perform_json(_at(record), "DeleteIdentityPool", named, "-", text, wanted.where)


def _id_of(account: str, name: str, wanted: DeclaredIdentityPool) -> str:
    """Raises DeclarationError."""
    if not _is_region(wanted.region):
        raise DeclarationError(f"{wanted.where}: {wanted.region!r} is no region")
    if not wanted.id:
        return declared_pool_id(account, wanted.region, name)
    if not _is_uuid(wanted.id.removeprefix(f"{wanted.region}:")):
        raise DeclarationError(f"{wanted.where}: id is {wanted.region}: and a UUID in lower case")
    return f"{wanted.region}:{wanted.id.removeprefix(f'{wanted.region}:')}"


def _at(pool: IdentityPoolRecord) -> Regional:
    return Regional(pool.account_id, SERVICE, pool.region)


async def _settle(attempt: Attempt, account: str, name: str, wanted: DeclaredIdentityPool) -> None:
    pool_id = _id_of(account, name, wanted)
    current = await attempt.store.find(IDENTITY_POOLS, account, pool_id)
    pool = current or await _create(attempt, account, name, pool_id, wanted)
    after = _described(attempt, pool, name, wanted)
    if current != after:
        text = f"identity pool {name}: {describe_changes(pool, after)}" if current else ""
        await attempt.perform_json(_at(pool), "UpdateIdentityPool", _members(after), "~", text, wanted.where)
    for settle in (settle_roles, settle_principal_tags, _settle_tags):
        changed = await attempt.store.find(IDENTITY_POOLS, account, pool_id)
        assert changed is not None, "it exists"
        await settle(attempt, _at(pool), name, changed, wanted)


async def _create(
    attempt: Attempt, account: str, name: str, pool_id: str, wanted: DeclaredIdentityPool
) -> IdentityPoolRecord:
    """INVARIANT: an id is one pool's of all accounts, for apps name it without an account."""
    owner = await attempt.store.find(IDENTITY_POOL_OWNERS, "", pool_id)
    if owner is not None and owner.account_id != account:
        raise DeclarationError(f"{wanted.where}: another account has the identity pool {pool_id}")
    pool = IdentityPoolRecord(
        account_id=account,
        region=wanted.region,
        pool_id=pool_id,
        pool_name=wanted.name or name,
        created_at=attempt.now,
    )
    attempt.store.put(IDENTITY_POOL_OWNERS, "", IdentityPoolOwner(pool_id=pool_id, account_id=account))
    attempt.put(account, IDENTITY_POOLS, pool, "+", f"identity pool {name}: {pool_id}")
    return pool


async def _require_room(attempt: Attempt, account: str, where: str) -> None:
    most, counts = attempt.means.quotas.identity_pools, dict[str, int]()
    for pool in await attempt.store.scan(IDENTITY_POOLS, account):
        counts[pool.region] = counts.get(pool.region, 0) + 1
    if any(count > most for count in counts.values()):
        raise DeclarationError(f"{where}: an account has at most {most} identity pools")


def _described(
    attempt: Attempt, pool: IdentityPoolRecord, name: str, wanted: DeclaredIdentityPool
) -> IdentityPoolRecord:
    """The pool with what UpdateIdentityPool changes of it; raises DeclarationError."""

    def chosen(value: Any, current: Any, empty: Any) -> Any:
        return value_or(desired(attempt, value, empty), current)

    named = value_or(wanted.developer_provider, pool.developer_provider)
    if pool.developer_provider not in ("", named):
        raise DeclarationError(
            f"{wanted.where}: developer_provider is {pool.developer_provider!r} and cannot be changed"
        )
    providers = chosen(wanted.open_id_connect_providers, pool.open_id_connect_provider_arns, ())
    clients = chosen(wanted.user_pool_clients, pool.cognito_logins, ())
    return replace(
        pool,
        pool_name=wanted.name or name,
        allow_unauthenticated=chosen(wanted.allow_unauthenticated, pool.allow_unauthenticated, False),
        allow_classic_flow=chosen(wanted.allow_classic_flow, pool.allow_classic_flow, False),
        developer_provider=named,
        open_id_connect_provider_arns=tuple(_provider_arn(pool.account_id, one) for one in providers),
        login_providers=chosen(wanted.login_providers, pool.login_providers, {}),
        cognito_logins=tuple(map(_login, clients)),
    )


def _provider_arn(account: str, text: str) -> str:
    return text if text.startswith("arn:") else iam_arn(account, f"oidc-provider/{text}")


def _login(client: CognitoLogin | DeclaredUserPoolClient) -> CognitoLogin:
    return CognitoLogin(provider_name=client.provider_name, client_id=client.client_id)


def _members(pool: IdentityPoolRecord) -> dict[str, Any]:
    members: dict[str, Any] = {
        "IdentityPoolId": pool.pool_id,
        "IdentityPoolName": pool.pool_name,
        "AllowUnauthenticatedIdentities": pool.allow_unauthenticated,
        "AllowClassicFlow": pool.allow_classic_flow,
        "SupportedLoginProviders": pool.login_providers,
        "OpenIdConnectProviderARNs": list(pool.open_id_connect_provider_arns),
        "CognitoIdentityProviders": [
            {"ProviderName": one.provider_name, "ClientId": one.client_id} for one in pool.cognito_logins
        ],
    }
    if pool.developer_provider:
        members["DeveloperProviderName"] = pool.developer_provider
    return members


async def _settle_tags(
    attempt: Attempt, at: Regional, name: str, pool: IdentityPoolRecord, wanted: DeclaredIdentityPool
) -> None:
    tags = value_or(desired(attempt, wanted.tags, {}), pool.tags)
    removed = [key for key in pool.tags if key not in tags]
    if removed:
        text = f"identity pool {name}: tags {', '.join(removed)}"
        keys = {"ResourceArn": pool.arn, "TagKeys": removed}
        await attempt.perform_json(at, "UntagResource", keys, "-", text, wanted.where)
    added = {key: value for key, value in tags.items() if pool.tags.get(key) != value}
    if added:
        text = f"identity pool {name}: tags {', '.join(added)}"
        members = {"ResourceArn": pool.arn, "Tags": added}
        await attempt.perform_json(at, "TagResource", members, "~", text, wanted.where)
