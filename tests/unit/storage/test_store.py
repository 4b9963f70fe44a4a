import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from broker.errors import Refusal
from broker.names.secret import SecretKey
from broker.storage.engine import (
    Conflict,
    Engine,
    EngineUnavailable,
    Write,
    account_partition,
    usage_partition,
)
from broker.storage.records import AccessKey, AccountSettings, Once, Usage, User
from broker.storage.sqlite import SqliteEngine
from broker.storage.store import ACCESS_KEYS, ACCOUNTS, ONCE, SETTINGS, USAGE, USERS, Store, Transaction

HERE = "111111111111"
THERE = "222222222222"

OpenSqlite = Callable[[], SqliteEngine]


class CountingEngine:
    """An engine around an engine that counts what it is asked."""

    def __init__(self, inner: Engine) -> None:
        self.inner = inner
        self.asked: Counter[str] = Counter()
        self.partitions = inner.partitions
        self.close = inner.close

    async def revision(self, partition: str) -> int:
        self.asked["revision"] += 1
        return await self.inner.revision(partition)

    async def get(self, partition: str, key: str) -> bytes | None:
        self.asked["get"] += 1
        return await self.inner.get(partition, key)

    async def fetch(self, partition: str, keys: Sequence[str]) -> tuple[int, list[bytes | None]]:
        self.asked["fetch"] += 1
        return await self.inner.fetch(partition, keys)

    async def scan(
        self, partition: str, prefix: str, after: str = "", limit: int | None = None
    ) -> list[tuple[str, bytes]]:
        self.asked["scan"] += 1
        return await self.inner.scan(partition, prefix, after, limit)

    async def commit(self, partition: str, writes: Sequence[Write], expecting: int | None) -> int:
        self.asked["commit"] += 1
        return await self.inner.commit(partition, writes, expecting)


def user(name: str, **changes: object) -> User:
    return msgspec.structs.replace(
        User(account_id=HERE, user_name=name, user_id=f"AIDA{name.upper()}", created_at=1), **changes
    )


async def write(store: Store, *users: User) -> None:
    """What another request does meanwhile."""
    transaction = await store.transaction()
    for one in users:
        transaction.put(USERS, HERE, one)
    await transaction.commit()


@pytest.fixture
def store(open_sqlite: OpenSqlite) -> Store:
    return Store(open_sqlite(), time.time)


@pytest.fixture
def other(open_sqlite: OpenSqlite) -> Store:
    """The store of another process, on the same file."""
    return Store(open_sqlite(), time.time)


async def test_names_are_compared_without_case_and_keep_their_spelling(store: Store) -> None:
    await write(store, user("Bob"))
    reader = await store.read()
    assert (await reader.find(USERS, HERE, "bOB")) == user("Bob")
    assert await reader.find(USERS, THERE, "Bob") is None
    assert await reader.scan(USERS, HERE, "BO") == [user("Bob")]


async def test_ids_are_compared_exactly(store: Store) -> None:
    key = AccessKey(
        account_id=HERE, access_key_id="AKIAX", user_name=None, secret=SecretKey("s"), created_at=1
    )
    transaction = await store.transaction()
    transaction.put(ACCESS_KEYS, HERE, key)
    await transaction.commit()
    reader = await store.read()
    assert await reader.find(ACCESS_KEYS, HERE, "AKIAX") == key
    assert await reader.find(ACCESS_KEYS, HERE, "akiax") is None


async def test_a_single_record_is_found_whatever_key_is_asked_for(store: Store) -> None:
    transaction = await store.transaction()
    transaction.put(SETTINGS, HERE, AccountSettings())
    await transaction.commit()
    reader = await store.read()
    assert await reader.find(SETTINGS, HERE) == await reader.find(SETTINGS, HERE, "x") == AccountSettings()
    assert await reader.scan(SETTINGS, HERE) == [AccountSettings()]


async def test_get_raises_the_refusal_that_belongs_to_the_key(store: Store) -> None:
    reader = await store.read()
    with pytest.raises(Refusal, match="NoSuchEntity: none called Bob"):
        await reader.get(USERS, HERE, "Bob", lambda key: Refusal("NoSuchEntity", f"none called {key}"))


