import time
from collections.abc import Callable

import pytest

from broker.errors import Refusal
from broker.storage.engine import (
    EngineUnavailable,
    Write,
    account_partition,
    usage_partition,
)
from broker.storage.last_accessed import LAST_ACCESSED_SECONDS, operation_key, operation_prefix
from broker.storage.records import Usage
from broker.storage.sqlite import SqliteEngine
from broker.storage.store import ACCOUNTS, USAGE, USERS, Store, Transaction
from tests.unit.storage.people import HERE, user

OpenSqlite = Callable[[], SqliteEngine]


async def test_the_mark_of_an_operation_is_there_until_it_is_too_old_to_be_told(store: Store) -> None:
    now = int(time.time())
    for entity_id, age in (("AIDANEW", 0), ("AIDAOLD", LAST_ACCESSED_SECONDS)):
        usage = Usage(last_used_at=now - age, service="iam", action="GetUser")
        store.mark_used(HERE, operation_key(entity_id, "iam", "GetUser"), usage)
        store.mark_used(HERE, entity_id, Usage(last_used_at=now - age))
    await store.flush_usage()

    async def listed(prefix: str) -> int:
        return len(await store.transaction().scan(USAGE, HERE, prefix))

    assert await listed(operation_prefix("AIDANEW")) == 1
    assert await listed(operation_prefix("AIDAOLD")) == 0
    assert await listed("AIDA") == 2


async def test_usage_marks_are_read_at_once_and_written_by_the_flush(store: Store, other: Store) -> None:
    first, second = Usage(last_used_at=10), Usage(last_used_at=20, region="eu-west-1", service="sts")
    store.mark_used(HERE, "AKIAX", first)
    assert await store.transaction().find(USAGE, HERE, "AKIAX") == first
    assert await other.transaction().find(USAGE, HERE, "AKIAX") is None
    await store.flush_usage()
    assert await other.transaction().find(USAGE, HERE, "AKIAX") == first
    store.mark_used(HERE, "AKIAX", second)
    assert await store.transaction().find(USAGE, HERE, "AKIAX") == second
    await store.flush_usage()
    assert await other.transaction().find(USAGE, HERE, "AKIAX") == second


async def test_a_key_that_is_used_all_the_time_is_written_once_in_an_interval(
    open_sqlite: OpenSqlite,
) -> None:
    now = 1000.0
    async with Store(open_sqlite(), lambda: now) as store:
        for moment, written in ((1000, 1000), (1005, 1000), (1059, 1000), (1060, 1060), (1061, 1060)):
            now = float(moment)
            store.mark_used(HERE, "AKIAX", Usage(last_used_at=int(now)))
            await store.flush_usage(60.0)
            assert await stored_usage(store, "AKIAX") == written
            assert await store.transaction().find(USAGE, HERE, "AKIAX") == Usage(last_used_at=int(now))
        store.mark_used(HERE, "AKIAY", Usage(last_used_at=7))
        await store.flush_usage(60.0)
        assert await stored_usage(store, "AKIAY") == 7


async def test_a_clock_that_was_set_back_delays_no_mark(open_sqlite: OpenSqlite) -> None:
    now = 1000.0
    async with Store(open_sqlite(), lambda: now) as store:
        store.mark_used(HERE, "AKIAX", Usage(last_used_at=1000))
        await store.flush_usage(60.0)
        now = 900.0
        store.mark_used(HERE, "AKIAX", Usage(last_used_at=900))
        await store.flush_usage(60.0)
        assert await stored_usage(store, "AKIAX") == 900


async def stored_usage(store: Store, key: str) -> int:
    _, (value,) = await store.engine.fetch(usage_partition(HERE), [USAGE.stored_key(key)])
    assert value is not None
    return USAGE.decode(HERE, key, value).last_used_at


async def test_usage_marks_do_not_change_the_accounts_own_revision(store: Store) -> None:
    for number in range(100):
        store.mark_used(f"{number:012}", "AKIAX", Usage(last_used_at=1))
    await store.flush_usage()
    assert len(await store.engine.partitions("usage/")) == 100
    assert await store.engine.partitions("account/") == []
    assert (await store.engine.revision(usage_partition("000000000007"))).number == 1
    await store.flush_usage()
    assert (await store.engine.revision(usage_partition("000000000007"))).number == 1


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
    assert (await open_sqlite().revision(usage_partition(HERE))).number == 1


async def test_a_value_that_is_no_record_is_refused(store: Store) -> None:
    await store.engine.commit(account_partition(HERE), [Write("user/bob", b"\xff")], None)
    with pytest.raises(EngineUnavailable, match="account/111111111111 user/bob: not a user record"):
        await store.transaction().find(USERS, HERE, "bob")


async def test_global_collections_need_no_account(store: Store) -> None:
    transaction = store.transaction()
    transaction.put(ACCOUNTS, "", ACCOUNTS.record(account_id=HERE))
    await transaction.commit()
    assert await store.transaction().find(ACCOUNTS, "", HERE) == ACCOUNTS.record(account_id=HERE)
    assert await store.engine.partitions("") == ["global"]


async def test_a_refused_call_commits_its_unconditional_writes_only(store: Store) -> None:
    """An attempt that must be counted is counted where it is refused."""

    async def attempt(transaction: Transaction) -> None:
        transaction.put(USERS, HERE, user("bob"))
        transaction.make_unconditional()
        transaction.put(USERS, HERE, user("bob", path="/later/"))
        transaction.put(USERS, HERE, user("eve"))
        raise Refusal("AccessDenied", "no")

    async def plain(transaction: Transaction) -> None:
        transaction.put(USERS, HERE, user("ann"))
        raise Refusal("AccessDenied", "no")

    for work in (attempt, plain):
        with pytest.raises(Refusal):
            await store.transact(work)
    assert await store.transaction().scan(USERS, HERE) == [user("bob")]
