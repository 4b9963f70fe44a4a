import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from broker.cache import Cache
from broker.errors import Refusal
from broker.names.secret import SecretKey
from broker.storage.engine import (
    GLOBAL,
    Changes,
    Conflict,
    EngineUnavailable,
    OutcomeUnknown,
    Revision,
    Write,
    account_partition,
)
from broker.storage.records import AccessKey, AccountSettings, ForeignAccessKey, Once, Usage
from broker.storage.sqlite import SqliteEngine
from broker.storage.store import (
    ACCESS_KEYS,
    FOREIGN_ACCESS_KEYS,
    ONCE,
    SETTINGS,
    USAGE,
    USERS,
    Store,
    Transaction,
)
from tests.unit.storage.people import HERE, THERE, user, write

OpenSqlite = Callable[[], SqliteEngine]


async def test_names_are_compared_without_case_and_keep_their_spelling(store: Store) -> None:
    await write(store, user("Bob"))
    reader = store.transaction()
    assert (await reader.find(USERS, HERE, "bOB")) == user("Bob")
    assert await reader.find(USERS, THERE, "Bob") is None
    assert await reader.scan(USERS, HERE, "BO") == [user("Bob")]


async def test_ids_are_compared_exactly(store: Store) -> None:
    key = AccessKey(
        account_id=HERE, access_key_id="AKIAX", user_name=None, secret=SecretKey("s"), created_at=1
    )
    transaction = store.transaction()
    transaction.put(ACCESS_KEYS, HERE, key)
    await transaction.commit()
    reader = store.transaction()
    assert await reader.find(ACCESS_KEYS, HERE, "AKIAX") == key
    assert await reader.find(ACCESS_KEYS, HERE, "akiax") is None


async def test_many_are_found_as_each_is_found_alone(store: Store) -> None:
    await write(store, user("a"), user("b"), user("c"))
    transaction = store.transaction()
    transaction.put(USERS, HERE, user("own"))
    transaction.delete(USERS, HERE, "C")
    await transaction.find(USERS, HERE, "b")
    keys = ["B", "a", "c", "gone", "own", "a"]
    found = await transaction.find_all(USERS, HERE, keys)
    assert found == [user("b"), user("a"), None, None, user("own"), user("a")]
    assert found == [await transaction.find(USERS, HERE, key) for key in keys]
    assert await transaction.find_all(USERS, HERE, []) == []


async def test_what_is_found_with_many_must_not_have_changed_at_the_commit(
    store: Store, other: Store
) -> None:
    await write(store, user("a"), user("b"))
    transaction = store.transaction()
    await transaction.find_all(USERS, HERE, ["a", "b"])
    changed = other.transaction()
    changed.delete(USERS, HERE, "b")
    await changed.commit()
    transaction.put(USERS, HERE, user("c"))
    with pytest.raises(Conflict):
        await transaction.commit()


async def test_a_single_record_is_found_whatever_key_is_asked_for(store: Store) -> None:
    transaction = store.transaction()
    transaction.put(SETTINGS, HERE, AccountSettings())
    await transaction.commit()
    reader = store.transaction()
    assert await reader.find(SETTINGS, HERE) == await reader.find(SETTINGS, HERE, "x") == AccountSettings()
    assert await reader.scan(SETTINGS, HERE) == [AccountSettings()]


async def test_get_raises_the_refusal_that_belongs_to_the_key(store: Store) -> None:
    reader = store.transaction()
    with pytest.raises(Refusal, match="NoSuchEntity: none called Bob"):
        await reader.get(USERS, HERE, "Bob", lambda key: Refusal("NoSuchEntity", f"none called {key}"))