async def test_a_transaction_sees_its_own_writes_and_others_do_not_before_the_commit(store: Store) -> None:
    await write(store, user("a"), user("c"), user("d"))
    transaction = await store.transaction()
    transaction.put(USERS, HERE, user("b"))
    transaction.delete(USERS, HERE, "C")
    assert transaction.is_dirty
    assert await transaction.find(USERS, HERE, "B") == user("b")
    assert await transaction.find(USERS, HERE, "c") is None
    assert await transaction.scan(USERS, HERE) == [user("a"), user("b"), user("d")]
    assert await transaction.count(USERS, HERE) == 3
    assert await (await store.read()).scan(USERS, HERE) == [user("a"), user("c"), user("d")]
    await transaction.commit()
    assert not transaction.is_dirty
    assert await (await store.read()).scan(USERS, HERE) == [user("a"), user("b"), user("d")]


async def test_pages_of_a_scan_count_own_writes(store: Store) -> None:
    await write(store, *(user(name) for name in "abcdef"))
    transaction = await store.transaction()
    for name in "bc":
        transaction.delete(USERS, HERE, name)
    transaction.put(USERS, HERE, user("aa"))
    assert await transaction.scan(USERS, HERE, limit=3) == [user("a"), user("aa"), user("d")]
    assert await transaction.scan(USERS, HERE, after="AA", limit=2) == [user("d"), user("e")]
    assert await transaction.scan(USERS, HERE, after="e") == [user("f")]


async def test_a_write_is_seen_by_every_transaction_that_begins_afterwards(
    store: Store, other: Store
) -> None:
    for number in range(30):
        await write(store, user("bob", created_at=number), user("eve", created_at=number))
        reader = await other.read()
        assert (await reader.find(USERS, HERE, "bob")).created_at == number
        assert [one.created_at for one in await reader.scan(USERS, HERE)] == [number, number]


async def test_of_two_that_read_and_write_the_same_record_the_second_conflicts(
    store: Store, other: Store
) -> None:
    await write(store, user("bob"))
    first, second = await store.transaction(), await other.transaction()
    for transaction in (first, second):
        assert await transaction.find(USERS, HERE, "bob")
        transaction.put(USERS, HERE, user("bob", path=f"/{id(transaction)}/"))
    await first.commit()
    with pytest.raises(Conflict):
        await second.commit()
    assert (await (await other.read()).find(USERS, HERE, "bob")).path == f"/{id(first)}/"


async def test_what_was_absent_and_appears_meanwhile_conflicts(store: Store, other: Store) -> None:
    first, second = await store.transaction(), await other.transaction()
    for transaction in (first, second):
        assert await transaction.find(USERS, HERE, "bob") is None
        transaction.put(USERS, HERE, user("bob"))
    await first.commit()
    with pytest.raises(Conflict):
        await second.commit()


@pytest.mark.parametrize("limit", [None, 1, 10])
async def test_a_listing_that_changes_meanwhile_conflicts(
    store: Store, other: Store, limit: int | None
) -> None:
    await write(store, user("bob"))
    transaction = await store.transaction()
    assert len(await transaction.scan(USERS, HERE, limit=limit)) == 1
    transaction.put(USERS, HERE, user("eve"))
    await write(other, user("alice"))
    with pytest.raises(Conflict):
        await transaction.commit()


async def test_a_change_of_something_else_is_no_conflict(store: Store, other: Store) -> None:
    await write(store, user("bob"))
    transaction = await store.transaction()
    assert await transaction.find(USERS, HERE, "bob")
    assert await transaction.find(USERS, HERE, "eve") is None
    transaction.put(USERS, HERE, user("bob", path="/moved/"))
    await write(other, user("alice"))
    await transaction.commit()
    assert len(await (await store.read()).scan(USERS, HERE)) == 2


async def test_who_asked_for_the_revision_is_bound_to_it(store: Store, other: Store) -> None:
    await write(store, user("bob"))
    transaction = await store.transaction()
    assert await transaction.revision(account_partition(HERE)) == 1
    transaction.put(USERS, HERE, user("eve"))
    await write(other, user("alice"))
    with pytest.raises(Conflict):
        await transaction.commit()


