"""Hints: where something may be found. They are written before it and deleted after it, whatever comes in between."""

from collections.abc import Callable
from typing import Any

import pytest

from broker.storage.engine import (
    Conflict,
    EngineUnavailable,
    OutcomeUnknown,
    Revision,
    account_partition,
    trusting_partition,
)
from broker.storage.role_index_records import TrustingRole
from broker.storage.store import TRUSTING_ROLES, USERS, Store, Transaction
from tests.unit.storage.people import HERE, THERE, user

OLD, NEW = (TrustingRole(account_id=HERE, role_name=name) for name in ("old", "new"))
OWN, OTHERS = account_partition(HERE), trusting_partition(THERE)


async def change(store: Store) -> None:
    """A user is written, one hint replaced by another in one partition of hints."""

    async def work(transaction: Transaction) -> None:
        transaction.put(USERS, HERE, user("bob"))
        transaction.put(TRUSTING_ROLES, THERE, NEW, key="new")
        transaction.delete(TRUSTING_ROLES, THERE, "old")

    await store.transact(work)


async def put_old(store: Store) -> None:
    transaction = store.transaction()
    transaction.put(TRUSTING_ROLES, THERE, OLD, key="old")
    await transaction.commit()


async def hints(store: Store) -> list[TrustingRole]:
    return await store.transaction().scan(TRUSTING_ROLES, THERE)


@pytest.fixture
def commits(store: Store, monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Exception], list[str]]:
    """From now on the commit with this number fails; the partitions that were to be committed."""
    commit = store.engine.commit

    def fail_at(number: int, error: Exception) -> list[str]:
        order: list[str] = []

        async def record_and_commit(partition: str, *arguments: Any) -> Revision:
            order.append(partition)
            if len(order) == number:
                raise error
            return await commit(partition, *arguments)

        monkeypatch.setattr(store.engine, "commit", record_and_commit)
        return order

    return fail_at


async def test_hints_are_written_before_and_deleted_after_their_record(
    store: Store, commits: Callable[[int, Exception], list[str]]
) -> None:
    await put_old(store)
    order = commits(0, EngineUnavailable())
    await change(store)
    assert order == [OTHERS, OWN, OTHERS]
    assert await hints(store) == [NEW]


async def test_what_fails_after_its_hints_has_failed(
    store: Store, commits: Callable[[int, Exception], list[str]]
) -> None:
    await put_old(store)
    commits(2, EngineUnavailable("gone"))
    with pytest.raises(EngineUnavailable) as refused:
        await change(store)
    assert not isinstance(refused.value, OutcomeUnknown)
    assert await hints(store) == [NEW, OLD], "one too many, and none too few"


@pytest.mark.parametrize("error", [EngineUnavailable("gone"), OutcomeUnknown("perhaps"), Conflict("moved")])
async def test_what_leaves_a_hint_too_many_has_succeeded(
    store: Store, commits: Callable[[int, Exception], list[str]], error: Exception
) -> None:
    await put_old(store)
    commits(3, error)
    await change(store)
    assert await store.transaction().find(USERS, HERE, "bob") == user("bob")
    assert NEW in await hints(store)


async def test_a_transaction_sees_its_own_hints(store: Store) -> None:
    await put_old(store)
    transaction = store.transaction()
    transaction.put(TRUSTING_ROLES, THERE, NEW, key="new")
    transaction.delete(TRUSTING_ROLES, THERE, "old")
    assert await transaction.scan(TRUSTING_ROLES, THERE) == [NEW]
    assert await transaction.find(TRUSTING_ROLES, THERE, "old") is None
    await transaction.commit()
    assert await hints(store) == [NEW]


async def test_others_who_write_hints_of_the_same_partition_are_no_conflict(
    store: Store, other: Store
) -> None:
    transaction = store.transaction()
    assert await transaction.find(USERS, HERE, "bob") is None
    transaction.put(USERS, HERE, user("bob"))
    transaction.put(TRUSTING_ROLES, THERE, NEW, key="new")
    await put_old(other)
    await transaction.commit()
    assert await hints(other) == [NEW, OLD]
