"""Identity providers, pools and stores that a file declares; what is exported makes them again as they were."""

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from broker.declaration.declared_ids import declared_pool_id, declared_store_id
from broker.declaration.exporting import export
from broker.declaration.source import DeclarationError
from broker.names.secret import SecretKey
from broker.storage.collection import Collection
from broker.storage.identity_pool_records import IdentityCount, identity_shard
from broker.storage.identity_store_records import StoreCounts
from broker.storage.people_collections import (
    IDENTITY_COUNTS,
    IDENTITY_POOL_OWNERS,
    IDENTITY_POOLS,
    IDENTITY_STORES,
    PROVIDER_IDENTITY_STORES,
    STORE_COUNTS,
    STORE_TOKENS,
)
from broker.storage.records import SamlPrivateKey
from broker.storage.store import OPEN_ID_CONNECT_PROVIDERS, SAML_PROVIDERS
from broker.yaml_text import as_yaml
from tests.unit.assertions.saml_provider import KeyPair, metadata
from tests.unit.commands.conftest import Declare
from tests.unit.declaration.test_exporting import copy_of

A, B = "111111111111", "222222222222"
PAIR = KeyPair()
LOGIN, GOOGLE = "login.example.com/realms/a", "accounts.google.com"
LOGIN_ARN = f"arn:aws:iam::{A}:oidc-provider/{LOGIN}"
APP = declared_pool_id(A, "us-east-1", "app")
KNOWN = "eu-west-1:c74d1b3c-e5de-cf12-8a3e-0123456789ab"  # AWS's own are of any version of UUID
POOL = "cognito-idp.us-east-1.amazonaws.com/us-east-1_A"
TRUST = {
    "Version": "2012-10-17",
    "Statement": {
        "Effect": "Allow",
        "Principal": {"Service": "ec2.amazonaws.com"},
        "Action": "sts:AssumeRole",
    },
}
ACCOUNT: dict[str, Any] = {
    "roles": {"member": {"trust_policy": TRUST, "path": "/app/"}, "guest": {"trust_policy": TRUST}},
    "open_id_connect_providers": {
        LOGIN: {"client_ids": ["web", "App"], "thumbprints": ["0" * 40], "tags": {"a": "b"}},
        "plain.example.com": {},
    },
    "saml_providers": {"idp": {"metadata": metadata(PAIR), "tags": {"a": "b"}}},
    "identity_pools": {
        "app": {
            "allow_unauthenticated": "true",
            "developer_provider": "login.app",
            "open_id_connect_providers": [LOGIN],
            "login_providers": {GOOGLE: "web.apps"},
            "user_pool_clients": [{"provider_name": POOL, "client_id": "c1"}],
            "roles": {"authenticated": "member", "unauthenticated": "guest"},
            "role_mappings": {
                LOGIN: {
                    "type": "Rules",
                    "ambiguous_role_resolution": "AuthenticatedRole",
                    "rules": [
                        {"claim": "group", "match_type": "Equals", "value": "5", "role": "member"},
                        {
                            "claim": "group",
                            "match_type": "Contains",
                            "value": "x",
                            "role": f"arn:aws:iam::{A}:role/later",
                        },
                    ],
                },
                GOOGLE: {"type": "Token"},
                f"{POOL}:c1": {"type": "Token"},
            },
            "principal_tags": {LOGIN: {"claims": {"team": "groups"}}, GOOGLE: {"use_defaults": "true"}},
            "tags": {"team": "shop"},
        },
        "known": {"id": KNOWN, "region": "eu-west-1", "name": "app"},
    },
    "identity_stores": {
        LOGIN_ARN: {"match_by": "userName", "claim": "preferred_username"},
        f"arn:aws:iam::{A}:saml-provider/idp": {"id": "d-0123456789"},
    },
}


def declared(account: str = A, **changed: Any) -> str:
    return json.dumps({"accounts": {account: {**ACCOUNT, **changed}}})


def with_pool(**changed: Any) -> str:
    pools = ACCOUNT["identity_pools"]
    return declared(identity_pools={**pools, "app": {**pools["app"], **changed}})