async def test_a_transaction_that_only_reads_has_nothing_to_conflict_at_its_commit(
    store: Store, other: Store
) -> None:
    await write(store, user("bob"))
    transaction = await store.read()
    assert await transaction.find(USERS, HERE, "bob")
    await write(other, user("bob", path="/moved/"))
    assert not transaction.is_dirty
    await transaction.commit()


async def test_a_reader_goes_on_where_what_it_read_is_still_so(store: Store, other: Store) -> None:
    await write(store, user("bob"))
    reader = await store.read()
    assert await reader.find(USERS, HERE, "bob") == user("bob")
    await write(other, user("eve"))
    assert await reader.find(USERS, HERE, "eve") == user("eve")
    assert await reader.scan(USERS, HERE) == [user("bob"), user("eve")]


async def test_a_reader_never_mixes_two_states(store: Store, other: Store) -> None:
    """Bob's new path and Eve's came in one commit: who has read Bob's old one must not read Eve's new one."""
    await write(store, user("bob", path="/old/"), user("eve", path="/old/"))
    fresh = Store(store.engine, time.time)
    reader = await fresh.read()
    assert (await reader.find(USERS, HERE, "bob")).path == "/old/"
    await write(other, user("bob", path="/new/"), user("eve", path="/new/"))
    with pytest.raises(Conflict):
        await reader.find(USERS, HERE, "eve")


async def test_reads_side_by_side_are_of_one_state_too(store: Store, other: Store) -> None:
    """Both records change together all the while; two reads at once must not fall on two sides of a change."""
    await write(store, user("bob", created_at=0), user("eve", created_at=0))
    fresh = Store(store.engine, time.time)
    answered = 0

    async def read() -> None:
        nonlocal answered
        for _ in range(100):
            reader = await fresh.read()
            try:
                found = await asyncio.gather(*(reader.find(USERS, HERE, name) for name in ("bob", "eve")))
            except Conflict:
                continue
            assert found[0].created_at == found[1].created_at
            answered += 1
            await asyncio.sleep(0)

    async def change() -> None:
        for number in range(100):
            await write(other, user("bob", created_at=number), user("eve", created_at=number))

    await asyncio.gather(read(), change())
    assert answered


async def test_a_reader_from_memory_stays_in_the_state_that_it_began_with(store: Store, other: Store) -> None:
    await write(store, user("bob", path="/old/"), user("eve", path="/old/"))
    assert len(await (await store.read()).scan(USERS, HERE)) == 2
    reader = await store.read()
    assert (await reader.find(USERS, HERE, "bob")).path == "/old/"
    await write(other, user("bob", path="/new/"), user("eve", path="/new/"))
    assert (await (await store.read()).find(USERS, HERE, "eve")).path == "/new/"
    assert (await reader.find(USERS, HERE, "eve")).path == "/old/"


async def test_transact_begins_anew_until_every_one_got_through(store: Store, other: Store) -> None:
    async def grow(transaction: Transaction) -> None:
        bob = await transaction.get(USERS, HERE, "bob", lambda key: Refusal("NoSuchEntity", key))
        await asyncio.sleep(0)
        transaction.put(USERS, HERE, user("bob", created_at=bob.created_at + 1))

    await write(store, user("bob", created_at=0))
    await asyncio.gather(*(one.transact(grow) for one in [store, other] * 20))
    assert (await (await store.read()).find(USERS, HERE, "bob")).created_at == 40


async def test_transact_gives_up_where_it_never_gets_through(store: Store, other: Store) -> None:
    attempts = 0

    async def late(transaction: Transaction) -> None:
        nonlocal attempts
        attempts += 1
        await transaction.find(USERS, HERE, "bob")
        transaction.put(USERS, HERE, user("bob"))
        await write(other, user("bob", created_at=attempts))

    with pytest.raises(Conflict):
        await store.transact(late)
    assert 3 < attempts < 50