async def test_a_transaction_sees_its_own_writes_and_others_do_not_before_the_commit(store: Store) -> None:
    await write(store, user("a"), user("c"), user("d"))
    transaction = store.transaction()
    transaction.put(USERS, HERE, user("b"))
    transaction.delete(USERS, HERE, "C")
    assert transaction.is_dirty
    assert await transaction.find(USERS, HERE, "B") == user("b")
    assert await transaction.find(USERS, HERE, "c") is None
    assert await transaction.scan(USERS, HERE) == [user("a"), user("b"), user("d")]
    assert await transaction.count(USERS, HERE) == 3
    assert await store.transaction().scan(USERS, HERE) == [user("a"), user("c"), user("d")]
    await transaction.commit()
    assert not transaction.is_dirty
    assert await store.transaction().scan(USERS, HERE) == [user("a"), user("b"), user("d")]


async def test_pages_of_a_scan_count_own_writes(store: Store) -> None:
    await write(store, *(user(name) for name in "abcdef"))
    transaction = store.transaction()
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
        reader = other.transaction()
        assert (await reader.find(USERS, HERE, "bob")).created_at == number
        assert [one.created_at for one in await reader.scan(USERS, HERE)] == [number, number]


async def test_of_two_that_read_and_write_the_same_record_the_second_conflicts(
    store: Store, other: Store
) -> None:
    await write(store, user("bob"))
    first, second = store.transaction(), other.transaction()
    for transaction in (first, second):
        assert await transaction.find(USERS, HERE, "bob")
        transaction.put(USERS, HERE, user("bob", path=f"/{id(transaction)}/"))
    await first.commit()
    with pytest.raises(Conflict):
        await second.commit()
    assert (await other.transaction().find(USERS, HERE, "bob")).path == f"/{id(first)}/"


async def test_what_was_absent_and_appears_meanwhile_conflicts(store: Store, other: Store) -> None:
    first, second = store.transaction(), other.transaction()
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
    transaction = store.transaction()
    assert len(await transaction.scan(USERS, HERE, limit=limit)) == 1
    transaction.put(USERS, HERE, user("eve"))
    await write(other, user("alice"))
    with pytest.raises(Conflict):
        await transaction.commit()


async def test_a_change_of_something_else_is_no_conflict(store: Store, other: Store) -> None:
    await write(store, user("bob"))
    transaction = store.transaction()
    assert await transaction.find(USERS, HERE, "bob")
    assert await transaction.find(USERS, HERE, "eve") is None
    transaction.put(USERS, HERE, user("bob", path="/moved/"))
    await write(other, user("alice"))
    await transaction.commit()
    assert len(await store.transaction().scan(USERS, HERE)) == 2


async def test_a_transaction_that_read_the_revision_is_not_rebased(store: Store, other: Store) -> None:
    await write(store, user("bob"))
    transaction = store.transaction()
    assert (await transaction.revision(account_partition(HERE))).number == 1
    transaction.put(USERS, HERE, user("eve"))
    await write(other, user("alice"))
    with pytest.raises(Conflict):
        await transaction.commit()


async def test_a_transaction_that_reads_the_revision_during_a_rebase_is_not_rebased(
    store: Store, other: Store
) -> None:
    await write(store, *(user(f"{number:04}") for number in range(1001)))
    fresh, partition = Store(store.engine, time.time), account_partition(HERE)
    reader = fresh.transaction()
    assert len(await reader.scan(USERS, HERE)) == 1001
    many = [Write(f"key/{number}", b"") for number in range(300)]  # more than the feed of changes names
    assert (await other.engine.commit(partition, many, None)).number == 2
    moving = asyncio.create_task(reader.find(ACCESS_KEYS, HERE, "AKIAX"))
    await asyncio.sleep(0)  # the read reads the long listing again, to see whether it is unchanged
    assert not moving.done() and (await reader.revision(partition)).number == 1
    with pytest.raises(Conflict):
        await moving
    assert (await reader.revision(partition)).number == 1


