"""The agent's cache: what is served, renewed, kept while the broker is away, and dropped."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from broker.agent.cache import (
    MOST_FETCHES,
    AgentCache,
    AgentCredentials,
    Unavailable,
    UpstreamAway,
    UpstreamRefusal,
)
from broker.names.secret import SecretKey

LIFE = 1000.0


class Broker:
    """A broker that gives credentials, refuses, or is away; it counts how it is asked."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self.failure: Exception | None = None
        self.asked = 0
        self.at_once = self.most_at_once = 0

    def clock(self) -> float:
        return self.now

    async def fetch(self) -> AgentCredentials:
        self.asked += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        if self.failure is not None:
            raise self.failure
        return AgentCredentials(
            f"ASIA{self.asked}", SecretKey("secret"), "token", "1" * 12, "arn", self.now, self.now + LIFE
        )


@pytest.fixture
def broker() -> Broker:
    return Broker()


def cache_of(broker: Broker, spread: float = 0.5) -> AgentCache:
    return AgentCache(broker.clock, lambda: spread)


async def settled(cache: AgentCache) -> None:
    """What `renew` has started is done."""
    await cache.renew()
    for _ in range(20):
        await asyncio.sleep(0)


def run(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(work())  # type: ignore[arg-type]


def test_what_is_valid_is_served_without_asking_again(broker: Broker) -> None:
    async def work() -> None:
        cache = cache_of(broker)
        first = await cache.get("pod", broker.fetch)
        assert await cache.get("pod", broker.fetch) is first
        assert broker.asked == 1

    run(work)


def test_askers_at_the_same_time_cause_one_fetch(broker: Broker) -> None:
    async def work() -> None:
        cache = cache_of(broker)
        found = await asyncio.gather(*(cache.get("pod", broker.fetch) for _ in range(50)))
        assert (broker.asked, len(set(map(id, found)))) == (1, 1)

    run(work)


def test_a_thousand_pods_do_not_ask_all_at_once(broker: Broker) -> None:
    async def work() -> None:
        cache = cache_of(broker)
        await asyncio.gather(*(cache.get(number, broker.fetch) for number in range(1000)))
        assert (broker.asked, broker.most_at_once) == (1000, MOST_FETCHES)

    run(work)


def test_what_was_read_is_renewed_ahead_and_what_was_not_is_dropped(broker: Broker) -> None:
    async def work() -> None:
        cache = cache_of(broker)
        await cache.get("pod", broker.fetch)
        broker.now += 0.63 * LIFE
        await settled(cache)
        assert (broker.asked, cache.size) == (2, 1)
        broker.now += 0.63 * LIFE  # nobody has read the second one
        await settled(cache)
        assert (broker.asked, cache.size) == (2, 0)

    run(work)


def test_while_the_broker_is_away_what_is_valid_is_served_and_never_longer(broker: Broker) -> None:
    async def work() -> None:
        cache = cache_of(broker)
        first = await cache.get("pod", broker.fetch)
        broker.failure = UpstreamAway("no route")
        broker.now += 0.9 * LIFE
        await settled(cache)
        assert cache.is_away
        assert await cache.get("pod", broker.fetch) is first
        broker.now += 0.1 * LIFE
        with pytest.raises(Unavailable) as away:
            await cache.get("pod", broker.fetch)
        assert away.value.retry_after >= 1

    run(work)


def test_while_the_broker_is_away_one_attempt_at_a_time_is_made(broker: Broker) -> None:
    async def work() -> None:
        cache = cache_of(broker)
        for number in range(200):
            await cache.get(number, broker.fetch)
        before, broker.failure = broker.asked, UpstreamAway("no route")
        broker.now += 0.7 * LIFE
        await settled(cache)
        assert broker.asked - before <= MOST_FETCHES  # those that were started before the first failed
        at_first = broker.asked
        for _ in range(60):  # a minute
            broker.now += 1
            await settled(cache)
        assert broker.asked - at_first <= 12
        with pytest.raises(Unavailable):
            await cache.get("new", broker.fetch)

    run(work)


def test_after_a_return_renewals_are_spread(broker: Broker) -> None:
    async def work() -> None:
        spreads = iter(number / 1000 % 1 for number in range(100_000))
        cache = AgentCache(broker.clock, lambda: next(spreads))
        for number in range(500):
            await cache.get(number, broker.fetch)
        broker.failure = UpstreamAway("no route")
        broker.now += 0.76 * LIFE
        await settled(cache)
        broker.failure = None
        by_second = []
        for _ in range(120):
            before = broker.asked
            broker.now += 1
            await settled(cache)
            for _ in range(300):
                await asyncio.sleep(0)
            by_second.append(broker.asked - before)
        assert sum(by_second) >= 500
        assert max(by_second) <= 60

    run(work)


def test_a_refusal_ends_what_was_held(broker: Broker) -> None:
    async def work() -> None:
        cache = cache_of(broker)
        await cache.get("pod", broker.fetch)
        broker.failure = UpstreamRefusal(400, "InvalidTokenException", "no")
        broker.now += 0.7 * LIFE
        await settled(cache)
        assert (cache.size, cache.is_away) == (0, False)
        with pytest.raises(UpstreamRefusal):
            await cache.get("pod", broker.fetch)

    run(work)


def test_an_asker_that_goes_away_does_not_end_the_fetch_of_others(broker: Broker) -> None:
    async def work() -> None:
        cache = cache_of(broker)
        first = asyncio.create_task(cache.get("pod", broker.fetch))
        second = asyncio.create_task(cache.get("pod", broker.fetch))
        await asyncio.sleep(0)
        first.cancel()
        assert (await second).access_key_id == "ASIA1"
        await cache.close()

    run(work)


def test_credentials_do_not_print_themselves(broker: Broker) -> None:
    assert "secret" not in repr(asyncio.run(broker.fetch()))
    assert "token" not in repr(asyncio.run(broker.fetch()))