async def test_a_transaction_may_write_to_several_partitions(store: Store) -> None:
    transaction = await store.transaction()
    transaction.put(USERS, HERE, user("bob"))
    transaction.put(USERS, THERE, user("eve"))
    transaction.put(ONCE, HERE, Once(used_at=1), key="code", expires_at=time.time() + 9)
    await transaction.commit()
    reader = await store.read()
    assert await reader.find(USERS, HERE, "bob")
    assert await reader.find(USERS, THERE, "eve")
    assert await reader.find(ONCE, HERE, "code") == Once(used_at=1)


async def test_expiry_belongs_to_expiring_collections_and_a_key_to_records_that_carry_none(
    store: Store,
) -> None:
    transaction = await store.transaction()
    with pytest.raises(ValueError, match="expires_at"):
        transaction.put(USERS, HERE, user("bob"), expires_at=5.0)
    with pytest.raises(ValueError, match="expires_at"):
        transaction.put(ONCE, HERE, Once(used_at=1), key="code")
    with pytest.raises(ValueError, match="key"):
        transaction.put(USAGE, HERE, Usage(last_used_at=1))
    assert not transaction.is_dirty


async def test_of_many_who_use_a_code_at_once_exactly_one_may(store: Store, other: Store) -> None:
    expires = time.time() + 60
    uses = [one.use_once(HERE, "code/123456", expires) for one in [store, other] * 8]
    assert sorted(await asyncio.gather(*uses)) == [False] * 15 + [True]
    assert await store.use_once(HERE, "code/654321", expires)
    assert await store.use_once(THERE, "code/123456", expires)


async def test_a_code_may_be_used_again_when_its_time_is_over(tmp_path: Path) -> None:
    now = 1000.0
    async with Store(SqliteEngine(tmp_path / "store.db", lambda: now), lambda: now) as store:
        assert await store.use_once(HERE, "code", 1030.0)
        now = 1029.9
        assert not await store.use_once(HERE, "code", 1060.0)
        now = 1030.0
        assert await store.use_once(HERE, "code", 1060.0)


async def test_usage_marks_are_read_at_once_and_written_by_the_flush(store: Store, other: Store) -> None:
    first, second = Usage(last_used_at=10), Usage(last_used_at=20, region="eu-west-1", service="sts")
    store.mark_used(HERE, "AKIAX", first)
    assert await (await store.read()).find(USAGE, HERE, "AKIAX") == first
    assert await (await other.read()).find(USAGE, HERE, "AKIAX") is None
    await store.flush_usage()
    assert await (await other.read()).find(USAGE, HERE, "AKIAX") == first
    store.mark_used(HERE, "AKIAX", second)
    assert await (await store.read()).find(USAGE, HERE, "AKIAX") == second
    await store.flush_usage()
    assert await (await other.read()).find(USAGE, HERE, "AKIAX") == second


async def test_usage_marks_leave_the_accounts_own_revision_alone(store: Store) -> None:
    for number in range(100):
        store.mark_used(f"{number:012}", "AKIAX", Usage(last_used_at=1))
    await store.flush_usage()
    assert len(await store.engine.partitions("usage/")) == 100
    assert await store.engine.partitions("account/") == []
    assert await store.engine.revision(usage_partition("000000000007")) == 1
    await store.flush_usage()
    assert await store.engine.revision(usage_partition("000000000007")) == 1


async def test_marks_that_could_not_be_written_stay(store: Store) -> None:
    store.mark_used(HERE, "AKIAX", Usage(last_used_at=1))
    await store.engine.close()
    with pytest.raises(EngineUnavailable):
        await store.flush_usage()
    assert store._latest(HERE, "AKIAX", None) == Usage(last_used_at=1)


async def test_leaving_the_store_writes_the_marks_and_closes_the_engine(open_sqlite: OpenSqlite) -> None:
    engine = open_sqlite()
    async with Store(engine, time.time) as store:
        store.mark_used(HERE, "AKIAX", Usage(last_used_at=1))
    with pytest.raises(EngineUnavailable):
        await engine.commit("global", [], None)
    assert await open_sqlite().revision(usage_partition(HERE)) == 1


