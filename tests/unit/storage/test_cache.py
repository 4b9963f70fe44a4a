import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from broker.storage.engine import Changes, Engine, Revision, Write, account_partition
from broker.storage.partition_snapshot import (
    _PAGE_WEIGHT,
    MOST_ABSENT,
    SNAPSHOT_WEIGHT,
    PartitionSnapshot,
    _weight,
)
from broker.storage.sqlite import SqliteEngine
from broker.storage.store import DEFAULT_CACHE_LIMIT, USAGE, USERS, Store
from tests.growth import called
from tests.unit.storage.people import HERE, user, write

OpenSqlite = Callable[[], SqliteEngine]


class CountingEngine:
    """An engine that counts the calls of an inner engine."""

    def __init__(self, inner: Engine) -> None:
        self.inner = inner
        self.asked: Counter[str] = Counter()
        self.partitions = inner.partitions
        self.now = inner.now
        self.close = inner.close
        self.commit_each = inner.commit_each

    async def revision(self, partition: str) -> Revision:
        self.asked["revision"] += 1
        return await self.inner.revision(partition)

    async def get(self, partition: str, key: str) -> bytes | None:
        self.asked["get"] += 1
        return await self.inner.get(partition, key)

    async def fetch(self, partition: str, keys: Sequence[str]) -> tuple[Revision, list[bytes | None]]:
        self.asked["fetch"] += 1
        return await self.inner.fetch(partition, keys)

    async def scan(
        self, partition: str, prefix: str, after: str = "", limit: int | None = None
    ) -> list[tuple[str, bytes]]:
        self.asked["page"] += 1
        return await self.inner.scan(partition, prefix, after, limit)

    async def page(
        self, partition: str, prefix: str, after: str, limit: int
    ) -> tuple[Revision, list[tuple[str, bytes]]]:
        self.asked["page"] += 1
        return await self.inner.page(partition, prefix, after, limit)

    async def changes(self, partition: str, since: Revision) -> Changes | None:
        self.asked["changes"] += 1
        return await self.inner.changes(partition, since)

    async def commit(self, partition: str, writes: Sequence[Write], expecting: Revision | None) -> Revision:
        self.asked["commit"] += 1
        return await self.inner.commit(partition, writes, expecting)


async def test_an_unchanged_partition_is_read_from_the_cache_and_its_revision_once_from_the_engine(
    open_sqlite: OpenSqlite,
) -> None:
    engine = CountingEngine(open_sqlite())
    store = Store(engine, time.time)
    await write(store, user("bob"), user("eve"))
    for _ in range(3):
        reader = store.transaction()
        assert len(await reader.scan(USERS, HERE)) == 2
        assert await reader.find(USERS, HERE, "bob")
        assert await reader.find(USERS, HERE, "nobody") is None
    # Our own commit keeps the cache: only the revision is read from the engine.
    engine.asked.clear()
    await write(store, user("alice"))
    assert engine.asked.pop("fetch") == 1, "what alice was before: counts are derived from that"
    reader = store.transaction()
    assert [one.user_name for one in await reader.scan(USERS, HERE)] == ["alice", "bob", "eve"]
    assert await reader.find(USERS, HERE, "alice") == user("alice")
    assert engine.asked["fetch"] == 0


async def test_a_very_large_commit_of_our_own_is_read_again(open_sqlite: OpenSqlite) -> None:
    engine = CountingEngine(open_sqlite())
    store = Store(engine, time.time)
    await write(store, user("bob"))
    begun = store.transaction()
    assert await begun.find(USERS, HERE, "bob") == user("bob")
    await write(store, *(user(f"user-{number}") for number in range(2001)), user("bob", path="/moved/"))
    engine.asked.clear()
    reader = store.transaction()
    assert (await reader.find(USERS, HERE, "bob")).path == "/moved/"
    assert len(await reader.scan(USERS, HERE)) == 2002
    assert engine.asked["page"] > 10
    assert await begun.find(USERS, HERE, "bob") == user("bob")


