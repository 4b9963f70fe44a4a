"""The one cache: never over its limit, what is in use stays, and nothing outlives what it was made of."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

import pytest

from broker.cache import Cache, MadeOf


class Part:
    def __init__(self, weight: int) -> None:
        self.weight = weight


class Store:
    """A transaction that reads a number in each partition; it lets others go on before it answers."""

    def __init__(self, **numbers: int) -> None:
        self.numbers = numbers
        self.is_dirty = False

    async def renewed(self, source: MadeOf) -> MadeOf | None:
        await asyncio.sleep(0)
        return source if source.revision == self.numbers[source.partition] else None

    async def recorded(self, make: Callable[[], Awaitable[str]]) -> tuple[str, tuple[MadeOf, ...]]:
        return await make(), self.sources

    @property
    def sources(self) -> tuple[MadeOf, ...]:
        return tuple(MadeOf(partition, number, None) for partition, number in self.numbers.items())


def maker(*values: str) -> Callable[[], Awaitable[str]]:
    """What gives one of the values after another, and fails when it is asked once more."""
    left = iter(values)

    async def make() -> str:
        return next(left)

    return make


def test_a_value_that_was_put_is_found_and_another_replaces_it():
    cache: Cache[str, str] = Cache(10)
    assert cache.get("a") is None
    cache.put("a", "first", 3)
    cache.put("a", "second", 2)
    assert (cache.get("a"), len(cache), cache.weight) == ("second", 1, 2)


def test_the_oldest_is_evicted_first_and_what_was_used_since_is_not():
    cache: Cache[int, str] = Cache(3)
    for number in (1, 2, 3):
        cache.put(number, "x")
    cache.get(1)
    cache.put(4, "x")
    assert [number for number in (1, 2, 3, 4) if cache.get(number)] == [1, 3, 4]


def test_what_is_read_once_does_not_evict_what_is_in_use():
    cache: Cache[str, int] = Cache(100)
    for hot in range(50):
        cache.put(f"hot {hot}", hot)
    for once in range(10_000):
        assert cache.get(f"hot {once % 50}") == once % 50
        cache.put(f"once {once}", once)
    assert len(cache) == 100


def test_a_value_that_is_replaced_stays_in_use():
    cache: Cache[str, int] = Cache(2)
    cache.put("hot", 1)
    cache.get("hot")
    cache.put("hot", 2)
    cache.put("once", 0)
    cache.put("another", 0)
    assert cache.get("hot") == 2


def test_a_value_heavier_than_the_limit_is_not_cached_and_evicts_nothing_but_its_predecessor():
    cache: Cache[str, str] = Cache(10)
    for key in "ab":
        cache.put(key, "light", 5)
    cache.put("a", "heavy", 11)
    cache.put("c", "heavy", 11)
    assert (cache.get("a"), cache.get("b"), cache.get("c"), cache.weight) == (None, "light", None, 5)


def test_a_value_that_becomes_too_heavy_is_evicted_and_no_other():
    cache: Cache[str, list[int]] = Cache(10)
    grown, other = [1], [2]
    cache.put("a", grown, 1)
    cache.put("b", other, 4)
    cache.reweigh("a", grown, 6)
    assert cache.weight == 10
    cache.reweigh("a", [1], 1)  # an equal one, which the cache does not have
    assert cache.weight == 10
    cache.reweigh("a", grown, 11)
    cache.reweigh("a", grown, 12)
    assert (cache.get("a"), cache.get("b"), cache.weight) == (None, other, 4)


def test_a_part_that_several_values_hold_weighs_once_until_the_last_of_them_is_evicted():
    cache: Cache[str, tuple[Part, ...]] = Cache(1000, lambda parts: parts)
    shared, own = Part(100), Part(10)
    cache.put("a", (shared, own), 1)
    cache.put("b", (shared,), 1)
    cache.put("c", (shared, shared), 1)
    assert cache.weight == 113
    cache.put("a", (), 1)
    cache.put("b", (), 1)
    assert cache.weight == 103
    cache.put("c", (), 1)
    assert cache.weight == 3


def test_values_are_evicted_for_the_weight_of_their_parts():
    cache: Cache[int, tuple[Part, ...]] = Cache(1000, lambda parts: parts)
    for number in range(100):
        cache.put(number, (Part(90),), 10)
        assert cache.weight <= 1000
    assert len(cache) == 10


def test_what_is_outdated_is_discarded_and_the_rest_stays_in_its_order():
    cache: Cache[int, int] = Cache(4)
    for number in range(4):
        cache.put(number, number)
    cache.discard(lambda number: number % 2 == 0)
    assert (len(cache), cache.weight) == (2, 2)
    for number in range(4, 7):
        cache.put(number, number)
    assert [number for number in range(7) if cache.get(number) is not None] == [3, 4, 5, 6]


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_done_the_weight_is_the_sum_and_within_the_limit(seed: int):
    random, cache = Random(seed), Cache[int, tuple[Part, ...]](200, lambda parts: parts)
    parts = [Part(random.randrange(30)) for _ in range(5)]
    known: dict[int, tuple[tuple[Part, ...], int]] = {}
    for _ in range(2000):
        key, weight = random.randrange(40), random.randrange(1, 40)
        match random.randrange(4):
            case 0:
                known[key] = (tuple(random.sample(parts, random.randrange(4))), weight)
                cache.put(key, *known[key])
            case 1:
                cache.get(key)
            case 2 if key in known:
                known[key] = (known[key][0], weight)
                if cache.get(key) is known[key][0]:
                    cache.reweigh(key, *known[key])
            case 3 if weight == 1:
                outdated = parts[0]
                cache.discard(lambda held, outdated=outdated: outdated in held)
        held = {number: known[number] for number in known if cache.get(number) is not None}
        in_use = {part for values, _ in held.values() for part in values}
        assert cache.weight == sum(w for _, w in held.values()) + sum(part.weight for part in in_use) <= 200
        assert len(cache) == len(held)


async def test_a_value_is_made_once_while_all_that_it_was_made_of_is_unchanged():
    cache, store = Cache[str, str](10), Store(a=1, b=1)
    make = maker("first", "second", "third")
    assert [await cache.at(store, "k", make) for _ in range(3)] == ["first"] * 3
    store.numbers["b"] = 2
    assert [await cache.at(store, "k", make) for _ in range(3)] == ["second"] * 3
    store.numbers["b"] = 1  # a transaction that reads the older state must not get the newer value
    assert await cache.at(store, "k", make) == "third"


async def test_a_value_that_was_found_unchanged_at_a_later_revision_is_found_there_at_once():
    cache, asked = Cache[str, str](10), []

    class Later(Store):
        async def renewed(self, source: MadeOf) -> MadeOf | None:
            asked.append(source.revision)
            return source if source.revision == 2 else MadeOf(source.partition, 2, None)

    store = Later(a=1, b=2)
    assert await cache.at(store, "k", maker("made")) == "made"
    asked.clear()
    assert await cache.at(store, "k", maker()) == "made"
    assert asked == [1, 1, 2]
    asked.clear()
    assert await cache.at(store, "k", maker()) == "made"
    assert asked == [2, 2]


async def test_a_transaction_that_has_writes_neither_fills_nor_reads_the_cache():
    cache, store = Cache[str, str](10), Store(a=1)
    assert await cache.at(store, "k", maker("committed")) == "committed"
    store.is_dirty = True
    assert await cache.at(store, "k", maker("changed")) == "changed"
    cache.put_made(store, "k", "changed", store.sources)
    store.is_dirty = False
    assert await cache.at(store, "k", maker()) == "committed"


async def test_what_is_made_while_the_transaction_writes_is_not_cached():
    cache, store = Cache[str, str](10), Store(a=1)

    async def make() -> str:
        store.is_dirty = True
        return "changed"

    assert await cache.at(store, "k", make) == "changed"
    assert len(cache) == 0


async def test_an_error_or_none_is_not_cached():
    cache, store = Cache[str, str | None](10), Store(a=1)

    async def fail() -> str:
        raise ValueError

    async def find_none() -> None:
        return None

    with pytest.raises(ValueError):
        await cache.at(store, "k", fail)
    assert await cache.at(store, "k", find_none) is None
    assert len(cache) == 0
    assert await cache.at(store, "k", maker("found")) == "found"


async def test_what_another_request_puts_meanwhile_is_not_taken_for_what_was_found():
    cache, old, new = Cache[str, str](10), Store(a=1), Store(a=2)
    cache.put_made(old, "k", "old", old.sources)

    async def put_newer() -> None:
        cache.put_made(new, "k", "new", new.sources)

    found, _ = await asyncio.gather(cache.find(old, "k"), put_newer())
    assert found == "old"
    assert await cache.find(old, "k") is None
    assert await cache.find(new, "k") == "new"


async def test_a_value_that_was_put_without_sources_is_found_by_get_alone():
    cache, store = Cache[str, str](10), Store(a=1)
    cache.put("k", "x")
    assert await cache.find(store, "k") is None
    assert cache.get("k") == "x"


def test_a_cache_prints_nothing_that_is_in_it():
    cache: Cache[str, str] = Cache(10)
    cache.put("a key", "a value")
    assert "a key" not in repr(cache)
    assert "a value" not in repr([*cache._entries.values()])