async def test_a_cached_value_counts_as_read_by_the_keys_that_it_is_made_of(
    store: Store, other: Store
) -> None:
    await write(store, user("bob"), user("eve"), user("zoe"))
    cache = Cache[str, str](10)

    async def path() -> str:
        return (await transaction.find(USERS, HERE, "bob")).path

    for number in range(3):  # it is made, then found
        transaction = store.transaction()
        assert await cache.at(transaction, "bob", path)
        transaction.put(USERS, HERE, user("zoe", path=f"/{number}/"))
        await write(other, user("eve", path=f"/{number}/"))
        await transaction.commit()
    for number in range(3):
        transaction = store.transaction()
        assert await cache.at(transaction, "bob", path)
        transaction.put(USERS, HERE, user("zoe"))
        await write(other, user("bob", path=f"/{number}/"))
        with pytest.raises(Conflict):
            await transaction.commit()


async def test_what_a_cached_value_is_made_of_is_unchanged_only_where_the_feed_tells(
    store: Store, other: Store
) -> None:
    await write(store, user("bob"))
    cache = Cache[str, str](10)

    async def path() -> str:
        return (await transaction.find(USERS, HERE, "bob")).path

    for _ in range(2):  # it is made, then found
        transaction = store.transaction()
        assert await cache.at(transaction, "bob", path)
    transaction.put(USERS, HERE, user("zoe"))
    many = [Write(f"key/{number}", b"") for number in range(300)]  # more than the feed of changes names
    await other.engine.commit(account_partition(HERE), many, None)
    with pytest.raises(Conflict):
        await transaction.commit()


async def test_a_transaction_that_only_reads_has_nothing_to_conflict_at_its_commit(
    store: Store, other: Store
) -> None:
    await write(store, user("bob"))
    transaction = store.transaction()
    assert await transaction.find(USERS, HERE, "bob")
    await write(other, user("bob", path="/moved/"))
    assert not transaction.is_dirty
    await transaction.commit()


async def test_a_reader_is_rebased_where_what_it_read_is_unchanged(store: Store, other: Store) -> None:
    await write(store, user("bob"))
    reader = store.transaction()
    assert await reader.find(USERS, HERE, "bob") == user("bob")
    await write(other, user("eve"))
    assert await reader.find(USERS, HERE, "eve") == user("eve")
    assert await reader.scan(USERS, HERE) == [user("bob"), user("eve")]


class BusyEngine:
    """Whenever it is asked, somebody has written just before."""

    def __init__(self, inner: Any, other: Store) -> None:
        self.inner = inner
        self.other = other
        self.name = "busy"
        self.written = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def fetch(self, *question: Any) -> Any:
        await self._write()
        return await self.inner.fetch(*question)

    async def page(self, *question: Any) -> Any:
        await self._write()
        return await self.inner.page(*question)

    async def _write(self) -> None:
        self.written += 1
        await write(self.other, user(self.name, created_at=self.written))


async def test_a_reader_has_its_answer_beside_others_who_write_all_the_time(
    store: Store, other: Store
) -> None:
    await write(store, *(user(name) for name in ("bob", "eve", "zoe")))
    engine = BusyEngine(store.engine, other)
    reader = Store(engine, time.time).transaction()
    assert await reader.find(USERS, HERE, "bob") == user("bob")
    assert await reader.find(USERS, HERE, "eve") == user("eve")
    assert await reader.find_all(USERS, HERE, ["zoe", "nobody"]) == [user("zoe"), None]
    listing = Store(engine, time.time).transaction()
    assert await listing.find(USERS, HERE, "bob") == user("bob")
    assert await listing.scan(USERS, HERE, "e") == [user("eve")]
    assert await listing.scan(USERS, HERE, "z") == [user("zoe")]
    listed = await Store(engine, time.time).transaction().scan(USERS, HERE)
    assert [one.user_name for one in listed] == ["bob", "busy", "eve", "zoe"]
    assert listed[1].created_at == engine.written


async def test_nor_does_it_mix_two_states_beside_them(store: Store, other: Store) -> None:
    await write(store, user("bob"), user("eve"))
    engine = BusyEngine(store.engine, other)
    reader = Store(engine, time.time).transaction()
    assert await reader.find(USERS, HERE, "bob") == user("bob")
    engine.name = "bob"
    with pytest.raises(Conflict):
        await reader.find(USERS, HERE, "eve")
    listing = Store(engine, time.time).transaction()
    assert await listing.scan(USERS, HERE, "bob")
    with pytest.raises(Conflict):
        await listing.find(USERS, HERE, "eve")