async def test_our_own_commit_keeps_the_cache(open_sqlite: OpenSqlite) -> None:
    engine = CountingEngine(open_sqlite())
    store = Store(engine, time.time)
    await write(store, *(user(name) for name in "abcde"))
    await store.transaction().scan(USERS, HERE)
    engine.asked.clear()
    for name in "xyz":
        transaction = store.transaction()
        assert await transaction.find(USERS, HERE, name) is None
        assert len(await transaction.scan(USERS, HERE)) == 5
        transaction.put(USERS, HERE, user(name))
        transaction.delete(USERS, HERE, chr(ord(name) - 1) if name != "x" else "a")
        await transaction.commit()
    assert [one.user_name for one in await store.transaction().scan(USERS, HERE)] == [
        "b",
        "c",
        "d",
        "e",
        "z",
    ]
    assert await store.transaction().find(USERS, HERE, "y") is None
    assert engine.asked["page"] == 0
    assert engine.asked["fetch"] == 3


def cached_snapshots(store: Store) -> list[PartitionSnapshot]:
    rooms = store._cache._partitions
    return [entry.value for room in (rooms._written, rooms._unwritten) for entry in room._entries.values()]


def assert_weighed(store: Store, limit: int = DEFAULT_CACHE_LIMIT) -> None:
    """The weight of the cache is the sum of its partitions', and that of each the sum of its records'."""
    assert store.cache_size.weight == sum(snapshot.weight for snapshot in cached_snapshots(store)) <= limit
    for snapshot in cached_snapshots(store):
        known = [*snapshot.encoded.values(), *snapshot.absent.values()]
        records = sum(map(_weight, known))
        pages = sum(_PAGE_WEIGHT + 8 * len(keys) for keys in snapshot.pages.values())
        history = 0 if snapshot.history is None else snapshot.history.weight
        assert snapshot.weight == SNAPSHOT_WEIGHT + history + records + pages


async def test_records_that_are_read_often_are_evicted_for_what_is_written(open_sqlite: OpenSqlite) -> None:
    store = Store(open_sqlite(), time.time)
    for number in range(10):
        for _ in range(number):
            await store.transaction().find(USERS, HERE, "bob")
        await write(store, user("bob", path=f"/{number}/"))
        assert await store.transaction().find(USERS, HERE, "bob") == user("bob", path=f"/{number}/")


async def test_a_commit_of_another_process_costs_what_it_changed(open_sqlite: OpenSqlite) -> None:
    engine = CountingEngine(open_sqlite())
    store, other = Store(engine, time.time), Store(open_sqlite(), time.time)
    await write(store, *(user(name) for name in "abcde"))
    await store.transaction().scan(USERS, HERE)
    await store.transaction().scan(USERS, HERE, limit=2)
    await write(other, user("b", path="/moved/"), user("f"))
    engine.asked.clear()
    reader = store.transaction()
    assert await reader.find(USERS, HERE, "a") == user("a")
    assert engine.asked["fetch"] == engine.asked["page"] == 0
    listed = [user("a"), user("b", path="/moved/"), *map(user, "cdef")]
    assert await reader.scan(USERS, HERE) == listed
    assert await reader.scan(USERS, HERE, limit=2) == listed[:2]
    assert (engine.asked["fetch"], engine.asked["page"]) == (1, 0), "b and f, at once"
    assert_weighed(store)


async def test_a_record_written_again_and_again_weighs_once(open_sqlite: OpenSqlite) -> None:
    store = Store(open_sqlite(), time.time)
    for number in range(50):
        transaction = store.transaction()
        await transaction.find(USERS, HERE, "bob")
        transaction.put(USERS, HERE, user("bob", path=f"/{number}/"))
        await transaction.commit()
    assert (await store.transaction().find(USERS, HERE, "bob")).path == "/49/"
    assert_weighed(store)
    (account,) = cached_snapshots(store)
    assert account.weight - account.history.weight < 1_100, "the user, and the counts of the account"


async def test_the_cache_is_bounded_and_does_not_evict_the_partition_in_use(open_sqlite: OpenSqlite) -> None:
    engine = CountingEngine(open_sqlite())
    store = Store(engine, time.time, cache_limit=200_000)
    for account in range(30):
        writes = [Write(f"user/{n:03}", USERS.encode(user(f"{n:03}", path="/x" * 50))) for n in range(50)]
        await engine.commit(account_partition(f"{account:012}"), writes, None)
    await store.transaction().scan(USERS, f"{7:012}")
    engine.asked.clear()
    for account in range(30):
        reader = store.transaction()
        assert len(await reader.scan(USERS, f"{account:012}")) == 50
        assert (await reader.find(USERS, f"{7:012}", "049")).user_name == "049"
        assert_weighed(store, 200_000)
    assert engine.asked["page"] == 29
    assert engine.asked["fetch"] == 0


