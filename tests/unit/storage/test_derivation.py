"""What is derived from records is always what a full count of them makes: the law of `broker/storage/derivation.py`."""

import os
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker.names.arn import AWS_ACCOUNT, iam_arn
from broker.names.secret import SecretKey
from broker.storage.collection import Collection
from broker.storage.collections import (
    COUNTS,
    DERIVED,
    GROUPS,
    INSTANCE_PROFILES,
    MFA_DEVICES,
    POLICIES,
    POLICY_USES,
    REFERENCES,
    ROLES,
    USERS,
)
from broker.storage.derived_records import PolicyUse, policy_key
from broker.storage.engine import Conflict, Write, account_partition
from broker.storage.records import (
    Group,
    InstanceProfile,
    ManagedPolicy,
    PolicyVersion,
    Role,
    User,
    VirtualMfaDevice,
)
from broker.storage.sqlite import SqliteEngine
from broker.storage.store import Store, Transaction

HERE = "111111111111"
NAMES = ["a", "A", "b", "a-b", "c"]
ARNS = [
    iam_arn(HERE, "policy/own"),
    iam_arn(HERE, "policy/path/Other"),
    iam_arn(AWS_ACCOUNT, "policy/ReadOnlyAccess"),
]

names = st.sampled_from(NAMES)
arns = st.lists(st.sampled_from(ARNS), unique=True, max_size=3).map(tuple)
boundaries = st.none() | st.sampled_from(ARNS)
groups = st.lists(st.sampled_from(["one", "two"]), unique=True).map(tuple)


def user(name: str, attached: Any, boundary: Any, member: Any) -> User:
    return User(
        account_id=HERE,
        user_name=name,
        user_id="AIDA" + name,
        created_at=1,
        attached_policies=attached,
        permissions_boundary=boundary,
        groups=member,
    )


def role(name: str, attached: Any, boundary: Any) -> Role:
    return Role(
        account_id=HERE,
        role_name=name,
        role_id="AROA" + name,
        created_at=1,
        assume_role_policy="{}",
        attached_policies=attached,
        permissions_boundary=boundary,
    )


def group(name: str, attached: Any) -> Group:
    return Group(
        account_id=HERE, group_name=name, group_id="AGPA" + name, created_at=1, attached_policies=attached
    )


def policy(name: str, versions: int) -> ManagedPolicy:
    made = tuple(
        PolicyVersion(version_id=f"v{number}", document="{}", created_at=1) for number in range(versions)
    )
    return ManagedPolicy(
        account_id=HERE, policy_name=name, policy_id="ANPA", versions=made, created_at=1, updated_at=1
    )


def profile(name: str, roles: Any) -> InstanceProfile:
    return InstanceProfile(
        account_id=HERE,
        instance_profile_name=name,
        instance_profile_id="AIPA" + name,
        created_at=1,
        role_names=roles,
    )


def device(name: str, enabled_at: int | None) -> VirtualMfaDevice:
    return VirtualMfaDevice(
        account_id=HERE,
        serial_number=iam_arn(HERE, f"mfa/{name}"),
        device_name=name,
        seed=SecretKey("seed"),
        enabled_at=enabled_at,
        created_at=1,
    )


puts = st.one_of(
    st.tuples(st.just(USERS), st.builds(user, names, arns, boundaries, groups)),
    st.tuples(st.just(ROLES), st.builds(role, names, arns, boundaries)),
    st.tuples(st.just(GROUPS), st.builds(group, names, arns)),
    st.tuples(st.just(POLICIES), st.builds(policy, names, st.integers(1, 5))),
    st.tuples(st.just(INSTANCE_PROFILES), st.builds(profile, names, st.lists(names, max_size=1).map(tuple))),
    st.tuples(st.just(MFA_DEVICES), st.builds(device, names, st.none() | st.just(1))),
)
deletions = st.tuples(
    st.sampled_from([USERS, ROLES, GROUPS, POLICIES, INSTANCE_PROFILES, MFA_DEVICES]), names
)
# A write, or a read of something derived in the middle of a transaction.
steps = st.one_of(puts, deletions, st.just(None))
histories = st.lists(st.lists(steps, min_size=1, max_size=8), max_size=6)


async def perform(transaction: Transaction, step: Any) -> None:
    if step is None:
        await transaction.scan(REFERENCES, HERE)
    elif isinstance(step[1], str):
        transaction.delete(step[0], HERE, step[1])
    else:
        transaction.put(step[0], HERE, step[1])


async def derived(transaction: Transaction) -> dict[Collection[Any], list[Any]]:
    return {one: await transaction.scan(one, HERE) for one in DERIVED}


@given(histories, st.booleans())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_what_is_derived_is_what_a_full_count_makes_at_every_moment(
    tmp_path_factory: pytest.TempPathFactory, history: list[list[Any]], is_reopened: bool
) -> None:
    engine = SqliteEngine(tmp_path_factory.mktemp("store") / "store.db", time.time, os.urandom)
    store = Store(engine, time.time)
    try:
        for steps_ in history:
            if is_reopened:
                store = Store(engine, time.time)
            transaction = store.transaction()
            for step in steps_:
                await perform(transaction, step)
            before = await derived(transaction)
            assert await transaction.recount(HERE) == [], "own writes are counted"
            assert await derived(transaction) == before
            await transaction.commit()
            assert await store.transaction().recount(HERE) == []
    finally:
        await engine.close()


