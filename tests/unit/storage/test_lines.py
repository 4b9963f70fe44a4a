"""Writers of one account wait in line: one at a time, in the order in which they came, and nobody is forgotten."""

import asyncio
import contextlib
import time
from collections.abc import Sequence

import pytest

from broker.cache import Cache
from broker.errors import Refusal
from broker.storage import lines
from broker.storage.engine import Conflict, EngineUnavailable, Revision, Write
from broker.storage.lines import Batch, Lines
from broker.storage.records import Account, User
from broker.storage.store import ACCOUNTS, COUNTS, USERS, Store, Transaction

HERE, THERE = "111111111111", "222222222222"


@pytest.fixture(autouse=True)
def batches_are_never_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a busy machine decides which calls are committed together."""
    monkeypatch.setattr(lines, "_BATCH_SECONDS", 60.0)


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


async def test_of_two_processes_no_write_is_lost_where_calls_read_what_others_write_and_what_they_do_not(
    store: Store, other: Store
) -> None:
    """Each adds one to a pair of users, which are always equal, and half of them to the largest of all pairs."""
    pairs = ("a", "b", "c", "d")
    await put(store, *(user(pair + name) for pair in pairs for name in "12"))

    async def numbers(transaction: Transaction, pair: str) -> list[int]:
        found = await transaction.find_all(USERS, HERE, [pair + "1", pair + "2"])
        return [one.created_at for one in found if one]

    async def write(one: Store, call: int) -> None:
        async def work(transaction: Transaction) -> None:
            await transaction.take_turn(HERE)
            chosen = pairs[call % len(pairs)]
            if call % 2:
                chosen = max([(await numbers(transaction, pair), pair) for pair in pairs])[1]
            first, second = await numbers(transaction, chosen)
            assert first == second
            await asyncio.sleep(0)
            for name in "12":
                transaction.put(USERS, HERE, user(chosen + name, first + 1))
            if call % 5 == 4:
                raise Refusal("LimitExceeded", f"{chosen} has {first}")

        await one.transact(work)

    calls = [write(one, call) for call in range(50) for one in (store, other)]
    refused = [one for one in await asyncio.gather(*calls, return_exceptions=True) if one is not None]
    assert [type(one) for one in refused] == [Refusal] * 20
    reader = other.transaction()
    counted = [await numbers(reader, pair) for pair in pairs]
    assert sum(first for first, _ in counted) == 80
    assert all(first == second for first, second in counted)


async def test_a_line_is_one_at_a_time() -> None:
    async def write(partition: str, batch: Batch) -> None:
        raise AssertionError("nobody leaves anything to write")

    here, inside = Lines(write), 0

    async def stand(partition: str) -> None:
        nonlocal inside
        line, _ = await here.enter(partition)
        inside += 1
        await asyncio.sleep(0)
        assert inside == 1
        inside -= 1
        here.leave(partition, line, 0.0)

    await asyncio.gather(*(stand("a") for _ in range(10)))


async def test_those_who_wait_are_committed_together_and_each_reads_what_those_before_write(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = count_commits(store, monkeypatch)

    async def write(number: int) -> list[str]:
        async def work(transaction: Transaction) -> list[str]:
            await transaction.take_turn(HERE)
            await asyncio.sleep(0)  # the others come meanwhile
            before = [one.user_name for one in await transaction.scan(USERS, HERE)]
            assert [await transaction.find(USERS, HERE, name) for name in before] == [
                user(name, int(name)) for name in before
            ]
            transaction.put(USERS, HERE, user(f"{number:02}", number))
            return before

        return await store.transact(work)

    seen = await asyncio.gather(*map(write, range(20)))
    assert seen == [[f"{one:02}" for one in range(number)] for number in range(20)]
    counts = await store.transaction().find(COUNTS, HERE)
    assert counts is not None and list(counts.counts.values()) == [20]
    assert len(commits) < 10


async def test_where_a_batch_loses_to_another_process_all_of_it_begin_again(
    store: Store, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[int] = []

    async def write(number: int) -> None:
        async def work(transaction: Transaction) -> None:
            await transaction.take_turn(HERE)
            attempts.append(number)
            found = await transaction.find(USERS, HERE, "a") or user("a")
            await asyncio.sleep(0)
            if attempts == [0, 1, 2]:
                await put(other, user("b", 7))
            transaction.put(USERS, HERE, user("a", found.created_at + 1))

        await store.transact(work)

    await asyncio.gather(*map(write, range(3)))
    found = await store.transaction().find(USERS, HERE, "a")
    assert found is not None and found.created_at == 3
    assert await store.transaction().find(USERS, HERE, "b") == user("b", 7)
    assert sorted(attempts) == [0, 0, 1, 1, 2, 2]


async def test_what_loses_to_another_process_is_committed_together_again(
    store: Store, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = count_commits(store, monkeypatch)
    attempts = 0

    async def write(number: int) -> None:
        async def work(transaction: Transaction) -> None:
            nonlocal attempts
            await transaction.take_turn(HERE)
            attempts += 1
            await transaction.find(USERS, HERE, "b")
            await asyncio.sleep(0)
            if attempts == 10:
                await put(other, user("b", 7))
            transaction.put(USERS, HERE, user(f"{number}"))

        await store.transact(work)

    await asyncio.gather(*map(write, range(10)))
    assert len(await store.transaction().scan(USERS, HERE)) == 11
    assert attempts == 20
    assert len(commits) < 5


async def test_a_line_is_not_kept_for_those_whose_batch_has_lost_and_who_are_gone(
    store: Store, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "_AWAITED_SECONDS", 0.05)
    await put(store, user("a"))
    calls: list[asyncio.Task[None]] = []
    inner = store.engine.commit

    async def commit(partition: str, writes: Sequence[Write], expecting: Revision | None) -> Revision:
        for call in calls:
            call.cancel()
        await put(other, user("a", 7))
        return await inner(partition, writes, expecting)

    monkeypatch.setattr(store.engine, "commit", commit)

    async def write(transaction: Transaction) -> None:
        await transaction.take_turn(HERE)
        await transaction.find(USERS, HERE, "a")
        await asyncio.sleep(0.01)
        transaction.put(USERS, HERE, user("a", 1))

    calls += [asyncio.ensure_future(store.transact(write)) for _ in range(3)]
    await asyncio.gather(*calls, return_exceptions=True)
    assert all(call.cancelled() for call in calls)
    async with asyncio.timeout(5):
        while len(store._lines):
            await asyncio.sleep(0.02)
    assert await other.transaction().find(USERS, HERE, "a") == user("a", 7)


async def test_a_batch_that_loses_to_another_process_halves_the_next_and_one_that_is_written_lets_it_grow_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a long line beside a short one of another process would not be answered before that one ends."""
    sizes: list[int] = []
    outcomes = iter([*["lost"] * 5, *["written"] * 3])
    inner = store._lines._write

    async def write_batch(partition: str, batch: Batch) -> None:
        sizes.append(batch.calls)
        if next(outcomes) == "lost":
            raise Conflict("another process was faster")
        await inner(partition, batch)

    monkeypatch.setattr(store._lines, "_write", write_batch)

    async def write(number: int) -> None:
        async def work(transaction: Transaction) -> None:
            await transaction.take_turn(HERE)
            await asyncio.sleep(0)
            transaction.put(USERS, HERE, user(f"{number}"))

        await store.transact(work)

    await asyncio.gather(*map(write, range(20)))
    assert sizes == [20, 10, 5, 2, 1, 1, 4, 15]
    assert len(await store.transaction().scan(USERS, HERE)) == 20
    assert len(store._lines) == 0


