"""Tests that every storage engine must pass: the law of `broker/storage/engine.py`, sentence by sentence."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from broker.storage.engine import MARK_SIZE, NEVER_WRITTEN, Conflict, Engine, Revision, Write

HERE = "account/111111111111"
THERE = "account/222222222222"

NASTY_KEYS = [
    "A", "a", "a/", "a/b", "a\x00b", "ab", "a\u0301", "á", "ß", "user/%_*?[x]", "{tag}", "\x01", "\x7f",
    "ÿ", "\ud7ff", "\ue000", "\uffff", "\U00010000", "\U0001f600", "\U0010ffff", "\U0010ffff\U0010ffff",
]  # fmt: skip


async def increment(engine: Engine, key: str) -> None:
    """Read, add one, write; retry after a conflict."""
    while True:
        revision = await engine.revision(HERE)
        value = int(await engine.get(HERE, key) or b"0")
        try:
            await engine.commit(HERE, [Write(key, str(value + 1).encode())], revision)
        except Conflict:
            continue
        return


async def number_of(revision: Awaitable[Revision]) -> int:
    return (await revision).number


async def test_what_was_never_written_is_absent_and_at_revision_zero(engine: Engine) -> None:
    assert await engine.revision(HERE) == NEVER_WRITTEN
    assert await engine.get(HERE, "user/bob") is None
    assert await engine.fetch(HERE, ["user/bob", "user/eve"]) == (NEVER_WRITTEN, [None, None])
    assert await engine.scan(HERE, "") == []
    assert await engine.partitions("") == []


async def test_a_commit_is_read_back_and_moves_the_revision_by_one(engine: Engine) -> None:
    first = await engine.commit(HERE, [Write("user/bob", b"1"), Write("user/eve", b"2")], NEVER_WRITTEN)
    second = await engine.commit(HERE, [Write("user/bob", b"3")], first)
    assert (first.number, second.number) == (1, 2)
    assert await engine.revision(HERE) == second
    assert await engine.get(HERE, "user/bob") == b"3"
    assert await engine.fetch(HERE, ["user/eve", "none", "user/bob"]) == (second, [b"2", None, b"3"])


async def test_a_deleted_record_is_absent_and_may_come_back(engine: Engine) -> None:
    await engine.commit(HERE, [Write("a", b"1"), Write("b", b"2")], None)
    await engine.commit(HERE, [Write("a", None), Write("never", None)], None)
    assert await engine.get(HERE, "a") is None
    assert await engine.scan(HERE, "") == [("b", b"2")]
    await engine.commit(HERE, [Write("a", b"3")], None)
    assert await engine.scan(HERE, "") == [("a", b"3"), ("b", b"2")]


async def test_within_one_commit_the_last_write_of_a_key_counts(engine: Engine) -> None:
    await engine.commit(HERE, [Write("a", b"1"), Write("a", None), Write("b", None), Write("b", b"2")], None)
    assert await engine.scan(HERE, "") == [("b", b"2")]


async def test_an_unexpected_revision_conflicts_and_changes_nothing(engine: Engine) -> None:
    right = await engine.commit(HERE, [Write("a", b"1")], NEVER_WRITTEN)
    others = [Revision(number, right.mark) for number in (0, 2, 7)]
    for wrong in (NEVER_WRITTEN, Revision(1, b""), Revision(1, bytes(MARK_SIZE)), *others):
        with pytest.raises(Conflict):
            await engine.commit(HERE, [Write("a", b"x"), Write("b", b"x"), Write("c", None)], wrong)
    assert await engine.revision(HERE) == right
    assert await engine.scan(HERE, "") == [("a", b"1")]


async def test_a_commit_that_expects_no_revision_is_applied_at_any(engine: Engine) -> None:
    for round_ in range(1, 4):
        assert (await engine.commit(HERE, [Write("a", b"%d" % round_)], None)).number == round_


async def test_a_commit_of_nothing_still_moves_the_revision(engine: Engine) -> None:
    made = await engine.commit(HERE, [], NEVER_WRITTEN)
    assert made.number == 1
    assert await engine.revision(HERE) == made


async def test_each_of_many_partitions_has_its_own_writes_and_a_revision_more_whatever_it_was(
    open_engine: Callable[[], Engine],
) -> None:
    engine, other = open_engine(), open_engine()
    names = [f"{kind}/{number:012}" for kind in ("sessions", "usage") for number in range(120)]
    before = await engine.commit(names[7], [Write("a", b"old"), Write("b", b"old")], None)
    assert (await other.revision(names[7])) == before
    writes = {name: [Write("c", name.encode(), time.time() + 60)] for name in names}
    writes[names[7]] += [Write("a", None), Write("b", b"old"), Write("b", b"new"), Write("c", None)]
    assert await engine.commit_each(writes) == {}
    revisions = [await other.revision(name) for name in names]
    assert [revision.number for revision in revisions] == [2 if name == names[7] else 1 for name in names]
    assert len({revision.mark for revision in (before, *revisions)}) == len(names) + 1
    assert await other.scan(names[7], "") == [("b", b"new")]
    assert [await other.get(name, "c") for name in names[8:]] == [name.encode() for name in names[8:]]


async def test_what_is_written_to_each_partition_expires(engine: Engine) -> None:
    soon = time.time() + 0.2
    writes = [Write("a", b"1", soon), Write("b", b"2"), Write("c", b"3", soon + 60)]
    await engine.commit_each({"usage/1": writes, "usage/2": []})
    await asyncio.sleep(0.3)
    assert await engine.scan("usage/1", "") == [("b", b"2"), ("c", b"3")]
    assert await number_of(engine.revision("usage/2")) == 1


async def test_a_partition_with_a_feed_is_written_by_a_commit_of_its_own_only(engine: Engine) -> None:
    with pytest.raises(ValueError, match=HERE):
        await engine.commit_each({"usage/1": [Write("a", b"1")], HERE: [Write("a", b"1")]})
    assert await engine.partitions("") == []


async def test_no_two_commits_make_one_revision(engine: Engine) -> None:
    """Not even the first commits of two partitions: a store that is set back never reaches a lost revision again."""
    made = [await engine.commit(f"account/{number % 5}", [], None) for number in range(50)]
    assert len(set(made)) == len({revision.mark for revision in made}) == 50
    assert {len(revision.mark) for revision in made} == {MARK_SIZE}


async def test_partitions_do_not_see_each_other(engine: Engine) -> None:
    here = await engine.commit(HERE, [Write("a", b"here")], NEVER_WRITTEN)
    await engine.commit(THERE, [Write("a", b"there"), Write("b", b"there")], NEVER_WRITTEN)
    await engine.commit("usage/111111111111", [Write("a", b"usage")], NEVER_WRITTEN)
    assert await engine.scan(HERE, "") == [("a", b"here")]
    assert await engine.revision(HERE) == here
    assert await engine.scan("usage/111111111111", "") == [("a", b"usage")]


async def test_partitions_are_listed_in_order_even_when_all_their_records_were_deleted(
    engine: Engine,
) -> None:
    for partition in ("usage/1", "account/9", "account/10", "global"):
        await engine.commit(partition, [Write("a", b"1")], None)
    await engine.commit("account/9", [Write("a", None)], await engine.revision("account/9"))
    with pytest.raises(Conflict):
        await engine.commit("account/never", [Write("a", b"1")], Revision(5, bytes(MARK_SIZE)))
    assert await engine.partitions("account/") == ["account/10", "account/9"]
    assert await engine.partitions("") == ["account/10", "account/9", "global", "usage/1"]


async def test_every_value_comes_back_byte_by_byte(engine: Engine) -> None:
    values = {"empty": b"", "every": bytes(range(256)), "large": bytes(range(256)) * 4096}
    await engine.commit(HERE, [Write(key, value) for key, value in values.items()], None)
    assert dict(await engine.scan(HERE, "")) == values


async def test_a_scan_is_in_byte_order_for_keys_of_any_script(engine: Engine) -> None:
    await engine.commit(HERE, [Write(key, key.encode()) for key in NASTY_KEYS], None)
    expected = [(key, key.encode()) for key in sorted(NASTY_KEYS, key=str.encode)]
    assert await engine.scan(HERE, "") == expected
    for key in NASTY_KEYS:
        assert await engine.get(HERE, key) == key.encode()
        assert await engine.scan(HERE, key) == [pair for pair in expected if pair[0].startswith(key)]


@pytest.mark.parametrize("limit", [1, 2, 7, 100])
async def test_pages_of_a_scan_join_to_the_whole(engine: Engine, limit: int) -> None:
    await engine.commit(HERE, [Write(key, b"") for key in NASTY_KEYS], None)
    for prefix in ("", "a", "\U0010ffff"):
        joined: list[tuple[str, bytes]] = []
        while page := await engine.scan(HERE, prefix, joined[-1][0] if joined else "", limit):
            assert len(page) <= limit
            joined += page
        assert joined == await engine.scan(HERE, prefix)


async def test_a_page_is_of_one_revision_and_has_no_more_than_its_records(engine: Engine) -> None:
    assert await engine.page(HERE, "", "", 5) == (NEVER_WRITTEN, [])
    soon = time.time() + 0.2
    writes = [
        Write(f"a/{number:04}", b"%d" % number, soon if number < 700 else None) for number in range(1300)
    ]
    made = await engine.commit(HERE, writes, NEVER_WRITTEN)
    await asyncio.sleep(0.3)
    revision, pairs = await engine.page(HERE, "a/", "a/0100", 550)
    assert revision == made
    assert pairs == [(f"a/{number:04}", b"%d" % number) for number in range(700, 1250)]
    made = await engine.commit(HERE, [Write("a/1299", None), Write("b", b"")], made)
    assert await engine.page(HERE, "a/", pairs[-1][0], 10_000) == (
        made,
        [(f"a/{number:04}", b"%d" % number) for number in range(1250, 1299)],
    )


async def test_a_page_may_begin_behind_a_key_that_was_deleted_or_is_outside_of_the_prefix(
    engine: Engine,
) -> None:
    await engine.commit(HERE, [Write(key, b"") for key in ("a/1", "a/3", "b/1")], None)
    assert await engine.scan(HERE, "a/", after="a/2") == [("a/3", b"")]
    assert await engine.scan(HERE, "b/", after="a/3") == [("b/1", b"")]
    assert await engine.scan(HERE, "a/", after="b") == []


async def test_an_expired_record_is_absent_everywhere_and_one_that_expires_later_is_there(
    engine: Engine,
) -> None:
    soon = time.time() + 0.2
    await engine.commit(
        HERE,
        [Write("a", b"1", soon), Write("b", b"2"), Write("c", b"3", soon), Write("d", b"4", soon + 60)],
        NEVER_WRITTEN,
    )
    await asyncio.sleep(0.3)
    assert await engine.get(HERE, "a") is None
    assert await engine.get(HERE, "d") == b"4"
    assert await engine.fetch(HERE, ["a", "b"]) == (await engine.revision(HERE), [None, b"2"])
    assert await engine.scan(HERE, "") == [("b", b"2"), ("d", b"4")]
    assert await engine.scan(HERE, "", limit=1) == [("b", b"2")]


async def test_a_record_that_is_overwritten_has_the_new_expiry(engine: Engine) -> None:
    soon = time.time() + 0.2
    await engine.commit(HERE, [Write("a", b"1", soon), Write("b", b"1"), Write("c", b"1", soon)], None)
    await engine.commit(HERE, [Write("a", b"2"), Write("b", b"2", soon), Write("c", b"2", soon + 60)], None)
    await asyncio.sleep(0.3)
    await engine.commit(HERE, [Write("d", b"2")], None)
    assert await engine.scan(HERE, "") == [("a", b"2"), ("c", b"2"), ("d", b"2")]


async def test_a_record_may_be_expired_when_it_is_written(engine: Engine) -> None:
    await engine.commit(HERE, [Write("a", b"1", 1.0), Write("b", b"1", -1.0)], None)
    assert await engine.scan(HERE, "") == []


async def test_of_many_commits_that_expect_one_revision_exactly_one_holds(engine: Engine) -> None:
    first = await engine.commit(HERE, [Write("a", b"")], NEVER_WRITTEN)
    attempts = [engine.commit(HERE, [Write("a", b"%d" % i), Write(f"b{i}", b"")], first) for i in range(20)]
    outcomes = await asyncio.gather(*attempts, return_exceptions=True)
    assert [outcome for outcome in outcomes if not isinstance(outcome, Conflict)] == [
        await engine.revision(HERE)
    ]
    winner = next(i for i, outcome in enumerate(outcomes) if not isinstance(outcome, Conflict))
    assert await engine.scan(HERE, "") == [("a", b"%d" % winner), (f"b{winner}", b"")]


async def test_a_conflict_does_not_affect_concurrent_commits(engine: Engine) -> None:
    await engine.commit(HERE, [Write("a", b"")], NEVER_WRITTEN)
    good = [number_of(engine.commit(f"account/{i}", [Write("a", b"1")], NEVER_WRITTEN)) for i in range(10)]
    bad = [number_of(engine.commit(HERE, [Write("a", b"x")], NEVER_WRITTEN)) for _ in range(10)]
    outcomes = await asyncio.gather(
        *(one for pair in zip(good, bad, strict=True) for one in pair), return_exceptions=True
    )
    assert outcomes[::2] == [1] * 10
    assert all(isinstance(outcome, Conflict) for outcome in outcomes[1::2])


async def test_no_increment_is_lost_among_concurrent_ones(open_engine: Callable[[], Engine]) -> None:
    engines = [open_engine(), open_engine()]
    await asyncio.gather(*(increment(engines[i % 2], "counter") for i in range(16)))
    assert await engines[0].get(HERE, "counter") == b"16"
    assert await engines[0].revision(HERE) == await engines[1].revision(HERE)
    assert (await engines[0].revision(HERE)).number == 16


async def test_a_record_that_appears_after_a_scan_is_guarded_by_the_revision(engine: Engine) -> None:
    async def add_unless_two(name: str) -> bool:
        revision = await engine.revision(HERE)
        present = await engine.scan(HERE, "key/")
        await asyncio.sleep(0)
        if len(present) == 2:
            return False
        await engine.commit(HERE, [Write(f"key/{name}", b"")], revision)
        return True

    await engine.commit(HERE, [Write("key/first", b"")], NEVER_WRITTEN)
    outcomes = await asyncio.gather(*map(add_unless_two, "abcdef"), return_exceptions=True)
    assert outcomes.count(True) == 1
    assert len(await engine.scan(HERE, "key/")) == 2


async def test_readers_see_a_commit_whole_or_not_at_all(open_engine: Callable[[], Engine]) -> None:
    writer, reader = open_engine(), open_engine()
    keys = [f"k{i:03}" for i in range(40)]
    done = asyncio.Event()

    async def write() -> None:
        made = NEVER_WRITTEN
        for number in range(1, 26):
            made = await writer.commit(HERE, [Write(key, b"%d" % number) for key in keys], made)
        done.set()

    async def read() -> None:
        while not done.is_set():
            revision, values = await reader.fetch(HERE, keys)
            assert set(values) == {b"%d" % revision.number if revision.number else None}
            listed = await reader.scan(HERE, "")
            assert len(listed) in (0, len(keys))
            assert len({value for _, value in listed}) <= 1
            await asyncio.sleep(0)

    await asyncio.gather(write(), read())
    assert (await reader.revision(HERE)).number == 25


async def test_a_read_after_an_acknowledgement_sees_the_commit(open_engine: Callable[[], Engine]) -> None:
    writer, reader = open_engine(), open_engine()
    for round_ in range(1, 30):
        made = await writer.commit(HERE, [Write("a", b"%d" % round_)], None)
        assert await reader.revision(HERE) == made
        assert await reader.get(HERE, "a") == b"%d" % round_


async def test_concurrent_reads_each_see_what_was_acknowledged_before(
    open_engine: Callable[[], Engine],
) -> None:
    writer, reader = open_engine(), open_engine()
    acknowledged = 0
    done = False

    async def ask() -> None:
        while not done:
            before = acknowledged
            assert (await reader.revision(HERE)).number >= before
            await asyncio.sleep(0)

    async def write() -> None:
        nonlocal acknowledged, done
        for _ in range(60):
            acknowledged = (await writer.commit(HERE, [Write("a", b"")], None)).number
            await asyncio.sleep(0)
        done = True

    await asyncio.gather(write(), *(ask() for _ in range(10)))


async def test_what_was_committed_is_there_when_the_store_is_opened_again(
    open_engine: Callable[[], Engine],
) -> None:
    first = open_engine()
    made = await first.commit(HERE, [Write("a", b"1"), Write("b", b"2", time.time() + 60)], NEVER_WRITTEN)
    await first.close()
    second = open_engine()
    assert await second.revision(HERE) == made
    assert await second.scan(HERE, "") == [("a", b"1"), ("b", b"2")]


async def test_closing_twice_is_closing_once(open_engine: Callable[[], Engine]) -> None:
    """The second call must close nothing: the file descriptors may be in use for other files by then."""
    first = open_engine()
    made = await first.commit(HERE, [Write("a", b"1")], NEVER_WRITTEN)
    await first.close()
    second = open_engine()
    await first.close()
    await second.commit(HERE, [Write("b", b"2")], made)
    assert await second.scan(HERE, "") == [("a", b"1"), ("b", b"2")]


async def test_thousands_of_records_in_one_commit(engine: Engine) -> None:
    await engine.commit(HERE, [Write(f"role/{i:05}", b"x" * 100) for i in range(5000)], NEVER_WRITTEN)
    assert len(await engine.scan(HERE, "role/")) == 5000
    assert [key for key, _ in await engine.scan(HERE, "role/", "role/02499", 2)] == [
        "role/02500",
        "role/02501",
    ]


async def test_all_processes_on_a_store_read_one_clock(open_engine: Callable[[], Engine]) -> None:
    before = time.time()
    first, second = await open_engine().now(), await open_engine().now()
    assert before - 0.01 <= first <= second <= time.time() + 0.01