async def test_a_value_that_is_no_record_is_refused(store: Store) -> None:
    await store.engine.commit(account_partition(HERE), [Write("user/bob", b"\xff")], None)
    with pytest.raises(EngineUnavailable, match="account/111111111111 user/bob: not a user record"):
        await (await store.read()).find(USERS, HERE, "bob")


async def test_an_unchanged_partition_is_read_from_memory_and_asked_for_its_revision_once(
    open_sqlite: OpenSqlite,
) -> None:
    engine = CountingEngine(open_sqlite())
    store = Store(engine, time.time)
    await write(store, user("bob"), user("eve"))
    for _ in range(3):
        reader = await store.read()
        assert len(await reader.scan(USERS, HERE)) == 2
        assert await reader.find(USERS, HERE, "bob")
        assert await reader.find(USERS, HERE, "nobody") is None
    # A commit of one's own keeps the memory: only the engine's revision is asked for.
    engine.asked.clear()
    await write(store, user("alice"))
    reader = await store.read()
    assert [one.user_name for one in await reader.scan(USERS, HERE)] == ["alice", "bob", "eve"]
    assert await reader.find(USERS, HERE, "alice") == user("alice")
    assert engine.asked["fetch"] == 0


async def test_a_commit_of_ones_own_carries_the_memory_on(open_sqlite: OpenSqlite) -> None:
    engine = CountingEngine(open_sqlite())
    store = Store(engine, time.time)
    await write(store, *(user(name) for name in "abcde"))
    await (await store.read()).scan(USERS, HERE)
    engine.asked.clear()
    for name in "xyz":
        transaction = await store.transaction()
        assert await transaction.find(USERS, HERE, name) is None
        assert len(await transaction.scan(USERS, HERE)) == 5
        transaction.put(USERS, HERE, user(name))
        transaction.delete(USERS, HERE, chr(ord(name) - 1) if name != "x" else "a")
        await transaction.commit()
    assert [one.user_name for one in await (await store.read()).scan(USERS, HERE)] == [
        "b",
        "c",
        "d",
        "e",
        "z",
    ]
    assert await (await store.read()).find(USERS, HERE, "y") is None
    assert engine.asked["scan"] == 0
    assert engine.asked["fetch"] == 3


async def test_memory_is_bounded_and_keeps_the_partition_in_use(open_sqlite: OpenSqlite) -> None:
    engine = CountingEngine(open_sqlite())
    store = Store(engine, time.time, cache_limit=200_000)
    for account in range(30):
        writes = [Write(f"user/{n:03}", USERS.encode(user(f"{n:03}", path="/x" * 50))) for n in range(50)]
        await engine.commit(account_partition(f"{account:012}"), writes, None)
    await (await store.read()).scan(USERS, f"{7:012}")
    engine.asked.clear()
    for account in range(30):
        reader = await store.read()
        assert len(await reader.scan(USERS, f"{account:012}")) == 50
        assert (await reader.find(USERS, f"{7:012}", "049")).user_name == "049"
        assert store._cache.weight <= 200_000
        assert store._cache.weight == sum(pages.weight for pages in store._cache._partitions.values())
    assert engine.asked["scan"] == 29
    assert engine.asked["fetch"] == 0


async def test_one_partition_larger_than_the_memory_is_still_read_whole(open_sqlite: OpenSqlite) -> None:
    store = Store(open_sqlite(), time.time, cache_limit=50_000)
    await write(store, *(user(f"{n:04}") for n in range(2500)))
    for _ in range(2):
        reader = await store.read()
        assert [one.user_name for one in await reader.scan(USERS, HERE)] == [f"{n:04}" for n in range(2500)]
        for n in range(0, 2500, 97):
            assert (await reader.find(USERS, HERE, f"{n:04}")).user_name == f"{n:04}"
        assert store._cache.weight <= 50_000


async def test_global_collections_need_no_account(store: Store) -> None:
    transaction = await store.transaction()
    transaction.put(ACCOUNTS, "", ACCOUNTS.record(account_id=HERE))
    await transaction.commit()
    assert await (await store.read()).find(ACCOUNTS, "", HERE) == ACCOUNTS.record(account_id=HERE)
    assert await store.engine.partitions("") == ["global"]