async def exported(declare: Declare) -> tuple[str, dict[str, int]]:
    found = await export(declare.broker.store.transaction(), ())
    return as_yaml(found.values), found.left_out


async def records(declare: Declare) -> list[Any]:
    """What counts of each record, in both stores alike."""
    store = declare.broker.store.transaction()
    collections: tuple[Collection[Any], ...] = (
        OPEN_ID_CONNECT_PROVIDERS,
        SAML_PROVIDERS,
        IDENTITY_POOLS,
        IDENTITY_STORES,
        PROVIDER_IDENTITY_STORES,
    )
    found = [one for kind in collections for one in await store.scan(kind, A)]
    changing = {"created_at": 0, "provider_id": "", "valid_until": 0}
    return [replace(one, **{key: v for key, v in changing.items() if hasattr(one, key)}) for one in found]


async def test_what_is_exported_changes_nothing_and_makes_the_same_again(
    declare: Declare, tmp_path: Path
) -> None:
    await declare(declared())
    once, left_out = await exported(declare)
    assert left_out == {}
    assert await declare(declared()) == []
    assert await declare(once) == []
    assert await declare(once, prune=True) == []
    async with copy_of(once, tmp_path / "other") as copy:
        assert (await exported(copy))[0] == once
        assert await records(copy) == await records(declare)


async def test_ids_are_made_of_names_or_said(declare: Declare) -> None:
    changes = await declare(declared())
    assert f"+ identity pool app: {APP}" in changes
    assert f"+ identity pool known: {KNOWN}" in changes
    assert f"+ identity store of {LOGIN_ARN}: {declared_store_id(A, LOGIN_ARN)}" in changes
    pool = await declare.find(IDENTITY_POOLS, A, KNOWN)
    assert (pool.pool_name, pool.region, pool.allow_unauthenticated) == ("app", "eu-west-1", False)
    assert (await declare.find(IDENTITY_POOL_OWNERS, "", KNOWN)).account_id == A
    pool = await declare.find(IDENTITY_POOLS, A, APP)
    assert pool.roles["authenticated"] == f"arn:aws:iam::{A}:role/app/member"
    assert set(pool.role_mappings) == {LOGIN_ARN, GOOGLE, f"{POOL}:c1"}
    assert (await declare.find(IDENTITY_STORES, A, "d-0123456789")).matched_by == "externalId"


async def test_what_the_file_says_is_changed_and_nothing_else(declare: Declare) -> None:
    await declare(declared())
    assert await declare(with_pool(allow_unauthenticated="false", tags={"tier": "1"})) == [
        "~ identity pool app: allow_unauthenticated true -> false",
        "- identity pool app: tags team",
        "~ identity pool app: tags tier",
    ]
    assert await declare(with_pool(login_providers={}, role_mappings={}, principal_tags={})) == [
        "~ identity pool app: allow_unauthenticated false -> true, login_providers",
        "~ identity pool app: roles",
        f"~ identity pool app: principal tags of {LOGIN_ARN}",
        "- identity pool app: tags tier",
        "~ identity pool app: tags team",
    ]
    bare = {"app": {}, "known": ACCOUNT["identity_pools"]["known"]}
    assert await declare(declared(identity_pools=bare)) == []
    providers = {
        LOGIN: {"client_ids": ["web", "new"], "thumbprints": [], "tags": {}},
        "plain.example.com": {},
    }
    assert await declare(declared(open_id_connect_providers=providers)) == [
        f"- OpenID Connect provider {LOGIN}: client id App",
        f"+ OpenID Connect provider {LOGIN}: client id new",
        f"~ OpenID Connect provider {LOGIN}: thumbprints",
        f"- OpenID Connect provider {LOGIN}: tags a",
        "~ identity pool app: login_providers",
        "~ identity pool app: roles",
        f"~ identity pool app: principal tags of {LOGIN_ARN}",
        f"~ identity pool app: principal tags of {GOOGLE}",
    ]
    saml = {"idp": {"metadata": metadata(PAIR, entity="https://other.example")}}
    assert await declare(declared(open_id_connect_providers=providers, saml_providers=saml)) == [
        "~ SAML provider idp: metadata"
    ]


