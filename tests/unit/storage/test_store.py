import time
from collections.abc import Callable, Mapping, Sequence

import pytest

from broker.errors import Refusal
from broker.storage import store as store_module
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
from tests.unit.storage.turns import Work

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


class PartlyAway:
    """What a flush hands to an engine: partitions and how many writes of each; those in `away` are not written."""

    def __init__(self, engine: SqliteEngine, away: Callable[[str], bool] = lambda partition: False) -> None:
        self.groups: list[dict[str, int]] = []
        self._away = away
        self._write = engine.commit_each
        engine.commit_each = self._commit_each  # type: ignore[method-assign]

    async def _commit_each(self, writes: Mapping[str, Sequence[Write]]) -> dict[str, EngineUnavailable]:
        self.groups.append({partition: len(some) for partition, some in writes.items()})
        there = {partition: some for partition, some in writes.items() if not self._away(partition)}
        return {
            **await self._write(there),
            **{partition: EngineUnavailable(partition) for partition in writes if partition not in there},
        }


def mark_many(store: Store, accounts: int, marks: int) -> None:
    for account in range(accounts):
        for key in range(marks):
            store.mark_used(f"{account:012}", f"AKIA{key}", Usage(last_used_at=1))


async def test_few_marks_of_many_accounts_and_many_marks_of_one_are_written_in_groups_that_others_wait_for_briefly(
    open_sqlite: OpenSqlite,
) -> None:
    engine = open_sqlite()
    seen, store = PartlyAway(engine), Store(engine, time.time)
    mark_many(store, accounts=150, marks=15)
    mark_many(store, accounts=1, marks=4500)
    await store.flush_usage()
    assert [len(group) for group in seen.groups] == [1, 1, 100, 50]
    assert [sum(group.values()) for group in seen.groups] == [2000, 2000, 500 + 99 * 15, 50 * 15]
    assert len(await engine.scan(usage_partition("000000000000"), "")) == 4500
    assert len(await engine.partitions("usage/")) == 150
    await store.flush_usage()
    assert len(seen.groups) == 4, "nothing stayed"


async def test_the_event_loop_runs_while_the_marks_of_many_accounts_are_encoded(
    open_sqlite: OpenSqlite, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded, encode = Work(), store_module._usage_write

    def noted(key: str, usage: Usage) -> Write:
        encoded.note()
        return encode(key, usage)

    monkeypatch.setattr(store_module, "_usage_write", noted)
    store = Store(open_sqlite(), time.time)
    mark_many(store, accounts=30, marks=30)
    async with encoded.watched():
        await store.flush_usage()
    assert encoded.noted == 900
    assert encoded.most <= 200


async def test_many_marks_of_an_account_whose_part_of_the_engine_is_away_stop_no_others(
    open_sqlite: OpenSqlite,
) -> None:
    engine = open_sqlite()
    seen, store = PartlyAway(engine, usage_partition("000000000000").__eq__), Store(engine, time.time)
    mark_many(store, accounts=3, marks=1500)
    with pytest.raises(EngineUnavailable, match="000000000000"):
        await store.flush_usage()
    assert [len(group) for group in seen.groups] == [1, 1, 1]
    assert len(await engine.partitions("usage/")) == 2
    with pytest.raises(EngineUnavailable):
        await store.flush_usage()
    assert [*seen.groups[3]] == [usage_partition("000000000000")], "it is tried again, the others are written"


async def test_a_flush_to_an_engine_that_is_away_ends_after_a_hundred_accounts(
    open_sqlite: OpenSqlite,
) -> None:
    engine = open_sqlite()
    seen, store = PartlyAway(engine, lambda partition: True), Store(engine, time.time)
    mark_many(store, accounts=350, marks=30)
    with pytest.raises(EngineUnavailable):
        await store.flush_usage()
    assert sum(len(group) for group in seen.groups) == 132
    assert all(len(group) == 66 for group in seen.groups)


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
