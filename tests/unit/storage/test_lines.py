"""Writers of one account wait in line: one at a time, in the order in which they came, and nobody is forgotten."""

import asyncio
import contextlib
import time

import pytest

from broker.storage.lines import Lines
from broker.storage.records import User
from broker.storage.store import USERS, Store, Transaction

HERE, THERE = "111111111111", "222222222222"


def user(name: str, number: int = 0) -> User:
    return User(account_id=HERE, user_name=name, user_id="AIDA" + name, created_at=number)


async def test_writers_of_one_account_begin_in_the_order_in_which_they_came_and_each_once(
    store: Store,
) -> None:
    begun: list[int] = []

    async def write(number: int) -> None:
        async def work(transaction: Transaction) -> None:
            await transaction.take_turn(HERE)
            begun.append(number)
            found = await transaction.find(USERS, HERE, "a") or user("a")
            transaction.put(USERS, HERE, user("a", found.created_at + 1))

        await store.transact(work)

    await asyncio.gather(*map(write, range(20)))
    assert begun == list(range(20))
    found = await store.transaction().find(USERS, HERE, "a")
    assert found is not None
    assert found.created_at == 20
    assert len(store._lines) == 0


async def test_what_was_read_before_the_wait_is_read_again_where_it_may_have_changed(store: Store) -> None:
    attempts = 0

    async def work(transaction: Transaction) -> None:
        nonlocal attempts
        attempts += 1
        found = await transaction.find(USERS, HERE, "a") or user("a")
        await transaction.take_turn(HERE)
        transaction.put(USERS, HERE, user("a", found.created_at + 1))

    await asyncio.gather(*(store.transact(work) for _ in range(10)))
    found = await store.transaction().find(USERS, HERE, "a")
    assert found is not None
    assert found.created_at == 10
    assert attempts == 19, "the first one once, the others again after their wait"


async def test_a_writer_of_another_account_does_not_wait(store: Store) -> None:
    is_held, may_end = asyncio.Event(), asyncio.Event()

    async def hold(transaction: Transaction) -> None:
        await transaction.take_turn(HERE)
        is_held.set()
        await may_end.wait()

    async def write(transaction: Transaction) -> None:
        await transaction.take_turn(THERE)
        transaction.put(USERS, THERE, user("b"))

    holding = asyncio.create_task(store.transact(hold))
    await is_held.wait()
    await asyncio.wait_for(store.transact(write), 5)
    may_end.set()
    await holding


async def test_who_fails_or_is_cancelled_leaves_the_line(store: Store) -> None:
    async def fail(transaction: Transaction) -> None:
        await transaction.take_turn(HERE)
        raise ValueError("no")

    async def stay(transaction: Transaction) -> None:
        await transaction.take_turn(HERE)
        await asyncio.sleep(60)

    with pytest.raises(ValueError, match="no"):
        await store.transact(fail)
    staying, waiting = (asyncio.create_task(store.transact(stay)) for _ in range(2))
    await asyncio.sleep(0.01)
    for task in (waiting, staying):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    with pytest.raises(ValueError, match="no"):
        await asyncio.wait_for(store.transact(fail), 5)
    assert len(store._lines) == 0


async def test_two_processes_with_many_writers_lose_nothing_and_none_waits_for_long(
    store: Store, other: Store
) -> None:
    times: list[float] = []

    async def write(one: Store) -> None:
        async def work(transaction: Transaction) -> None:
            await transaction.take_turn(HERE)
            found = await transaction.find(USERS, HERE, "a") or user("a")
            transaction.put(USERS, HERE, user("a", found.created_at + 1))

        begun = time.monotonic()
        await one.transact(work)
        times.append(time.monotonic() - begun)

    await asyncio.gather(*(write(one) for one in (store, other) for _ in range(40)))
    found = await store.transaction().find(USERS, HERE, "a")
    assert found is not None
    assert found.created_at == 80
    assert max(times) < 5


async def test_a_line_is_one_at_a_time() -> None:
    lines, inside = Lines(), 0

    async def stand(partition: str) -> None:
        nonlocal inside
        line, _ = await lines.enter(partition)
        inside += 1
        await asyncio.sleep(0)
        assert inside == 1
        inside -= 1
        lines.leave(partition, line)

    await asyncio.gather(*(stand("a") for _ in range(10)))
