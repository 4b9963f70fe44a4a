"""Listings of more records than one question may ask for, beside others who write all the time."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from broker.storage import cache, joined_pages
from broker.storage.changes import FEED_LENGTH
from broker.storage.engine import Changes, Conflict, Revision, Write, account_partition
from broker.storage.records import Group
from broker.storage.store import GROUPS, USERS, Store
from tests.unit.storage.people import HERE, user, write

NAMES = [f"user-{number:03}" for number in range(100)]


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousandth of what is asked for otherwise, so that NAMES are too many for one question."""
    monkeypatch.setattr(cache, "_SCAN_PAGE", 5)
    monkeypatch.setattr(cache, "_MOST_AT_ONCE", 40)
    monkeypatch.setattr(joined_pages, "_PAGE", 10)


class BusyEngine:
    """Before each page, `write` is called with how many there were."""

    def __init__(self, inner: Any, write: Callable[[int], Any]) -> None:
        self.inner, self._write = inner, write
        self.pages = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def page(self, *question: Any) -> Any:
        self.pages += 1
        await self._write(self.pages)
        return await self.inner.page(*question)

    async def fetch(self, *question: Any) -> Any:
        if self.pages % 2:  # not always, or nobody would ever catch up
            self.pages += 1
            await self._write(self.pages)
        return await self.inner.fetch(*question)


async def listed(store: Store, write: Callable[[int], Any]) -> list[Any]:
    return await Store(BusyEngine(store.engine, write), time.time).transaction().scan(USERS, HERE)


async def test_a_long_listing_is_read_beside_those_who_write_elsewhere(store: Store, other: Store) -> None:
    await write(store, *map(user, NAMES))

    async def write_elsewhere(number: int) -> None:
        transaction = other.transaction()
        name = f"group-{number}"
        transaction.put(
            GROUPS, HERE, Group(account_id=HERE, group_name=name, group_id=f"AGPA{number}", created_at=1)
        )
        await transaction.commit()

    found = await listed(store, write_elsewhere)
    assert found == [user(name) for name in NAMES]


async def test_a_long_listing_is_one_state_beside_those_who_write_in_it(store: Store, other: Store) -> None:
    """One commit moves the first and the last together, deletes one and adds one: in each state they agree."""
    await write(store, *map(user, NAMES))

    async def write_in_it(number: int) -> None:
        transaction = other.transaction()
        for name in (NAMES[0], NAMES[-1]):
            transaction.put(USERS, HERE, user(name, created_at=number))
        transaction.delete(USERS, HERE, NAMES[number])
        transaction.put(USERS, HERE, user(f"user-{number:03}-added", created_at=number))
        await transaction.commit()

    found = await listed(store, write_in_it)
    numbers = {one.created_at for one in found if one.user_name in (NAMES[0], NAMES[-1])}
    assert len(numbers) == 1
    (last,) = numbers
    deleted = set(NAMES[1 : last + 1])
    added = [f"user-{number:03}-added" for number in range(1, last + 1)]
    assert last > 10
    assert [one.user_name for one in found] == sorted([*(set(NAMES) - deleted), *added])


async def test_what_was_read_before_a_long_listing_belongs_to_the_same_state(
    store: Store, other: Store
) -> None:
    await write(store, user("bob"), *map(user, NAMES))
    reader = Store(BusyEngine(store.engine, lambda number: write_bob(other, number)), time.time).transaction()
    assert await reader.find(USERS, HERE, "bob") == user("bob")
    with pytest.raises(Conflict):
        await reader.scan(USERS, HERE, "user-")


async def test_nothing_more_is_read_of_a_long_listing_when_what_was_read_before_it_has_changed(
    store: Store, other: Store
) -> None:
    await write(store, user("bob"), *map(user, NAMES))
    asked: list[int] = []

    class Noting(BusyEngine):
        async def page(self, partition: str, prefix: str, after: str, limit: int) -> Any:
            asked.append(limit)
            return await super().page(partition, prefix, after, limit)

    async def write_something(number: int) -> None:
        if asked[-1] == joined_pages._PAGE:
            await write_bob(other, number)
        else:
            await other.engine.commit(account_partition(HERE), [Write("other", b"")], None)

    reader = Store(Noting(store.engine, write_something), time.time).transaction()
    assert await reader.find(USERS, HERE, "bob") == user("bob")
    with pytest.raises(Conflict):
        await reader.scan(USERS, HERE, "user-")
    assert asked[-1] == joined_pages._PAGE


async def write_bob(store: Store, number: int) -> None:
    await write(store, user("bob", created_at=number))


async def test_a_long_listing_that_the_feed_does_not_prove_is_refused(store: Store, other: Store) -> None:
    await write(store, *map(user, NAMES))

    class EndedFeed(BusyEngine):
        async def changes(self, partition: str, since: Revision) -> Changes | None:
            return None

    reader = Store(EndedFeed(store.engine, lambda number: write_bob(other, number)), time.time).transaction()
    with pytest.raises(Conflict):
        await reader.scan(USERS, HERE)


async def test_others_may_commit_more_often_than_the_feed_is_long(store: Store, other: Store) -> None:
    await write(store, *map(user, NAMES))

    async def write_often(number: int) -> None:
        for _ in range(FEED_LENGTH // 4):
            await other.engine.commit(account_partition(HERE), [Write("other", b"")], None)

    assert await listed(store, write_often) == [user(name) for name in NAMES]