async def test_a_batch_that_has_not_read_what_another_process_writes_does_not_begin_again(
    store: Store, other: Store
) -> None:
    await put(store, user("b"))
    attempts: list[int] = []

    async def write(number: int) -> None:
        async def work(transaction: Transaction) -> None:
            await transaction.take_turn(HERE)
            attempts.append(number)
            found = await transaction.find(USERS, HERE, "a") or user("a")
            await asyncio.sleep(0)
            if number == 2:
                await put(other, user("b", 7))
            transaction.put(USERS, HERE, user("a", found.created_at + 1))

        await store.transact(work)

    await asyncio.gather(*map(write, range(3)))
    for one in (store, other):
        found = await one.transaction().find_all(USERS, HERE, ["a", "b"])
        assert found == [user("a", 3), user("b", 7)]
    assert sorted(attempts) == [0, 1, 2]


async def test_who_is_refused_has_not_mixed_what_a_batch_writes_with_what_was_before_another_commit(
    store: Store, other: Store
) -> None:
    await put(store, user("b"))
    seen: list[tuple[User | None, ...]] = []

    async def write(transaction: Transaction) -> None:
        await transaction.take_turn(HERE)
        await asyncio.sleep(0)
        transaction.put(USERS, HERE, user("a"))

    async def look(transaction: Transaction) -> None:
        await transaction.take_turn(HERE)
        seen.append(tuple(await transaction.find_all(USERS, HERE, ["a", "b"])))
        if len(seen) == 1:
            await put(other, user("b", 7))
        raise Refusal("EntityAlreadyExists", "it exists")

    _, refused = await asyncio.gather(*map(store.transact, (write, look)), return_exceptions=True)
    assert isinstance(refused, Refusal)
    assert seen == [(user("a"), user("b")), (user("a"), user("b", 7))]