async def test_accounts_that_do_not_exist_weigh_what_they_take_in_memory_and_take_the_place_of_none_that_do(
    open_sqlite: OpenSqlite,
) -> None:
    engine = CountingEngine(open_sqlite())
    store = Store(engine, time.time, cache_limit=400_000)
    await write(store, *(user(f"{number:03}") for number in range(900)))
    await store.transaction().scan(USERS, HERE)
    existing = store.cache_size.weight
    engine.asked.clear()
    for account in range(1000):
        assert await store.transaction().find(USERS, f"{account:012}", "bob") is None
    assert 20 < store.cache_size.entries < 40
    assert existing < store.cache_size.weight < existing + 400_000 / 16
    assert_weighed(store, 400_000)
    assert engine.asked["fetch"] == 1000
    assert len(await store.transaction().scan(USERS, HERE)) == 900
    assert (engine.asked["fetch"], engine.asked["page"]) == (1000, 0)


async def test_many_absent_names_of_one_account_take_the_place_of_no_other_account(
    open_sqlite: OpenSqlite,
) -> None:
    """As anybody asks for buckets that do not exist, before anything is proven."""
    engine, limit = CountingEngine(open_sqlite()), 600_000
    store = Store(engine, time.time, cache_limit=limit)
    others = [f"{number:012}" for number in range(100)]
    for account in others:
        await engine.commit(account_partition(account), [Write("user/bob", USERS.encode(user("bob")))], None)
        assert await store.transaction().find(USERS, account, "bob") == user("bob")
    await write(store, user("bob"))
    engine.asked.clear()
    for number in range(5000):
        reader = store.transaction()
        assert await reader.find(USERS, HERE, f"absent-{number}") is None
        assert await reader.find(USERS, HERE, "nobody") is None
        assert await reader.find(USERS, HERE, "bob") == user("bob")
    assert store.cache_size.entries == 101
    assert_weighed(store, limit)
    assert engine.asked["fetch"] == 5001, "what is asked for again and again stays known"
    engine.asked.clear()
    for account in others:
        assert await store.transaction().find(USERS, account, "bob") == user("bob")
    assert engine.asked["fetch"] == 0


