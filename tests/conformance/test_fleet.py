"""Brokers on Redis servers that fail over, under load: nobody reads what is older than a write that was acknowledged
before, who cannot be answered is refused in time, and all go on by themselves.

`scripts/failover` repeats these tests for as long as one likes.
"""

import asyncio
import gc
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from redis.crc import key_slot

from broker.storage.engine import Changes, EngineUnavailable, Revision, Write, account_partition
from broker.storage.redis import RedisEngine
from broker.storage.redis_names import revision_key
from broker.storage.store import USERS, Store, Transaction
from tests.redis_fleet import Fleet, cluster_fleet, sentinel_fleet
from tests.redis_server import RedisServer
from tests.relay import Relay
from tests.unit.storage.people import HERE, user, write

# Seconds: the promise of a reading or a commit is two; the rest is for a machine that does other work. So is most of
# the time to recover: a master that was killed comes back as a replica, without which nothing is answered, after ten
# seconds of Sentinel.
_LONGEST_REFUSAL = 2.0 + 1.0
_RECOVERS_WITHIN = 60.0
_TICK = 0.02

Answer = TypeVar("Answer")


class Stalls:
    """`seconds` for which the event loop did not run: a machine with other work had no processor for it."""

    def __init__(self) -> None:
        self.seconds = 0.0

    async def watch(self) -> None:
        while True:
            begun = time.monotonic()
            await asyncio.sleep(_TICK)
            self.seconds += max(0.0, time.monotonic() - begun - 2 * _TICK)


class TimedRedis(RedisEngine):
    """Notes how long the slowest refusal of one reading or commit took, in seconds without stalls, and its words."""

    slowest_refusal = (0.0, "")
    stalls = Stalls()

    async def revision(self, partition: str) -> Revision:
        return await self._timed(super().revision(partition))

    async def changes(self, partition: str, since: Revision) -> Changes | None:
        return await self._timed(super().changes(partition, since))

    async def fetch(self, partition: str, keys: Sequence[str]) -> tuple[Revision, list[bytes | None]]:
        return await self._timed(super().fetch(partition, keys))

    async def commit(self, partition: str, writes: Sequence[Write], expecting: Revision | None) -> Revision:
        return await self._timed(super().commit(partition, writes, expecting))

    async def _timed(self, asked: Awaitable[Answer]) -> Answer:
        begun = time.monotonic() - self.stalls.seconds
        try:
            return await asked
        except EngineUnavailable as error:
            seconds = time.monotonic() - self.stalls.seconds - begun
            self.slowest_refusal = max(self.slowest_refusal, (seconds, str(error)))
            raise


class Brokers:
    """Processes on one store: the first one writes and each reads, all the time."""

    def __init__(self, engines: list[TimedRedis]) -> None:
        self.engines = engines
        self.stores = [Store(engine, time.time) for engine in engines]
        self.acknowledged = 0
        self.refusals = 0
        self.last_refusal = ""
        self.answers = [0 for _ in engines]
        self.is_done = False
        self.tasks: list[asyncio.Task[None]] = []  # the load
        self._next = 0

    async def write(self) -> None:
        while not self.is_done:
            await asyncio.sleep(0.002)
            self._next += 1
            number = self._next

            async def put(transaction: Transaction, number: int = number) -> None:
                await transaction.find(USERS, HERE, "bob")
                transaction.put(USERS, HERE, user("bob", created_at=number))

            if await self._asked(lambda put=put: self.stores[0].transact(put)):  # type: ignore[misc]
                self.acknowledged = max(self.acknowledged, number)

    async def read(self, index: int) -> None:
        while not self.is_done:
            before = self.acknowledged

            async def look(before: int = before) -> None:
                found = await self.stores[index].transaction().find(USERS, HERE, "bob")
                assert (0 if found is None else found.created_at) >= before, "an older state was read"

            if await self._asked(look):
                self.answers[index] += 1
            await asyncio.sleep(0.002)

    async def _asked(self, ask: Callable[[], Awaitable[None]]) -> bool:
        try:
            await ask()
        except EngineUnavailable as error:
            self.refusals += 1
            self.last_refusal = str(error)
            return False
        return True

    async def weaknesses(self) -> list[str]:
        return await self.engines[0].weaknesses()

    async def all_answer(self, but: int = -1) -> None:
        """Wait until a write was acknowledged, and each broker has answered, since now."""
        deadline = time.monotonic() + _RECOVERS_WITHIN
        acknowledged, answers = self.acknowledged, list(self.answers)
        while self.acknowledged < acknowledged + 5 or any(
            now < before + 5
            for index, (now, before) in enumerate(zip(self.answers, answers, strict=True))
            if index != but
        ):
            for ended in [task for task in self.tasks if task.done()]:
                ended.result()
            assert time.monotonic() < deadline, f"the brokers do not recover: {self.last_refusal}"
            await asyncio.sleep(0.05)

    async def refused(self) -> None:
        """Wait until somebody is."""
        deadline, before = time.monotonic() + _RECOVERS_WITHIN, self.refusals
        while self.refusals == before:
            assert time.monotonic() < deadline, "nobody is refused"
            await asyncio.sleep(0.02)