async def test_a_file_without_the_keys_prunes_neither_providers_nor_pools_nor_stores(
    declare: Declare,
) -> None:
    """Files of older versions do not know them, and people would lose their identities, or others get in."""
    await declare(declared())
    before = await records(declare)
    assert await declare(json.dumps({"accounts": {A: {"roles": ACCOUNT["roles"]}}}), prune=True) == []
    assert await records(declare) == before
    nothing: dict[str, Any] = {kind: {} for kind in ACCOUNT if kind != "roles"}
    assert sorted(await declare(declared(**nothing), prune=True)) == sorted(
        [
            f"- identity pool app, with its identities: {APP}",
            f"- identity pool app, with its identities: {KNOWN}",
            f"- identity store of {LOGIN_ARN}, with its people and tokens",
            f"- identity store of arn:aws:iam::{A}:saml-provider/idp, with its people and tokens",
            f"- OpenID Connect provider {LOGIN}",
            "- OpenID Connect provider plain.example.com",
            "- SAML provider idp",
        ]
    )
    assert await records(declare) == []
    assert await declare.find(IDENTITY_POOL_OWNERS, "", KNOWN) is None


async def test_pruning_removes_what_a_named_pool_has_and_the_file_does_not_mention(declare: Declare) -> None:
    await declare(declared())
    await declare(declared(identity_pools={"app": {}}), prune=True)
    pool = await declare.find(IDENTITY_POOLS, A, APP)
    assert (pool.roles, pool.role_mappings, pool.tags, pool.login_providers) == ({}, {}, {}, {})
    assert (pool.allow_unauthenticated, pool.developer_provider) == (False, "login.app")
    assert await declare(declared(identity_pools={"app": {}}), prune=True) == []


async def test_bearer_tokens_are_made_once_and_never_exported(declare: Declare) -> None:
    stores = {LOGIN_ARN: {"bearer_tokens": "2"}}
    attempt = await declare.attempt(declared(identity_stores=stores))
    first, second = attempt.bearer_tokens
    assert (first.account, first.provider) == (A, LOGIN_ARN)
    assert first.token_id != second.token_id
    assert first.token.reveal().startswith(f"scim.{A}.{first.store_id}.{first.token_id}.")
    assert await declare.find(STORE_TOKENS, A, f"{first.store_id}/{first.token_id}") is not None
    assert (await declare.attempt(declared(identity_stores=stores))).bearer_tokens == []
    assert await declare(declared(identity_stores={LOGIN_ARN: {}})) == []
    text, left_out = await exported(declare)
    assert left_out == {"bearer tokens of identity stores": 2}
    assert "token" not in text.replace("Token", "")
    journal = Path(declare.broker.settings.audit.path).read_text()
    assert "CreateBearerToken" in journal
    assert not any(one.token.reveal().rpartition(".")[2] in journal for one in attempt.bearer_tokens)


async def test_people_are_counted_and_not_exported(declare: Declare) -> None:
    await declare(declared())

    async def put(store: Any) -> None:
        shard = identity_shard(APP)
        store.put(IDENTITY_COUNTS, shard, IdentityCount(pool_id=APP, identities=3))
        store.put(STORE_COUNTS, f"{A}/d-0123456789", StoreCounts(users=5, groups=2))

    await declare.broker.store.transact(put)
    assert (await exported(declare))[1] == {
        "identities of identity pools": 3,
        "users of identity stores": 5,
        "groups of identity stores": 2,
    }


async def test_encryption_of_assertions_is_counted_and_stays_as_it_is(declare: Declare) -> None:
    await declare(declared())
    provider = await declare.find(SAML_PROVIDERS, A, "idp")
    key = SamlPrivateKey(key_id="SAMLKEY1", added_at=1, key=SecretKey(PAIR.private_pem))
    encrypted = replace(provider, encryption_mode="Required", private_keys=(key,))

    async def put(store: Any) -> None:
        store.put(SAML_PROVIDERS, A, encrypted)

    await declare.broker.store.transact(put)
    text, left_out = await exported(declare)
    assert left_out == {"encryption settings of SAML providers": 1}
    assert "PRIVATE KEY" not in text and "Required" not in text
    changed = {"idp": {"metadata": metadata(PAIR, entity="https://other.example")}}
    await declare(declared(saml_providers=changed), prune=True)
    after = await declare.find(SAML_PROVIDERS, A, "idp")
    assert (after.encryption_mode, after.private_keys, after.tags) == ("Required", (key,), {})
    assert after.metadata != provider.metadata


