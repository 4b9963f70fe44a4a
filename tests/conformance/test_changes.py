"""The feed of changes: what engines tell of the commits since a revision; no cache shows what they have changed."""

import asyncio
import random
import time

import msgspec
import pytest

from broker.cache import Cache
from broker.storage.changes import FEED_LENGTH, changes_since, pack_keys
from broker.storage.engine import (
    MARK_SIZE,
    NEVER_WRITTEN,
    Changes,
    Engine,
    Revision,
    Write,
    account_partition,
    replay_partition,
    sessions_partition,
    usage_partition,
)
from broker.storage.records import User
from broker.storage.store import USERS, Store, Transaction

from .conftest import OpenEngine

ACCOUNT = "111111111111"
HERE = account_partition(ACCOUNT)


async def test_the_feed_names_what_was_written_and_deleted_since_a_revision(engine: Engine) -> None:
    first = await engine.commit(HERE, [Write("a", b"1"), Write("b", b"1")], NEVER_WRITTEN)
    second = await engine.commit(HERE, [Write("b", None), Write("c\x00ß", b"1")], first)
    third = await engine.commit(HERE, [Write("c\x00ß", None), Write("d", b"1")], second)
    assert await engine.changes(HERE, third) == Changes(third, {})
    assert await engine.changes(HERE, second) == Changes(third, {"c\x00ß": False, "d": True})
    assert await engine.changes(HERE, first) == Changes(third, {"b": False, "c\x00ß": False, "d": True})


async def test_the_feed_knows_nothing_of_revisions_that_the_partition_never_had(engine: Engine) -> None:
    assert await engine.changes(HERE, NEVER_WRITTEN) is None
    made = await engine.commit(HERE, [Write("a", b"1")], NEVER_WRITTEN)
    for unknown in (
        NEVER_WRITTEN,
        Revision(made.number, bytes(MARK_SIZE)),
        Revision(made.number + 1, made.mark),
    ):
        assert await engine.changes(HERE, unknown) is None
    assert await engine.changes(account_partition("222222222222"), made) is None


async def test_the_feed_has_an_end(engine: Engine) -> None:
    made = [await engine.commit(HERE, [Write(f"{number}", b"")], None) for number in range(FEED_LENGTH + 3)]
    reached = await engine.changes(HERE, made[-FEED_LENGTH])
    assert reached is not None
    assert reached.revision == made[-1]
    assert len(reached.present) == FEED_LENGTH - 1
    assert await engine.changes(HERE, made[-FEED_LENGTH - 1]) is None


async def test_a_commit_of_very_many_keys_is_not_in_the_feed(engine: Engine) -> None:
    first = await engine.commit(HERE, [Write("a", b"1")], NEVER_WRITTEN)
    large = await engine.commit(HERE, [Write(f"{number}", b"") for number in range(1000)], first)
    last = await engine.commit(HERE, [Write("a", b"2")], large)
    assert await engine.changes(HERE, first) is None
    assert await engine.changes(HERE, large) == Changes(last, {"a": True})


@pytest.mark.parametrize(
    "partition", [usage_partition(ACCOUNT), sessions_partition(ACCOUNT), replay_partition(ACCOUNT)]
)
async def test_what_is_written_with_most_requests_has_no_feed(engine: Engine, partition: str) -> None:
    first = await engine.commit(partition, [Write("a", b"1")], None)
    await engine.commit(partition, [Write("b", b"1")], None)
    assert await engine.changes(partition, first) is None


async def test_a_conflict_leaves_nothing_in_the_feed(engine: Engine) -> None:
    first = await engine.commit(HERE, [Write("a", b"1")], NEVER_WRITTEN)
    with pytest.raises(Exception, match="at revision"):
        await engine.commit(HERE, [Write("b", b"1")], NEVER_WRITTEN)
    assert await engine.changes(HERE, first) == Changes(first, {})