@asynccontextmanager
async def brokers_on(*urls: str, replicas: int = 0) -> AsyncIterator[Brokers]:
    """Their load runs in the meantime; in the end every refusal must have come in time."""
    watching = asyncio.create_task(TimedRedis.stalls.watch())
    brokers = Brokers([TimedRedis(url, os.urandom, replicas=replicas) for url in urls])
    tasks = brokers.tasks
    tasks.append(asyncio.create_task(brokers.write()))
    tasks += [asyncio.create_task(brokers.read(index)) for index in range(len(urls))]
    try:
        await brokers.all_answer()
        yield brokers
    finally:
        brokers.is_done = True
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(engine.close() for engine in brokers.engines))
        watching.cancel()
    for task in tasks:
        task.result()
    seconds, reason = max(engine.slowest_refusal for engine in brokers.engines)
    assert seconds < _LONGEST_REFUSAL, reason


@pytest.fixture(params=["sentinel", "cluster"])
def fleet(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fleet]:
    with _made(request.param, tmp_path, is_tls=False) as found:
        yield found


@pytest.fixture(params=["sentinel", "cluster"])
def tls_fleet(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fleet]:
    with _made(request.param, tmp_path, is_tls=True) as found:
        yield found


def _made(kind: str, folder: Path, *, is_tls: bool) -> AbstractContextManager[Fleet]:
    if kind == "sentinel":
        return sentinel_fleet(folder, is_tls=is_tls)
    slot = key_slot(revision_key(account_partition(HERE)).encode())
    return cluster_fleet(folder, slot, is_tls=is_tls)


async def new_master(fleet: Fleet, old: RedisServer) -> None:
    deadline = time.monotonic() + _RECOVERS_WITHIN
    while True:
        try:
            if await asyncio.to_thread(fleet.master) is not old:
                return
        except OSError:
            pass
        assert time.monotonic() < deadline, "no replica became the master"
        await asyncio.sleep(0.1)


async def user_names(store: Store) -> list[str]:
    """As the store has them: a new process has nothing in a cache."""
    found = await Store(store.engine, time.time).transaction().scan(USERS, HERE)
    return [one.user_name for one in found]


