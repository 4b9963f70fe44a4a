"""Whose roles are these: the gate's answer for each, and nothing that it does not say."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from broker.access.caller import root_caller, user_caller
from broker.access.role_index import find_candidates, trustees_like
from broker.access.role_index_upkeep import index_missing_roles
from broker.audit.journal import JournalUnavailable
from broker.errors import Refusal
from broker.own_roles import assume_role_request, find_roles, session_name_of
from broker.performing import perform_recorded
from broker.storage.records import Account, Role
from broker.storage.store import ACCOUNTS, ROLES, Transaction
from tests.unit.portal.conftest import ACCOUNT, NOW, World, broker, facts, world

__all__ = ["broker", "world"]  # fixtures

OTHER = "222222222222"
ALICE = f"arn:aws:iam::{ACCOUNT}:user/alice"


def document(**statement: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})


def role(account: str, name: str, principal: Any, **condition: Any) -> Role:
    more = {"Condition": condition} if condition else {}
    return Role(
        account_id=account,
        role_name=name,
        role_id=f"AROA{name.upper():A<17}"[:21],
        created_at=1,
        assume_role_policy=document(Principal=principal, Action="sts:AssumeRole", **more),
    )


@pytest.fixture(params=[False, True], ids=["roles of a store without index", "indexed roles"], autouse=True)
async def is_indexed(request: pytest.FixtureRequest, world: World, monkeypatch: pytest.MonkeyPatch) -> bool:
    """The answer is the same with the index of trust policies and without it; some say where it is not."""
    transact = world.broker.store.transact

    async def transact_and_index(work: Callable[[Transaction], Awaitable[Any]]) -> Any:
        answer = await transact(work)
        await index_missing_roles(world.broker.store, 0)
        return answer

    if request.param:
        monkeypatch.setattr(world.broker.store, "transact", transact_and_index)
    return bool(request.param)


async def put_roles(world: World, *roles: Role, may: str = "*") -> None:
    policy = document(Action="sts:AssumeRole", Resource=may)
    world.alice = replace(world.alice, inline_policies={"may": policy})
    await world.put(world.alice)

    async def work(store: Transaction) -> None:
        store.put(ACCOUNTS, "", Account(account_id=OTHER, name="a first by name"))
        for one in roles:
            store.put(ROLES, one.account_id, one)

    await world.broker.store.transact(work)


async def names(world: World, **caller: Any) -> list[str]:
    asking = replace(user_caller(world.alice), **caller)
    store = world.broker.store.transaction()
    found = await find_roles(world.portal.tools.call(store, asking, facts()))
    assert found.is_complete
    return [f"{one.account.account_id} {one.role.role_name}" for one in found.roles]


async def test_both_sides_have_to_allow_a_role_of_another_account(world: World) -> None:
    await put_roles(
        world,
        role(OTHER, "trusts-alice", {"AWS": ALICE}),
        role(OTHER, "trusts-the-account", {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}),
        role(OTHER, "trusts-everyone", "*"),
        role(OTHER, "trusts-bob", {"AWS": f"arn:aws:iam::{ACCOUNT}:user/bob"}),
        role(OTHER, "trusts-a-service", {"Service": "ec2.amazonaws.com"}),
        may=f"arn:aws:iam::{OTHER}:role/trusts-*",
    )
    assert await names(world) == [
        f"{OTHER} trusts-alice",
        f"{OTHER} trusts-everyone",
        f"{OTHER} trusts-the-account",
    ]
    await put_roles(world, may=f"arn:aws:iam::{OTHER}:role/nothing")
    assert await names(world) == []


async def test_an_entry_that_is_left_over_shows_no_role(world: World, is_indexed: bool) -> None:
    """The index is a hint: the gate asks what the role's own policy says now."""
    await put_roles(world, role(OTHER, "changed", {"AWS": ALICE}), role(OTHER, "deleted", {"AWS": ALICE}))
    assert await names(world) == [f"{OTHER} changed", f"{OTHER} deleted"]
    transaction = world.broker.store.transaction()
    transaction.put(ROLES, OTHER, role(OTHER, "changed", {"AWS": f"arn:aws:iam::{ACCOUNT}:user/bob"}))
    transaction.delete(ROLES, OTHER, "deleted")
    await transaction.commit()
    assert await names(world) == []
    candidates = await find_candidates(
        world.broker.store.transaction(), trustees_like(user_caller(world.alice)), 10
    )
    assert (candidates is not None and len(candidates.roles) == 2) is is_indexed


