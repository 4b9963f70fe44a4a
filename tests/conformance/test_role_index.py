"""The index of trust policies, on every engine: after whatever was done, it finds the roles that a scan would find."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random
from typing import Any

import msgspec
import pytest

from broker.access.caller import Caller, root_caller, user_caller
from broker.access.role_index import LAYOUT, find_candidates, trustees_like, trustees_of
from broker.access.role_index_upkeep import index_missing_roles
from broker.errors import Refusal
from broker.protocol.shapes import iam as shapes
from broker.storage.engine import Engine, EngineUnavailable, Revision, account_partition
from broker.storage.records import Account, Role, User
from broker.storage.role_index_records import RoleIndex
from broker.storage.store import (
    ACCOUNTS,
    INDEXED_ACCOUNTS,
    ROLE_INDEX,
    ROLES,
    TRUSTING_ROLES,
    USERS,
    Store,
    Transaction,
)
from tests.unit.iam.conftest import Iam

ACCOUNTS_HERE = ("111111111111", "222222222222", "333333333333")
ELSEWHERE = "999999999999"
USERS_HERE = [
    User(account_id=account, user_name=name, user_id=f"AIDA{name.upper()}{account}X", created_at=0)
    for account in ACCOUNTS_HERE
    for name in ("alice", "bobby")
]
PRINCIPALS = [
    *({"AWS": user.arn} for user in USERS_HERE),
    *({"AWS": account} for account in (*ACCOUNTS_HERE, ELSEWHERE)),
    *({"AWS": [f"arn:aws:iam::{account}:root", USERS_HERE[0].arn]} for account in ACCOUNTS_HERE),
    {"AWS": f"arn:aws:iam::{ELSEWHERE}:user/who"},
    {"Federated": f"arn:aws:iam::{ACCOUNTS_HERE[0]}:saml-provider/idp"},
    {"Service": "ec2.amazonaws.com"},
    "*",
]
ROLE_NAMES = ("app", "Deploy", "read")


def trusting(principal: Any) -> str:
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


async def fill(store: Store, *roles: Role) -> None:
    """Accounts and users; and `roles` as an earlier version wrote them, which had no index."""

    async def work(transaction: Transaction) -> None:
        for account in ACCOUNTS_HERE:
            transaction.put(ACCOUNTS, "", Account(account_id=account))
        for user in USERS_HERE:
            transaction.put(USERS, user.account_id, user)
        for role in roles:
            transaction.put(ROLES, role.account_id, role)

    await store.transact(work)


def unindexed_roles() -> list[Role]:
    return [
        Role(
            account_id=account,
            role_name=f"{name}-{number}",
            role_id=f"AROA{number:04}{name.upper():X<9}{account[:4]}",
            created_at=0,
            assume_role_policy=trusting(principal),
        )
        for account in ACCOUNTS_HERE
        for name in ROLE_NAMES
        for number, principal in enumerate(PRINCIPALS)
    ]


async def all_roles(store: Store) -> list[Role]:
    reader = store.transaction()
    return [role for account in ACCOUNTS_HERE for role in await reader.scan(ROLES, account)]


async def scanned(store: Store, caller: Caller) -> set[tuple[str, str]]:
    """What a look at every role finds."""
    names = set(trustees_like(caller))
    found = [role for role in await all_roles(store) if not trustees_of(role).isdisjoint(names)]
    return {(role.account_id, role.role_name) for role in found}


async def indexed(store: Store, caller: Caller) -> set[tuple[str, str]]:
    candidates = await find_candidates(store.transaction(), trustees_like(caller), 10_000)
    assert candidates is not None and candidates.is_complete
    found = [(one.account_id, one.role_name) for one in candidates.roles]
    assert len(found) == len(set(found)), "each role once"
    return set(found)


async def entries(store: Store) -> list[str]:
    """All keys of the index."""
    partitions = await store.engine.partitions("trusting/")
    return [key for one in partitions for key, _ in await store.engine.scan(one, TRUSTING_ROLES.prefix)]


async def act(iam: Iam, random: Random) -> None:
    """Something that an administrator does to a role; that may be refused."""
    account, name = random.choice(ACCOUNTS_HERE), random.choice(ROLE_NAMES)
    document = trusting(random.choice(PRINCIPALS))
    request = random.choice(
        (
            shapes.CreateRoleRequest(role_name=name, assume_role_policy_document=document),
            shapes.UpdateAssumeRolePolicyRequest(role_name=name, policy_document=document),
            shapes.UpdateAssumeRolePolicyRequest(role_name=name.upper(), policy_document=document),
            shapes.DeleteRoleRequest(role_name=name),
            shapes.UpdateRoleDescriptionRequest(role_name=name, description="changed"),
        )
    )
    with suppress(Refusal):
        await iam(request, caller=root_caller(account))


@pytest.mark.parametrize("seed", range(4))
async def test_after_whatever_was_done_the_index_is_what_a_scan_finds(
    open_engine: Callable[[], Engine], seed: int
) -> None:
    random, workers = Random(seed), [Iam(Store(open_engine(), time.time)) for _ in range(2)]
    await fill(workers[0].store)
    await index_missing_roles(workers[0].store, 0)
    for _ in range(60):
        await act(random.choice(workers), random)
    store = workers[0].store
    roles = await all_roles(store)
    assert len(await entries(store)) == sum(len(trustees_of(role)) for role in roles), "no entry is left over"
    for user in USERS_HERE:
        assert await indexed(store, user_caller(user)) == await scanned(store, user_caller(user))
    assert await index_missing_roles(store, 0) == 0


@pytest.mark.parametrize("seed", range(3))
async def test_wherever_processes_are_killed_no_role_is_missing(
    open_engine: Callable[[], Engine], monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    random, iam = Random(seed), Iam(Store(open_engine(), time.time))
    await fill(iam.store)
    await index_missing_roles(iam.store, 0)
    commit = iam.store.engine.commit

    async def sometimes(*arguments: Any) -> Revision:
        if random.random() < 0.3:
            raise EngineUnavailable("killed")
        return await commit(*arguments)

    monkeypatch.setattr(iam.store.engine, "commit", sometimes)
    for _ in range(80):
        with suppress(EngineUnavailable):
            await act(iam, random)
    monkeypatch.undo()
    for user in USERS_HERE:
        assert await indexed(iam.store, user_caller(user)) >= await scanned(iam.store, user_caller(user))
    assert await index_missing_roles(iam.store, 0) == 0


@pytest.mark.parametrize("is_deleted", [False, True], ids=["changed", "deleted"])
async def test_a_change_that_overtakes_another_keeps_its_entry(
    open_engine: Callable[[], Engine], monkeypatch: pytest.MonkeyPatch, is_deleted: bool
) -> None:
    """Of two workers the first has committed a role that trusts alice no more, and not yet deleted alice's entry."""
    first, second = (Iam(Store(open_engine(), time.time)) for _ in range(2))
    account, alice, bobby = ACCOUNTS_HERE[1], *USERS_HERE[:2]
    await fill(first.store)
    await index_missing_roles(first.store, 0)

    async def trust(iam: Iam, user: User, *, is_new: bool = False) -> None:
        create, update = shapes.CreateRoleRequest, shapes.UpdateAssumeRolePolicyRequest
        document = trusting({"AWS": user.arn})
        if is_new:
            await iam(create(role_name="app", assume_role_policy_document=document), caller=root)
        else:
            await iam(update(role_name="app", policy_document=document), caller=root)

    root = root_caller(account)
    await trust(first, alice, is_new=True)
    commit, committed = first.store.engine.commit, list[str]()

    async def overtaken(partition: str, *arguments: Any) -> Revision:
        if committed and committed[-1] == account_partition(account):
            committed.append("the second one's")
            await trust(second, alice, is_new=is_deleted)
        committed.append(partition)
        return await commit(partition, *arguments)

    monkeypatch.setattr(first.store.engine, "commit", overtaken)
    if is_deleted:
        await first(shapes.DeleteRoleRequest(role_name="app"), caller=root)
    else:
        await trust(first, bobby)
    assert "the second one's" in committed
    assert await indexed(first.store, user_caller(alice)) == {(account, "app")}