def user(name: str, number: int) -> User:
    return User(account_id=ACCOUNT, user_name=name, user_id=f"AIDA{number}", created_at=number)


async def change(store: Store, chance: random.Random, most: int) -> None:
    """One commit of another process: users are made, changed and deleted."""
    transaction = store.transaction()
    for _ in range(chance.randint(1, most)):
        name = f"{chance.randrange(30):02}"
        if chance.random() < 0.4:
            transaction.delete(USERS, ACCOUNT, name)
        else:
            transaction.put(USERS, ACCOUNT, user(name, chance.randrange(1000)))
    await transaction.commit()


async def require_true(store: Store, engine: Engine, chance: random.Random) -> None:
    """What the store's cache shows is what the engine has."""
    stored = {
        key.partition("/")[2]: USERS.decode(HERE, key, value)
        for key, value in await engine.scan(HERE, "user/")
    }
    reader = store.transaction()
    if chance.random() < 0.5:
        assert await reader.scan(USERS, ACCOUNT) == [stored[name] for name in sorted(stored)]
    after, limit = f"{chance.randrange(30):02}", chance.choice((1, 3, 7))
    behind = [stored[name] for name in sorted(stored) if name > after]
    assert await reader.scan(USERS, ACCOUNT, after=after, limit=limit) == behind[:limit]
    names = [f"{chance.randrange(30):02}" for _ in range(5)]
    assert await reader.find_all(USERS, ACCOUNT, names) == [stored.get(name) for name in names]