async def test_brokers_outlive_masters_that_die_or_hang_or_lose_their_replicas(fleet: Fleet) -> None:
    async with brokers_on(fleet.url, fleet.url, replicas=fleet.each_has) as brokers:
        assert await brokers.weaknesses() == []
        # It lost its replicas: it may not write, and nobody is told what it has; they come back.
        replicas = await asyncio.to_thread(fleet.replicas)
        for one in replicas:
            one.signal(signal.SIGSTOP)
        await brokers.refused()
        for one in replicas:
            one.signal(signal.SIGCONT)
        await brokers.all_answer()
        # It hangs, another one takes its place, and it comes back as a replica.
        hung = await asyncio.to_thread(fleet.master)
        hung.signal(signal.SIGSTOP)
        await new_master(fleet, hung)
        hung.signal(signal.SIGCONT)
        await brokers.all_answer()
        dead = await asyncio.to_thread(fleet.master)
        dead.kill()
        await new_master(fleet, dead)
        await asyncio.to_thread(dead.start, fleet.settings)  # refusals go on meanwhile
        await brokers.all_answer()
        for one in fleet.servers:
            one.ask(b"CONFIG SET min-replicas-to-write 0")
        assert [one.split(":")[0] for one in await brokers.weaknesses()] == ["min-replicas-to-write is 0"]
    if fleet.each_has > 1:
        engine = RedisEngine(fleet.url, os.urandom, replicas=1)
        assert any("a failover to one that is behind" in one for one in await engine.weaknesses())
        await engine.close()


# redis-py leaves some connections of TLS whose server was killed to the garbage collector, which warns of them.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_under_tls_brokers_trust_only_the_named_authority_and_outlive_the_master(
    tls_fleet: Fleet, tmp_path: Path
) -> None:
    untrusting = RedisEngine(tls_fleet.url, os.urandom, timeout=20.0)  # it may try each sentinel twice
    with pytest.raises(
        EngineUnavailable, match=r"certificate of a known authority|certificate verify failed"
    ):
        await untrusting.revision(account_partition(HERE))
    await untrusting.close()
    url = f"{tls_fleet.url}?ssl_ca_certs={tmp_path / 'certificate.pem'}"
    async with brokers_on(url, url, replicas=tls_fleet.each_has) as brokers:
        dead = await asyncio.to_thread(tls_fleet.master)
        dead.kill()
        await new_master(tls_fleet, dead)
        await asyncio.to_thread(dead.start, tls_fleet.settings)  # of a cluster, it is the only replica
        await brokers.all_answer()
    gc.collect()


async def test_brokers_go_on_while_their_account_moves_to_a_new_master_and_that_one_dies(
    tmp_path: Path,
) -> None:
    """It moves there and back, while it is read and written; it has enough records that the moves take a while."""
    slot = key_slot(revision_key(account_partition(HERE)).encode())
    with cluster_fleet(tmp_path, slot, masters=4) as fleet:
        first, target = fleet.servers[2:4]
        names = [f"user-{number}" for number in range(2000)]
        before = Store(RedisEngine(fleet.url, os.urandom), time.time)
        for start in range(0, len(names), 100):
            await write(before, *map(user, names[start : start + 100]))
        await before.engine.close()
        async with brokers_on(fleet.url, fleet.url, replicas=fleet.each_has) as brokers:
            for there in (target, first, target):
                await asyncio.to_thread(fleet.move_slot, there)
                assert await asyncio.to_thread(fleet.master) is there
                await brokers.all_answer()
            for store in brokers.stores:
                assert await user_names(store) == ["bob", *sorted(names)]
            target.kill()
            await new_master(fleet, target)
            await asyncio.to_thread(target.start, fleet.settings)  # the only replica
            await brokers.all_answer()
            for store in brokers.stores:
                assert await user_names(store) == ["bob", *sorted(names)]


async def test_brokers_of_one_redis_go_on_when_one_is_cut_off_or_killed_and_it_comes_back(
    mortal_redis: RedisServer,
) -> None:
    with (
        Relay(mortal_redis.port) as first,
        Relay(mortal_redis.port) as second,
        Relay(mortal_redis.port) as third,
    ):
        urls = [f"redis://127.0.0.1:{relay.port}" for relay in (first, second, third)]
        async with brokers_on(*urls) as brokers:
            third.is_cut = True
            third.cut()
            await brokers.refused()
            await brokers.all_answer(but=2)
            third.is_cut = False
            await brokers.all_answer()
            second.cut()  # as if its process had been killed in the middle of what it does
            await brokers.all_answer()
            first.cut()  # and the one that writes
            await brokers.all_answer()