async def test_where_another_partition_changes_that_a_batch_has_read_all_of_it_begin_again(
    store: Store, other: Store
) -> None:
    attempts: list[tuple[int, bool]] = []

    async def write(number: int) -> None:
        async def work(transaction: Transaction) -> None:
            await transaction.take_turn(HERE)
            await asyncio.sleep(0)
            is_known = await transaction.find(ACCOUNTS, "", THERE) is not None
            attempts.append((number, is_known))
            if len(attempts) == 2:
                added = other.transaction()
                added.put(ACCOUNTS, "", Account(account_id=THERE, created_at=1))
                await added.commit()
            transaction.put(USERS, HERE, user(f"{number}"))

        await store.transact(work)

    await asyncio.gather(*map(write, range(4)))
    assert sorted(attempts) == sorted((one, known) for one in range(4) for known in (False, True))
    assert len(await store.transaction().scan(USERS, HERE)) == 4


async def test_who_is_refused_by_what_others_will_write_is_answered_when_they_have_written_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit of the user whose name is taken fails: then it is not taken."""
    engine, tried = store.engine, []
    inner = engine.commit

    async def fail_once(*arguments: object) -> Revision:
        tried.append(arguments)
        if len(tried) == 1:
            raise EngineUnavailable("the disk is away")
        return await inner(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(engine, "commit", fail_once)

    async def create(_: int) -> str:
        async def work(transaction: Transaction) -> str:
            await transaction.take_turn(HERE)
            await asyncio.sleep(0)
            if await transaction.find(USERS, HERE, "a") is not None:
                raise Refusal("EntityAlreadyExists", "it exists")
            transaction.put(USERS, HERE, user("a"))
            return "made"

        return await store.transact(work)

    outcomes = await asyncio.gather(*map(create, range(3)), return_exceptions=True)
    assert [str(one) for one in outcomes] == ["the disk is away"] * 3
    assert await store.transaction().find(USERS, HERE, "a") is None
    outcomes = await asyncio.gather(*map(create, range(3)), return_exceptions=True)
    assert [type(one).__name__ for one in outcomes] == ["str", "Refusal", "Refusal"]


async def test_nothing_is_cached_of_what_others_will_write(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = Cache[str, int](10)
    seen: list[int] = []

    async def write(number: int) -> None:
        async def work(transaction: Transaction) -> None:
            await transaction.take_turn(HERE)
            await asyncio.sleep(0)

            async def made() -> int:
                found = await transaction.find(USERS, HERE, "a")
                return found.created_at if found else -1

            seen.append(await cache.at(transaction, "a", made))
            if number == 2:
                raise EngineUnavailable("away")
            transaction.put(USERS, HERE, user("a", number))

        await store.transact(work)

    await write(0)
    monkeypatch.setattr(store.engine, "commit", refuse)
    await asyncio.gather(*(write(number) for number in (1, 2)), return_exceptions=True)
    assert seen == [-1, 0, 1]

    async def look() -> int:
        found = await transaction.find(USERS, HERE, "a")
        assert found is not None
        return found.created_at

    transaction = store.transaction()
    assert await cache.at(transaction, "a", look) == 0


async def test_who_is_cancelled_while_others_count_on_the_commit_does_not_keep_them_waiting(
    store: Store,
) -> None:
    is_in_line = asyncio.Event()

    async def write(transaction: Transaction) -> None:
        await transaction.take_turn(HERE)
        await is_in_line.wait()
        transaction.put(USERS, HERE, user("a"))

    async def stay(transaction: Transaction) -> None:
        await transaction.take_turn(HERE)
        await asyncio.sleep(60)

    async def wait(transaction: Transaction) -> None:
        await transaction.take_turn(HERE)

    first = asyncio.create_task(store.transact(write))
    await asyncio.sleep(0)
    behind = [asyncio.create_task(store.transact(one)) for one in (stay, wait)]
    await asyncio.sleep(0.01)
    is_in_line.set()
    await asyncio.sleep(0.01)
    assert not first.done()
    for one in reversed(behind):
        one.cancel()
    await asyncio.wait_for(first, 5)
    await asyncio.gather(*behind, return_exceptions=True)
    assert await store.transaction().find(USERS, HERE, "a") == user("a")
    assert len(store._lines) == 0


async def test_who_is_cancelled_while_committing_for_those_before_does_not_keep_them_from_being_written(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that is cancelled writes to two accounts, so it has the others committed before it."""
    happened: list[str] = []
    is_committing, may_end = asyncio.Event(), asyncio.Event()
    inner = store.engine.commit

    async def commit(*arguments: object) -> Revision:
        is_committing.set()
        await may_end.wait()
        revision = await inner(*arguments)  # type: ignore[arg-type]
        happened.append("committed")
        return revision

    monkeypatch.setattr(store.engine, "commit", commit)

    async def write(transaction: Transaction) -> None:
        await transaction.take_turn(HERE)
        await asyncio.sleep(0)
        transaction.put(USERS, HERE, user("a"))

    async def write_two(transaction: Transaction) -> None:
        await write(transaction)
        transaction.put(USERS, THERE, user("b"))

    async def look(transaction: Transaction) -> User | None:
        await transaction.take_turn(HERE)
        happened.append("the next one's turn")
        return await transaction.find(USERS, HERE, "a")

    first, cancelled, last = (asyncio.ensure_future(store.transact(one)) for one in (write, write_two, look))
    await asyncio.wait_for(is_committing.wait(), 5)
    cancelled.cancel()
    await asyncio.gather(cancelled, return_exceptions=True)
    assert cancelled.cancelled()
    may_end.set()
    await asyncio.wait_for(first, 5)
    assert await asyncio.wait_for(last, 5) == user("a")
    assert happened == ["committed", "the next one's turn"]
    assert await store.transaction().find(USERS, THERE, "b") is None
    assert len(store._lines) == 0


def count_commits(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    commits: list[str] = []
    inner = store.engine.commit

    async def commit(partition: str, writes: Sequence[Write], expecting: Revision | None) -> Revision:
        commits.append(partition)
        return await inner(partition, writes, expecting)

    monkeypatch.setattr(store.engine, "commit", commit)
    return commits


async def refuse(*_: object) -> Revision:
    raise EngineUnavailable("away")


async def put(store: Store, *records: User) -> None:
    transaction = store.transaction()
    for record in records:
        transaction.put(USERS, HERE, record)
    await transaction.commit()