async def test_a_feed_that_ends_before_the_revision_proves_nothing(store: Store, other: Store) -> None:
    """As SQLite's does where an early version of the broker has written since."""

    class EndedFeed(BusyEngine):
        async def _write(self) -> None:
            pass

        async def changes(self, partition: str, since: Revision) -> Changes:
            return Changes(since, {})

    await write(store, user("bob", path="/old/"), user("eve", path="/old/"))
    reader = Store(EndedFeed(store.engine, other), time.time).transaction()
    assert (await reader.find(USERS, HERE, "bob")).path == "/old/"
    await write(other, user("bob", path="/new/"), user("eve", path="/new/"))
    with pytest.raises(Conflict):
        await reader.find(USERS, HERE, "eve")


async def test_a_reader_never_mixes_two_states(store: Store, other: Store) -> None:
    """Bob's new path and Eve's came in one commit: who read Bob's old one must not read Eve's new one."""
    await write(store, user("bob", path="/old/"), user("eve", path="/old/"))
    fresh = Store(store.engine, time.time)
    reader = fresh.transaction()
    assert (await reader.find(USERS, HERE, "bob")).path == "/old/"
    await write(other, user("bob", path="/new/"), user("eve", path="/new/"))
    with pytest.raises(Conflict):
        await reader.find(USERS, HERE, "eve")


async def test_concurrent_reads_of_a_transaction_see_one_state(store: Store, other: Store) -> None:
    """Both records always change together; two concurrent reads must not see different states."""
    await write(store, user("bob", created_at=0), user("eve", created_at=0))
    fresh = Store(store.engine, time.time)
    answered = 0

    async def read() -> None:
        nonlocal answered
        for _ in range(100):
            reader = fresh.transaction()
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


async def test_a_reader_of_cached_records_sees_the_state_that_it_began_with(
    store: Store, other: Store
) -> None:
    await write(store, user("bob", path="/old/"), user("eve", path="/old/"))
    assert len(await store.transaction().scan(USERS, HERE)) == 2
    reader = store.transaction()
    assert (await reader.find(USERS, HERE, "bob")).path == "/old/"
    await write(other, user("bob", path="/new/"), user("eve", path="/new/"))
    assert (await store.transaction().find(USERS, HERE, "eve")).path == "/new/"
    assert (await reader.find(USERS, HERE, "eve")).path == "/old/"


async def test_transact_retries_until_every_call_has_succeeded(store: Store, other: Store) -> None:
    async def append(transaction: Transaction) -> None:
        bob = await transaction.get(USERS, HERE, "bob", lambda key: Refusal("NoSuchEntity", key))
        await asyncio.sleep(0)
        transaction.put(USERS, HERE, user("bob", created_at=bob.created_at + 1))

    await write(store, user("bob", created_at=0))
    await asyncio.gather(*(one.transact(append) for one in [store, other] * 20))
    assert (await store.transaction().find(USERS, HERE, "bob")).created_at == 40


async def test_transact_succeeds_beside_another_process_that_is_faster(store: Store, other: Store) -> None:
    async def append(transaction: Transaction, pause: float = 0) -> None:
        bob = await transaction.get(USERS, HERE, "bob", lambda key: Refusal("NoSuchEntity", key))
        await asyncio.sleep(pause)
        transaction.put(USERS, HERE, user("bob", created_at=bob.created_at + 1))

    async def line() -> None:
        for _ in range(100):
            await other.transact(append)

    await write(store, user("bob", created_at=0))
    await asyncio.gather(line(), store.transact(lambda transaction: append(transaction, 0.003)))
    assert (await store.transaction().find(USERS, HERE, "bob")).created_at == 101


