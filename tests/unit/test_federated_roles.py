"""Roles of people of an OpenID Connect provider: in each account that knows it, with the index and without."""

import json
from typing import Any

import pytest

from broker.access.caller import Caller
from broker.access.role_index_upkeep import index_missing_roles
from broker.federated_roles import find_federated_roles
from broker.names.principal import Anonymous
from broker.storage.portal_records import OpenIdConnectIdentity
from broker.storage.records import Account, OpenIdConnectProvider, Role
from broker.storage.store import ACCOUNTS, OPEN_ID_CONNECT_PROVIDERS, ROLES, Transaction
from tests.unit.portal.conftest import NOW, World, broker, facts, world

__all__ = ["broker", "world"]  # fixtures

ISSUER, CLIENT = "https://idp.example/a", "portal"
KNOWS, KNOWS_TOO, OTHER_CLIENT, KNOWS_NOT = (str(number) * 12 for number in range(2, 6))


def provider(account: str, *clients: str, url: str = ISSUER) -> OpenIdConnectProvider:
    return OpenIdConnectProvider(account_id=account, url=url, client_ids=clients, created_at=1)


def role(account: str, name: str, principal: Any, subject: str = "ann") -> Role:
    statement = {
        "Effect": "Allow",
        "Principal": principal,
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": {"idp.example/a:sub": subject}},
    }
    return Role(
        account_id=account,
        role_name=name,
        role_id=f"AROA{name.upper():A<17}"[:21],
        created_at=1,
        assume_role_policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
    )


async def fill(world: World) -> None:
    def trusting(account: str, name: str, **more: str) -> Role:
        return role(account, name, {"Federated": provider(account).arn}, **more)

    elsewhere = provider(KNOWS, CLIENT, url="https://idp.example/a/b")

    async def work(store: Transaction) -> None:
        for account in (KNOWS, KNOWS_TOO, OTHER_CLIENT, KNOWS_NOT):
            store.put(ACCOUNTS, "", Account(account_id=account))
            store.put(ROLES, account, trusting(account, "anns"))
        for one in (provider(KNOWS, CLIENT), provider(KNOWS_TOO, "x", CLIENT), provider(OTHER_CLIENT, "x")):
            store.put(OPEN_ID_CONNECT_PROVIDERS, one.account_id, one)
        store.put(OPEN_ID_CONNECT_PROVIDERS, KNOWS, elsewhere)
        store.put(ROLES, KNOWS, trusting(KNOWS, "bens", subject="ben"))
        store.put(ROLES, KNOWS, role(KNOWS, "anybodys", "*"))
        store.put(ROLES, KNOWS, role(KNOWS, "of-another-issuer", {"Federated": elsewhere.arn}))
        store.put(ROLES, KNOWS, role(KNOWS, "of-a-user", {"AWS": KNOWS}))

    await world.broker.store.transact(work)


@pytest.mark.parametrize("is_indexed", [False, True], ids=["looked through", "indexed"])
async def test_a_person_has_the_roles_that_admit_them_where_the_provider_is_known(
    world: World, is_indexed: bool
) -> None:
    await fill(world)
    if is_indexed:
        await index_missing_roles(world.broker.store, 0)
    identity = OpenIdConnectIdentity(
        sign_in="idp",
        issuer=ISSUER,
        audience=(CLIENT,),
        name="ann",
        claims={"sub": "ann", "aud": CLIENT, "iss": ISSUER},
        issued_at=int(NOW),
        expires_at=int(NOW) + 3600,
    )
    store = world.broker.store.transaction()
    call = world.portal.tools.call(store, Caller(principal=Anonymous(), account=""), facts())
    found = await find_federated_roles(call, identity)
    assert found.is_complete
    assert [(one.account.account_id, one.role.role_name) for one in found.roles] == [
        (KNOWS, "anns"),
        (KNOWS, "anybodys"),
        (KNOWS_TOO, "anns"),
    ]
    in_one = await find_federated_roles(call, identity, KNOWS_TOO)
    assert [(one.account.account_id, one.role.role_name) for one in in_one.roles] == [(KNOWS_TOO, "anns")]