@pytest.mark.parametrize("commits", [3, FEED_LENGTH + 5], ids=["within the feed", "past its end"])
async def test_a_cache_never_shows_what_others_have_changed(open_engine: OpenEngine, commits: int) -> None:
    """Two processes write and read: lists, pages and single records, after each few commits of the other one."""
    chance = random.Random(commits)
    engines = [open_engine(), open_engine()]
    stores = [Store(engine, time.time) for engine in engines]
    for _ in range(12 if commits < FEED_LENGTH else 3):
        for store in stores:
            for _ in range(chance.randint(commits // 2, commits)):
                await change(store, chance, 3)
            for reader in stores:
                await require_true(reader, engines[0], chance)


async def test_readers_and_writers_at_once_see_each_acknowledged_write(open_engine: OpenEngine) -> None:
    """Each value that a reader sees is at least the last one that was acknowledged before it asked."""
    acknowledged = {f"{number}": 0 for number in range(3)}
    writers = [Store(open_engine(), time.time) for _ in acknowledged]
    reader = Store(open_engine(), time.time)
    is_done = False

    async def write(store: Store, name: str) -> None:
        for number in range(1, 40):

            async def put(transaction: Transaction, number: int = number) -> None:
                transaction.put(USERS, ACCOUNT, user(name, number))

            await store.transact(put)
            acknowledged[name] = number

    async def read() -> None:
        while not is_done:
            before = dict(acknowledged)
            seen = {
                one.user_name: one.created_at
                for one in await reader.transact(lambda t: t.scan(USERS, ACCOUNT))
            }
            assert all(seen.get(name, 0) >= number for name, number in before.items())
            await asyncio.sleep(0)

    reading = asyncio.gather(*(read() for _ in range(4)))
    await asyncio.gather(*(write(*one) for one in zip(writers, acknowledged, strict=True)))
    is_done = True
    await reading


def test_an_entry_behind_a_gap_tells_nothing() -> None:
    """As a broker of an early version leaves it, whose commits write no entries."""

    def entry(number: int) -> tuple[Revision, bytes]:
        return Revision(number, b"%d" % number), pack_keys([Write(f"k{number}", b"")])

    since = Revision(5, b"5")
    assert changes_since(since, map(entry, (5, 6, 7))) == Changes(Revision(7, b"7"), {"k6": True, "k7": True})
    damaged = (Revision(6, b"6"), b"\xc1")
    assert changes_since(since, [entry(5), damaged]) is None
    for gap in ((5, 7), (6, 7), (5, 6, 8), ()):
        assert changes_since(since, map(entry, gap)) is None


class Made(msgspec.Struct, frozen=True):
    """What a cache holds: the users that it was made of."""

    users: tuple[User | None, ...]


async def made_of(store: Transaction, cache: Cache[str, Made], names: str, asked: list[str]) -> Made:
    async def make() -> Made:
        asked.append(names)
        return Made(tuple([await store.find(USERS, ACCOUNT, name) for name in names]))

    return await cache.at(store, names, make)


async def test_a_commit_invalidates_what_was_made_of_the_records_that_it_wrote_and_nothing_else(
    open_engine: OpenEngine,
) -> None:
    here, there, cache = Store(open_engine(), time.time), Store(open_engine(), time.time), Cache[str, Made](9)
    asked: list[str] = []
    for name in "abc":
        await put(there, user(name, 1))
    for names in ("ab", "bc"):
        await made_of(here.transaction(), cache, names, asked)
    for store in (here, there):  # by a commit of this process, and of another
        asked.clear()
        await put(store, user("a", 2))
        await put(store, user("d", 2))
        for names in ("ab", "bc", "ab", "bc"):
            made = await made_of(here.transaction(), cache, names, asked)
            expected = [await there.transaction().find(USERS, ACCOUNT, name) for name in names]
            assert list(made.users) == expected
        assert asked == ["ab"]


async def test_past_the_end_of_the_feed_everything_is_made_again(open_engine: OpenEngine) -> None:
    here, there, cache = Store(open_engine(), time.time), Store(open_engine(), time.time), Cache[str, Made](9)
    asked: list[str] = []
    await put(there, user("a", 1))
    await made_of(here.transaction(), cache, "a", asked)
    for number in range(FEED_LENGTH - 1):
        await put(there, user("b", number))
    await made_of(here.transaction(), cache, "a", asked)
    assert asked == ["a"]
    for number in range(FEED_LENGTH + 1):
        await put(there, user("b", number))
    await made_of(here.transaction(), cache, "a", asked)
    assert asked == ["a", "a"]


async def put(store: Store, one: User) -> None:
    transaction = store.transaction()
    transaction.put(USERS, ACCOUNT, one)
    await transaction.commit()


@pytest.mark.parametrize("commits", [3, FEED_LENGTH + 5], ids=["within the feed", "past its end"])
async def test_what_was_made_of_records_is_never_older_than_they_are(
    open_engine: OpenEngine, commits: int
) -> None:
    """Two processes write at random; values that are made of others, too, are compared with what is stored."""
    chance = random.Random(commits)
    stores = [Store(open_engine(), time.time) for _ in range(2)]
    caches = [(Cache[str, Made](100), Cache[str, Made](100)) for _ in stores]

    async def made(store: Transaction, outer: Cache[str, Made], inner: Cache[str, Made], name: str) -> Made:
        """Of a user, and of another value that is cached itself."""

        async def find(name: str) -> Made:
            return Made((await store.find(USERS, ACCOUNT, name),))

        async def make() -> Made:
            behind = await inner.at(store, after(name), lambda: find(after(name)))
            return Made((await store.find(USERS, ACCOUNT, name), *behind.users))

        return await outer.at(store, name, make)

    for _ in range(40 if commits < FEED_LENGTH else 4):
        for _ in range(chance.randint(commits // 2, commits)):
            await change(chance.choice(stores), chance, 3)
        for store, (outer, inner) in zip(stores, caches, strict=True):
            for name in [f"{number:02}" for number in chance.sample(range(30), 8)]:
                reader = store.transaction()
                shown = await made(reader, outer, inner, name)
                assert list(shown.users) == await reader.find_all(USERS, ACCOUNT, [name, after(name)])


def after(name: str) -> str:
    return f"{(int(name) + 1) % 30:02}"