async def test_a_store_of_an_earlier_version_is_indexed_while_it_is_changed(
    open_engine: Callable[[], Engine],
) -> None:
    random, iam = Random(7), Iam(Store(open_engine(), time.time))
    await fill(iam.store, *unindexed_roles())
    alice = user_caller(USERS_HERE[0])
    assert await find_candidates(iam.store.transaction(), trustees_like(alice), 10) is None

    async def change() -> None:
        for _ in range(30):
            await act(iam, random)

    await asyncio.gather(index_missing_roles(iam.store, 0), change())
    for user in USERS_HERE:
        assert await indexed(iam.store, user_caller(user)) >= await scanned(iam.store, user_caller(user))
    assert await indexed(iam.store, alice)


async def test_a_pass_that_was_ended_goes_on_where_it_was(
    open_engine: Callable[[], Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, alice = Store(open_engine(), time.time), user_caller(USERS_HERE[0])
    await fill(store, *unindexed_roles())
    commit, partitions = store.engine.commit, list[str]()

    async def record_and_commit(partition: str, *arguments: Any) -> Revision:
        partitions.append(partition)
        if partitions.count("role-index") == 2:
            raise EngineUnavailable("killed")
        return await commit(partition, *arguments)

    monkeypatch.setattr(store.engine, "commit", record_and_commit)
    with pytest.raises(EngineUnavailable):
        await index_missing_roles(store, 0)
    monkeypatch.undo()
    assert await find_candidates(store.transaction(), trustees_like(alice), 10) is None, (
        "half an index is not used"
    )
    known = await store.transaction().scan(INDEXED_ACCOUNTS, "")
    assert [one.account_id for one in known] == list(ACCOUNTS_HERE[:1])
    await index_missing_roles(store, 0)
    assert await indexed(store, alice) == await scanned(store, alice)


async def test_what_an_earlier_version_writes_beside_this_one_is_found_by_the_next_pass(
    open_engine: Callable[[], Engine],
) -> None:
    store, alice = Store(open_engine(), time.time), user_caller(USERS_HERE[0])
    first, *others = unindexed_roles()
    await fill(store, *others)
    await index_missing_roles(store, 0)
    await fill(store, first)
    assert (first.account_id, first.role_name) not in await indexed(store, alice)
    assert await index_missing_roles(store, 0) == 1
    assert await indexed(store, alice) == await scanned(store, alice)


async def test_a_pass_looks_at_the_accounts_that_have_changed(
    open_engine: Callable[[], Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(open_engine(), time.time)
    await fill(store, *unindexed_roles())
    await index_missing_roles(store, 0)
    looked_at = set[str]()

    def record(read: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        def recorded(partition: str, *arguments: Any) -> Awaitable[Any]:
            looked_at.add(partition)
            return read(partition, *arguments)

        return recorded

    for name in ("scan", "page"):
        monkeypatch.setattr(store.engine, name, record(getattr(store.engine, name)))
    await index_missing_roles(store, 0)
    assert looked_at == {"role-index"}
    changed = msgspec.structs.replace(unindexed_roles()[0], description="changed")
    transaction = store.transaction()
    transaction.put(ROLES, changed.account_id, changed)
    await transaction.commit()
    await index_missing_roles(store, 0)
    assert looked_at == {"role-index", account_partition(changed.account_id)}


async def test_an_index_of_another_layout_is_not_used_and_made_anew(
    open_engine: Callable[[], Engine],
) -> None:
    store, alice = Store(open_engine(), time.time), user_caller(USERS_HERE[0])
    await fill(store, *unindexed_roles())
    await index_missing_roles(store, 0)
    wanted, of_today = await indexed(store, alice), await store.transaction().scan(INDEXED_ACCOUNTS, "")
    transaction = store.transaction()
    transaction.put(ROLE_INDEX, "", RoleIndex(complete_since=0, layout=LAYOUT - 1))
    for one in of_today:
        older = msgspec.structs.replace(one, layout=LAYOUT - 1)
        transaction.put(INDEXED_ACCOUNTS, "", older, expires_at=time.time() + 1000)
    for owner in ACCOUNTS_HERE:
        for key in await entries(store):
            transaction.delete(TRUSTING_ROLES, owner, key.removeprefix(TRUSTING_ROLES.prefix))
    await transaction.commit()
    assert await find_candidates(store.transaction(), trustees_like(alice), 10) is None
    await index_missing_roles(store, 0)
    assert await indexed(store, alice) == wanted
    assert await store.transaction().scan(INDEXED_ACCOUNTS, "") == of_today


async def test_what_is_found_is_bounded_and_says_so_or_is_of_one_account(
    open_engine: Callable[[], Engine],
) -> None:
    store, alice = Store(open_engine(), time.time), user_caller(USERS_HERE[0])
    await fill(store, *unindexed_roles())
    await index_missing_roles(store, 0)
    every = await scanned(store, alice)
    for limit, is_complete in ((len(every), True), (len(every) - 1, False), (1, False)):
        found = await find_candidates(store.transaction(), trustees_like(alice), limit)
        assert found is not None
        assert (len(found.roles), found.is_complete) == (min(limit, len(every)), is_complete)
    for account in ACCOUNTS_HERE:
        of_one = await find_candidates(store.transaction(), trustees_like(alice), 1000, account)
        assert of_one is not None and of_one.is_complete
        own = {(one.account_id, one.role_name) for one in of_one.roles}
        assert own == {(owner, name) for owner, name in every if owner == account}