async def test_a_policy_that_spells_its_characters_as_escapes_is_found_by_the_index(
    world: World, is_indexed: bool
) -> None:
    plain = role(OTHER, "escaped", {"AWS": ALICE})
    escaped = plain.assume_role_policy.replace(ACCOUNT, "\\u0031" * 12)
    await put_roles(world, replace(plain, assume_role_policy=escaped))
    assert await names(world) == ([f"{OTHER} escaped"] if is_indexed else [])


async def test_roles_of_one_account_are_asked_for(world: World) -> None:
    await put_roles(world, role(ACCOUNT, "near", {"AWS": ALICE}), role(OTHER, "far", {"AWS": ALICE}))
    for account, name in ((ACCOUNT, "near"), (OTHER, "far")):
        store = world.broker.store.transaction()
        call = world.portal.tools.call(store, user_caller(world.alice), facts())
        found = await find_roles(call, account)
        assert [(one.account.account_id, one.role.role_name) for one in found.roles] == [(account, name)]


async def test_a_role_that_wants_a_second_factor_is_there_with_one(world: World) -> None:
    guarded = role(ACCOUNT, "guarded", {"AWS": ALICE}, Bool={"aws:MultiFactorAuthPresent": "true"})
    await put_roles(world, guarded)
    assert await names(world, token_issued_at=int(NOW)) == []
    proven = {"token_issued_at": int(NOW), "mfa_authenticated_at": int(NOW)}
    assert await names(world, **proven) == [f"{ACCOUNT} guarded"]


async def test_a_role_that_wants_an_external_id_is_not_shown(world: World) -> None:
    await put_roles(world, role(OTHER, "vendor", {"AWS": ALICE}, StringEquals={"sts:ExternalId": "x"}))
    assert await names(world) == []


async def test_root_takes_no_roles(world: World) -> None:
    await put_roles(world, role(OTHER, "open", "*"))
    store = world.broker.store.transaction()
    found = await find_roles(world.portal.tools.call(store, root_caller(ACCOUNT), facts()))
    assert (found.roles, found.is_complete) == ((), True)


async def test_what_is_not_looked_at_is_said(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await put_roles(world, *(role(OTHER, f"role-{number}", {"AWS": ALICE}) for number in range(5)))
    for most, is_complete in ((5, True), (4, False)):
        monkeypatch.setattr("broker.own_roles.MOST_ROLES", most)
        store = world.broker.store.transaction()
        found = await find_roles(world.portal.tools.call(store, user_caller(world.alice), facts()))
        assert (len(found.roles), found.is_complete) == (most, is_complete)


async def test_a_session_is_called_as_its_person(world: World) -> None:
    assert session_name_of(user_caller(world.alice)) == "alice"
    assert session_name_of(user_caller(replace(world.alice, user_name="a"))) == "user-a"


async def test_a_refused_role_leaves_the_record_of_its_refusal(world: World) -> None:
    await put_roles(world, role(OTHER, "open", {"AWS": "333333333333"}))
    caller = user_caller(world.alice)

    async def caller_of(store: Transaction) -> Any:
        return caller

    request = assume_role_request(caller, f"arn:aws:iam::{OTHER}:role/open", 900)
    with pytest.raises(Refusal) as refused:
        await perform_recorded(world.portal.tools, facts(service="sts"), caller_of, "AssumeRole", request)
    assert refused.value.code == "AccessDenied"
    (record,) = world.records
    assert (record["eventName"], record["errorCode"]) == ("AssumeRole", "AccessDenied")
    assert record["userIdentity"]["arn"] == ALICE


async def test_without_a_record_there_are_no_credentials(world: World) -> None:
    await put_roles(world, role(OTHER, "open", {"AWS": ALICE}))
    full = World(world.folder, world.broker, Path("/dev/full"))
    caller = user_caller(world.alice)

    async def caller_of(store: Transaction) -> Any:
        return caller

    request = assume_role_request(caller, f"arn:aws:iam::{OTHER}:role/open", 900)
    with pytest.raises(Refusal) as refused:
        await perform_recorded(full.portal.tools, facts(service="sts"), caller_of, "AssumeRole", request)
    assert refused.value.code == "ServiceUnavailable"
    with pytest.raises(JournalUnavailable):  # and nothing more is done until there is room
        await perform_recorded(full.portal.tools, facts(service="sts"), caller_of, "AssumeRole", request)
    full.journal.close()