async def test_absent_names_stay_bounded_and_weighed_while_the_account_changes(
    open_sqlite: OpenSqlite,
) -> None:
    engine = CountingEngine(open_sqlite())
    store, other = Store(engine, time.time), Store(open_sqlite(), time.time)
    await write(store, user("bob"))
    for turn in range(4):
        absent = [f"absent-{turn}-{number}" for number in range(MOST_ABSENT // 2)]
        assert await store.transaction().find_all(USERS, HERE, absent) == [None] * len(absent)
        assert_weighed(store)
        await write(store, user(absent[0]), user(f"another-{turn}"))
        await write(other, user(absent[1]))
        reader = store.transaction()
        assert await reader.find_all(USERS, HERE, absent[:3]) == [*map(user, absent[:2]), None]
        assert_weighed(store)
        transaction = store.transaction()
        transaction.delete(USERS, HERE, absent[0])
        await transaction.commit()
        engine.asked.clear()
        nobody = [None] * (len(absent) - 2)
        assert await store.transaction().find_all(USERS, HERE, absent) == [None, user(absent[1]), *nobody]
        assert engine.asked["fetch"] == 0
        assert_weighed(store)
    (account,) = cached_snapshots(store)
    assert MOST_ABSENT // 2 < len(account.absent) <= MOST_ABSENT


async def test_an_account_that_begins_to_exist_has_one_snapshot(open_sqlite: OpenSqlite) -> None:
    store, other = Store(open_sqlite(), time.time), Store(open_sqlite(), time.time)
    assert await store.transaction().find(USERS, HERE, "bob") is None
    await write(other, user("bob"))
    assert await store.transaction().find(USERS, HERE, "bob") == user("bob")
    assert store.cache_size.entries == 1
    assert_weighed(store)


async def test_a_partition_larger_than_the_cache_is_still_read_whole(open_sqlite: OpenSqlite) -> None:
    store = Store(open_sqlite(), time.time, cache_limit=50_000)
    await write(store, *(user(f"{n:04}") for n in range(2500)))
    for _ in range(2):
        reader = store.transaction()
        assert [one.user_name for one in await reader.scan(USERS, HERE)] == [f"{n:04}" for n in range(2500)]
        for n in range(0, 2500, 97):
            assert (await reader.find(USERS, HERE, f"{n:04}")).user_name == f"{n:04}"
        assert_weighed(store, 50_000)


MANY = 1000


async def turns_beside(work: Awaitable[object]) -> int:
    """How often others have their turn before the work ends."""
    task = asyncio.ensure_future(work)
    turns = 0
    while not task.done():
        await asyncio.sleep(0)
        turns += 1
    await task
    return turns


async def test_others_have_their_turn_while_many_records_are_read_by_name(open_sqlite: OpenSqlite) -> None:
    engine = CountingEngine(open_sqlite())
    names = [f"user-{number:04}" for number in range(MANY)]
    await write(Store(engine, time.time), *map(user, names))
    store = Store(engine, time.time)  # which has read nothing yet
    engine.asked.clear()
    assert await turns_beside(store.transaction().find_all(USERS, HERE, names)) >= MANY // 200
    assert engine.asked["fetch"] == MANY // 200
    assert await store.transaction().find_all(USERS, HERE, [*names, "nobody"]) == [*map(user, names), None]


async def test_others_have_their_turn_while_marks_of_use_are_read(open_sqlite: OpenSqlite) -> None:
    store = Store(open_sqlite(), time.time)
    ids = [f"AIDA{number}" for number in range(MANY)]
    await store.transaction().find_all(USAGE, HERE, ids)
    marks = store.transaction()
    assert await turns_beside(marks.find_all(USAGE, HERE, ids)) >= 2 * (MANY // 200) - 1


async def test_records_are_of_one_state_though_others_write_between_any_two_slices(
    open_sqlite: OpenSqlite,
) -> None:
    """The other process writes at each fetch but the last: slices alone would be interrupted each time."""
    engine, other = CountingEngine(open_sqlite()), Store(open_sqlite(), time.time)
    names = [f"user-{number:04}" for number in range(MANY)]
    await write(other, *map(user, names))
    fetch = engine.fetch

    async def disturbed(partition: str, keys: Sequence[str]) -> tuple[Revision, list[bytes | None]]:
        found = await fetch(partition, keys)
        if len(keys) <= 200:
            await write(other, user(f"another-{engine.asked['fetch']}"))
        return found

    engine.fetch = disturbed  # type: ignore[method-assign]
    found = await Store(engine, time.time).transaction().find_all(USERS, HERE, names)
    assert found == [*map(user, names)]


def test_what_a_page_shows_is_compared_once_for_all_keys_that_appear() -> None:
    snapshot = PartitionSnapshot(Revision(1, b""))
    snapshot.note_listed("user/", "", None, ["user/b"])
    snapshot.note_listed("user/", "", 10, ["user/b"])
    snapshot.note_listed("role/", "", 10, ["role/a"])
    weight = snapshot.weight
    snapshot.note_presence({"user/c": True, "user/a": True, "user/b": False, "group/x": True})
    assert snapshot.listings == {"user/": ["user/a", "user/c"]}
    assert list(snapshot.pages) == [("role/", "", 10)]
    assert snapshot.weight == weight - _PAGE_WEIGHT - 8


def test_many_records_that_appear_cost_little_beside_many_pages() -> None:
    def appear(size: int) -> Callable[[], object]:
        def work() -> None:
            snapshot = PartitionSnapshot(Revision(1, b""))
            for number in range(200):
                snapshot.note_listed(f"reference/{number}", "", 10, [])
            snapshot.note_presence({f"finding/{number:06}": True for number in range(size)})

        return work

    names = called(appear(2000))
    assert len(names) < 2000, "each page is compared with all keys at once"