async def test_transact_stops_to_retry_after_many_conflicts(store: Store, other: Store) -> None:
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
    transaction = store.transaction()
    transaction.put(USERS, HERE, user("bob"))
    transaction.put(USERS, THERE, user("eve"))
    transaction.put(ONCE, HERE, Once(used_at=1), key="code", expires_at=time.time() + 9)
    await transaction.commit()
    reader = store.transaction()
    assert await reader.find(USERS, HERE, "bob")
    assert await reader.find(USERS, THERE, "eve")
    assert await reader.find(ONCE, HERE, "code") == Once(used_at=1)


async def test_expiry_belongs_to_expiring_collections_and_a_key_to_records_that_carry_none(
    store: Store,
) -> None:
    transaction = store.transaction()
    with pytest.raises(ValueError, match="expires_at"):
        transaction.put(USERS, HERE, user("bob"), expires_at=5.0)
    with pytest.raises(ValueError, match="expires_at"):
        transaction.put(ONCE, HERE, Once(used_at=1), key="code")
    with pytest.raises(ValueError, match="key"):
        transaction.put(USAGE, HERE, Usage(last_used_at=1))
    assert not transaction.is_dirty


@pytest.mark.parametrize(
    ("error", "answered"), [(EngineUnavailable("gone"), OutcomeUnknown), (Conflict("moved"), OutcomeUnknown)]
)
async def test_what_was_committed_in_part_is_not_reported_as_failed(
    store: Store, monkeypatch: pytest.MonkeyPatch, error: Exception, answered: type[Exception]
) -> None:
    """The user is deleted and the pointer cannot be; a retry would find no user and report that."""
    commit = store.engine.commit

    async def fail_outside_of_accounts(partition: str, *arguments: Any) -> Revision:
        if partition == GLOBAL:
            raise error
        return await commit(partition, *arguments)

    await write(store, user("bob"))
    monkeypatch.setattr(store.engine, "commit", fail_outside_of_accounts)

    async def delete(transaction: Transaction) -> None:
        assert await transaction.find(USERS, HERE, "bob"), "it was retried"
        transaction.delete(USERS, HERE, "bob")
        transaction.delete(FOREIGN_ACCESS_KEYS, "", "MINE")

    with pytest.raises(answered, match="committed in account/111111111111, and not known to be in global"):
        await store.transact(delete)
    assert await store.transaction().find(USERS, HERE, "bob") is None


async def test_a_commit_that_fails_before_anything_was_done_has_failed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> Revision:
        raise EngineUnavailable("gone")

    monkeypatch.setattr(store.engine, "commit", fail)
    transaction = store.transaction()
    transaction.put(USERS, HERE, user("bob"))
    transaction.delete(FOREIGN_ACCESS_KEYS, "", "MINE")
    with pytest.raises(EngineUnavailable) as refused:
        await transaction.commit()
    assert not isinstance(refused.value, OutcomeUnknown)


async def test_a_pointer_is_committed_before_its_record_and_deleted_after_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit over two partitions may be interrupted in between: what is left then does no harm."""
    key = AccessKey(
        account_id=HERE, access_key_id="MINE", user_name=None, secret=SecretKey("s"), created_at=1
    )
    pointer = ForeignAccessKey(access_key_id="MINE", account_id=HERE)
    commit, order = store.engine.commit, []

    async def record_and_commit(partition: str, *arguments: Any) -> Revision:
        order.append(partition)
        return await commit(partition, *arguments)

    monkeypatch.setattr(store.engine, "commit", record_and_commit)
    transaction = store.transaction()
    transaction.put(ACCESS_KEYS, HERE, key)
    transaction.put(FOREIGN_ACCESS_KEYS, "", pointer)
    await transaction.commit()
    assert order == [GLOBAL, account_partition(HERE)]
    order.clear()
    transaction = store.transaction()
    transaction.delete(FOREIGN_ACCESS_KEYS, "", "MINE")
    transaction.delete(ACCESS_KEYS, HERE, "MINE")
    await transaction.commit()
    assert order == [account_partition(HERE), GLOBAL]