async def write_as_an_early_version(store: Store, *records: tuple[Collection[Any], Any]) -> None:
    writes = [Write(one.stored_key(one.key_of(record)), one.encode(record)) for one, record in records]
    await store.engine.commit(account_partition(HERE), writes, None)


async def test_an_account_of_an_early_version_is_counted_with_the_first_write_that_counts(
    store: Store,
) -> None:
    await write_as_an_early_version(
        store, (USERS, user("a", (ARNS[0],), None, ("one",))), (GROUPS, group("one", ()))
    )
    transaction = store.transaction()
    transaction.put(USERS, HERE, user("b", (ARNS[0],), ARNS[2], ()))
    await transaction.commit()
    reader = store.transaction()
    counts = await reader.find(COUNTS, HERE)
    assert counts is not None
    assert counts.counts == {"group": 1, "user": 2}
    assert not reader.is_dirty
    assert await reader.scan(POLICY_USES, HERE) == [
        PolicyUse(arn=ARNS[0], attachments=2),
        PolicyUse(arn=ARNS[2], boundaries=1),
    ]


async def test_an_account_of_an_early_version_is_counted_when_a_count_is_first_read(store: Store) -> None:
    await write_as_an_early_version(store, (USERS, user("a", (), None, ())), (ROLES, role("r", (), None)))
    transaction = store.transaction()
    counts = await transaction.find(COUNTS, HERE)
    assert counts is not None
    assert counts.counts == {"role": 1, "user": 1}
    assert transaction.is_dirty, "it is written with the request that needed it"
    await transaction.commit()
    assert await store.engine.get(account_partition(HERE), "counts/") is not None


async def test_many_counts_are_found_with_own_writes_and_of_an_early_version(store: Store) -> None:
    await write_as_an_early_version(store, (USERS, user("a", (ARNS[0],), None, ())))
    transaction = store.transaction()
    transaction.put(USERS, HERE, user("b", (ARNS[0], ARNS[1]), None, ()))
    keys = [policy_key(arn) for arn in ARNS]
    found = await transaction.find_all(POLICY_USES, HERE, keys)
    assert found[:2] == [PolicyUse(arn=ARNS[0], attachments=2), PolicyUse(arn=ARNS[1], attachments=1)]
    assert found == [await transaction.find(POLICY_USES, HERE, key) for key in keys]


async def test_a_write_that_changes_no_count_reads_none(store: Store) -> None:
    await write_as_an_early_version(store, (USERS, user("a", (), None, ())))
    transaction = store.transaction()
    transaction.put(USERS, HERE, user("a", (), None, ()))
    await transaction.commit()
    assert await store.engine.get(account_partition(HERE), "counts/") is None


async def test_a_count_that_others_have_changed_is_a_conflict(store: Store, other: Store) -> None:
    first, second = store.transaction(), other.transaction()
    first.put(USERS, HERE, user("a", (), None, ()))
    second.put(USERS, HERE, user("b", (), None, ()))
    assert await first.find(COUNTS, HERE)
    await second.commit()
    with pytest.raises(Conflict):
        await first.commit()
    assert await store.transaction().recount(HERE) == []


async def test_wrong_counts_are_found_and_corrected(store: Store) -> None:
    transaction = store.transaction()
    transaction.put(USERS, HERE, user("a", (ARNS[0],), None, ("one",)))
    await transaction.commit()
    damaged = [
        Write("counts/", None),
        Write(f"policy-use/{HERE}/own", POLICY_USES.encode(PolicyUse(arn=ARNS[0], attachments=9))),
        Write(f"policy-use/{HERE}/gone", POLICY_USES.encode(PolicyUse(arn=iam_arn(HERE, "policy/gone")))),
        Write("reference/group/one user/a", None),
    ]
    await store.engine.commit(account_partition(HERE), damaged, None)
    transaction = store.transaction()
    assert set(await transaction.recount(HERE)) == {write.key for write in damaged}
    await transaction.commit()
    reader = store.transaction()
    assert await reader.recount(HERE) == []
    assert await reader.scan(POLICY_USES, HERE) == [PolicyUse(arn=ARNS[0], attachments=1)]


async def test_references_are_in_order_of_the_names_that_they_name(store: Store) -> None:
    transaction = store.transaction()
    for number, name in enumerate(["a", "a-b", "a.b", "ab", "a+b"]):
        transaction.put(INSTANCE_PROFILES, HERE, profile(f"p{number}", (name,)))
    await transaction.commit()
    found = await store.transaction().scan(REFERENCES, HERE, "role/")
    assert [one.target for one in found] == [
        f"role/{name}" for name in sorted(["a", "a-b", "a.b", "ab", "a+b"])
    ]
