"""Commits that depend on what was read in partitions to which they do not write."""

from typing import Any

import pytest

from broker.storage.engine import Conflict, Revision, account_partition
from broker.storage.records import User
from broker.storage.store import FOREIGN_ACCESS_KEYS, USERS, Store, Transaction
from tests.unit.storage.people import HERE, THERE, user, write


async def write_there(store: Store, one: User) -> None:
    """A write by another request, in the other account."""
    transaction = store.transaction()
    transaction.put(USERS, THERE, one)
    await transaction.commit()


async def writer(store: Store, *, is_required: bool = True) -> Transaction:
    """It has read bob in another account than it will write to."""
    transaction = store.transaction()
    await transaction.find(USERS, THERE, "bob")
    if is_required:
        transaction.require_unchanged()
    assert await transaction.find(USERS, HERE, "alice") is None
    transaction.put(USERS, HERE, user("alice"))
    return transaction


@pytest.fixture
async def bob(store: Store) -> None:
    await write_there(store, user("bob"))


@pytest.mark.usefixtures("bob")
async def test_what_was_read_elsewhere_and_is_required_must_not_have_changed(
    store: Store, other: Store
) -> None:
    transaction = await writer(store)
    await write_there(other, user("bob", path="/moved/"))
    with pytest.raises(Conflict, match=account_partition(THERE)):
        await transaction.commit()
    assert await store.transaction().find(USERS, HERE, "alice") is None


@pytest.mark.usefixtures("bob")
async def test_it_may_have_changed_where_it_is_not_required(store: Store, other: Store) -> None:
    transaction = await writer(store, is_required=False)
    await write_there(other, user("bob", path="/moved/"))
    await transaction.commit()
    assert await store.transaction().find(USERS, HERE, "alice")


async def test_what_was_absent_elsewhere_and_is_required_must_not_appear(store: Store, other: Store) -> None:
    transaction = await writer(store)
    await write_there(other, user("bob"))
    with pytest.raises(Conflict):
        await transaction.commit()


@pytest.mark.usefixtures("bob")
async def test_a_change_beside_what_is_required_is_no_conflict(store: Store, other: Store) -> None:
    transaction = await writer(store)
    await write_there(other, user("eve"))
    await transaction.commit()
    assert await store.transaction().find(USERS, HERE, "alice")


@pytest.mark.usefixtures("bob")
async def test_what_is_required_is_looked_at_again_where_another_commit_was_faster(
    store: Store, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The account changes beside what was read there, and bob before the commit is tried again."""
    commit, is_first = store.engine.commit, iter([True])

    async def be_slower(*arguments: Any) -> Revision:
        if next(is_first, False):
            await write(other, user("eve"))
            await write_there(other, user("bob", path="/moved/"))
        return await commit(*arguments)

    transaction = await writer(store)
    monkeypatch.setattr(store.engine, "commit", be_slower)
    with pytest.raises(Conflict, match=account_partition(THERE)):
        await transaction.commit()
    assert await store.transaction().find(USERS, HERE, "alice") is None


@pytest.mark.usefixtures("bob")
async def test_what_is_required_and_written_too_is_no_conflict_of_its_own(store: Store) -> None:
    transaction = await writer(store)
    transaction.put(USERS, THERE, user("bob", path="/moved/"))
    await transaction.commit()
    moved = await store.transaction().find(USERS, THERE, "bob")
    assert moved is not None
    assert moved.path == "/moved/"


@pytest.mark.usefixtures("bob")
async def test_a_change_once_the_account_is_committed_leaves_nothing_half_done(
    store: Store, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The account and a pointer are deleted one after the other: what follows the account is not kept back."""
    commit, order = store.engine.commit, []

    async def change_after_the_first(partition: str, *arguments: Any) -> Revision:
        revision = await commit(partition, *arguments)
        order.append(partition)
        if len(order) == 1:
            await write_there(other, user("bob", path="/moved/"))
        return revision

    transaction = await writer(store)
    transaction.delete(FOREIGN_ACCESS_KEYS, "", "MINE")
    monkeypatch.setattr(store.engine, "commit", change_after_the_first)
    await transaction.commit()
    assert order == [account_partition(HERE), "global"]