async def test_pools_of_one_name_are_all_exported(declare: Declare) -> None:
    await declare(declared())
    pools = (await export(declare.broker.store.transaction(), ())).values["accounts"][A]["identity_pools"]
    assert sorted((one.get("name", key), one["region"]) for key, one in pools.items() if "region" in one) == [
        ("app", "eu-west-1")
    ]
    assert len(pools) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (with_pool(id="app"), "id is us-east-1: and a UUID"),
        (with_pool(region="nowhere"), "no region"),
        (with_pool(id=KNOWN.partition(":")[2], region="eu-west-1"), "has the id"),
        (with_pool(name="a/b"), "IdentityPoolName"),
        (with_pool(roles={"authenticated": "none"}), "no role 'none'"),
        (with_pool(roles={"everyone": "member"}), r"\(un\)\?authenticated"),
        (with_pool(roles={"authenticated": f"arn:aws:iam::{B}:role/x"}), "not a role of account"),
        (with_pool(open_id_connect_providers=["other.example"]), "is not an OpenID Connect provider"),
        (with_pool(role_mappings={"other": {"type": "Token"}}), "other is no provider"),
        (with_pool(role_mappings={LOGIN: {"type": "Token", "ambiguous_role_resolution": "x"}}), "is Deny or"),
        (with_pool(role_mappings={LOGIN: {"type": "Rules"}}), "has rules if, and only if"),
        (with_pool(principal_tags={"other": {"use_defaults": "true"}}), "other is no provider"),
        (with_pool(allow_classic_flow="true"), "issues no web identity tokens"),
        (declared(identity_stores={"arn:x": {}}), "no OpenID Connect or SAML provider"),
        (declared(identity_stores={LOGIN_ARN: {"id": "d-1"}}), "ten hexadecimal digits"),
        (declared(identity_stores={LOGIN_ARN: {"match_by": "mail"}}), "MatchBy"),
        (declared(identity_stores={LOGIN_ARN: {"bearer_tokens": "3"}}), "from 0 to 2"),
        (declared(open_id_connect_providers={"a.example": {"url": "https://b.example"}}), "name of"),
        (declared(open_id_connect_providers={"not a host": {}}), "Invalid Open ID Connect Provider URL"),
        (declared(saml_providers={"idp": {"metadata": "text" * 300}}), "Could not parse metadata"),
    ],
)
async def test_a_fault_is_said_and_changes_nothing(declare: Declare, text: str, said: str) -> None:
    with pytest.raises(DeclarationError, match=said):
        await declare(text)
    assert await records(declare) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"identity_pools": {"app": {"developer_provider": "other.app"}}}, "cannot be changed"),
        ({"identity_stores": {LOGIN_ARN: {"claim": "sub"}}}, "cannot be changed"),
        ({"identity_stores": {LOGIN_ARN: {"id": "d-ffffffffff"}}}, "cannot be changed"),
        ({"open_id_connect_providers": {LOGIN: {"url": f"http://{LOGIN}"}}}, "cannot be changed"),
    ],
)
async def test_what_is_chosen_once_is_not_changed(declare: Declare, changed: Any, said: str) -> None:
    await declare(declared())
    before = await records(declare)
    with pytest.raises(DeclarationError, match=said):
        await declare(declared(**changed))
    assert await records(declare) == before


async def test_the_id_of_another_accounts_pool_is_refused(declare: Declare) -> None:
    await declare(declared())
    text = json.dumps({"accounts": {B: {"identity_pools": {"app": {"id": APP}}}}})
    with pytest.raises(DeclarationError, match="another account has the identity pool"):
        await declare(text)
