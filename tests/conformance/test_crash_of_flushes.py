"""Redis is killed while last uses and lists of sessions of many accounts are written (`Engine.commit_each`): of an
account all is written or nothing, as the flush was told, and the next flush writes what was not written, and no more.
"""

import asyncio
import os
import random
import time
from collections.abc import Mapping, Sequence

from broker.credentials.mint import Mint
from broker.credentials.session_list import SessionList, list_sessions
from broker.names.principal import AssumedRole
from broker.sealing.key import KEY_ENTROPY
from broker.sealing.keyring import new_keyring
from broker.storage.engine import (
    Changes,
    EngineUnavailable,
    OutcomeUnknown,
    Revision,
    Write,
    account_partition,
    sessions_partition,
    usage_partition,
)
from broker.storage.flush_groups import MOST_ACCOUNTS
from broker.storage.records import Usage
from broker.storage.redis import RedisEngine
from broker.storage.sealed import SealedEngine
from broker.storage.store import LISTED_SESSIONS, USAGE, Store
from tests.redis_server import RedisServer

ROUNDS = 6
ACCOUNTS = [f"{number:012}" for number in range(MOST_ACCOUNTS + 10)]  # two groups of a flush
KEYS = ("AKIAONE", "AKIATWO")
RING = new_keyring(time.time(), os.urandom(KEY_ENTROPY))
BUSY = account_partition(ACCOUNTS[0])  # has a feed of changes, and is written all the time

State = tuple[Revision, list[tuple[str, bytes]]]


class CountingRedis(RedisEngine):
    """Tells when so many commits more of flushes were acknowledged."""

    def __init__(self, url: str) -> None:
        super().__init__(url, os.urandom)
        self._missing, self._are_many = 0, asyncio.Event()

    def after(self, number: int) -> asyncio.Event:
        self._missing, self._are_many = number, asyncio.Event()
        return self._are_many

    async def commit(self, partition: str, writes: Sequence[Write], expecting: Revision | None) -> Revision:
        revision = await super().commit(partition, writes, expecting)
        self._missing -= partition != BUSY
        if self._missing <= 0:
            self._are_many.set()
        return revision


class Broker(SealedEngine):
    """The engine of a broker with what it writes behind; notes what its flushes were told of each partition."""

    def __init__(self, url: str) -> None:
        self.redis = CountingRedis(url)
        super().__init__(self.redis, lambda: RING, os.urandom)
        self.store = Store(self, time.time)
        self.sessions = SessionList(self, time.time, os.urandom)
        self._mint = Mint(lambda: RING, os.urandom, self.sessions.note)
        self.minted: dict[str, set[str]] = {account: set() for account in ACCOUNTS}
        self.told: dict[str, EngineUnavailable | None] = {}

    async def commit_each(self, writes: Mapping[str, Sequence[Write]]) -> dict[str, EngineUnavailable]:
        errors = await super().commit_each(writes)
        self.told |= {partition: errors.get(partition) for partition in writes}
        return errors

    def use(self, used_at: int) -> None:
        """Each account's two keys, and two sessions of each."""
        for account in ACCOUNTS:
            for key in KEYS:
                self.store.mark_used(account, key, Usage(last_used_at=used_at))
                role = AssumedRole(account, "worker", "AROA1", "night", "/")
                minted = self._mint.assumed_role(role, now=time.time(), duration=3600)
                self.minted[account].add(minted.access_key_id)

    async def flush(self) -> list[BaseException | None]:
        """The errors of both flushes; `told` is of these alone."""
        self.told = {}
        flushes = (self.store.flush_usage(), self.sessions.flush())
        return await asyncio.gather(*flushes, return_exceptions=True)

    async def states(self) -> dict[str, State]:
        kinds = (usage_partition, sessions_partition)
        partitions = [kind(account) for kind in kinds for account in ACCOUNTS]
        found = await asyncio.gather(*(self.page(name, "", "", 1000) for name in partitions))
        return dict(zip(partitions, found, strict=True))


def require_written(partition: str, before: State, after: State, used_at: int) -> None:
    """By one commit, which has added everything of the last use."""
    assert after[0].number == before[0].number + 1
    if partition.startswith(usage_partition("")):
        found = {key: USAGE.decode(partition, key, value) for key, value in after[1]}
        assert found == {USAGE.stored_key(key): Usage(last_used_at=used_at) for key in KEYS}
    else:
        ((key, value),) = set(after[1]) - set(before[1])
        assert len(LISTED_SESSIONS.decode(partition, key, value).sessions) == len(KEYS)
        assert set(before[1]) < set(after[1])


def require_as_told(
    told: Mapping[str, EngineUnavailable | None],
    before: Mapping[str, State],
    after: Mapping[str, State],
    used_at: int,
) -> None:
    """What was acknowledged is there; what was refused, or never tried, is not."""
    for partition in before:
        is_written = after[partition] != before[partition]
        if is_written:
            require_written(partition, before[partition], after[partition], used_at)
        error = told.get(partition, EngineUnavailable("never tried"))
        if not isinstance(error, OutcomeUnknown):
            assert is_written is (error is None), f"{partition}: {error}"


async def write_beside(engine: Broker, acknowledged: Revision, is_done: asyncio.Event) -> Revision:
    """The last revision that was acknowledged; each commit writes its number under three keys."""
    while not is_done.is_set():
        number = b"%d" % (acknowledged.number + 1)
        try:
            acknowledged = await engine.commit(BUSY, [Write(key, number) for key in "abc"], acknowledged)
        except EngineUnavailable:
            break
    return acknowledged


async def require_fed(engine: Broker, acknowledged: Revision) -> None:
    """The feed tells what was committed since, or that nothing was; the records are those of the last commit."""
    revision, values = await engine.fetch(BUSY, list("abc"))
    assert acknowledged.number <= revision.number <= acknowledged.number + 1
    assert set(values) == {b"%d" % revision.number}
    present = {} if revision == acknowledged else dict.fromkeys("abc", True)
    assert await engine.changes(BUSY, acknowledged) == Changes(revision, present)


async def kill(server: RedisServer, when: asyncio.Event, seconds: float, *, starts_again: bool) -> None:
    await when.wait()
    await asyncio.sleep(seconds)
    await asyncio.to_thread(server.kill)
    if starts_again:
        await asyncio.to_thread(server.start)


async def flush_while_it_is_killed(
    broker: Broker, server: RedisServer, chance: random.Random, *, starts_again: bool
) -> list[BaseException | None]:
    """The errors of the flushes; in the end the server runs, and has what was acknowledged to another writer."""
    is_done = asyncio.Event()
    writer = asyncio.create_task(write_beside(broker, await broker.revision(BUSY), is_done))
    is_time, seconds = broker.redis.after(chance.randrange(1, MOST_ACCOUNTS)), chance.uniform(0, 0.003)
    killing = asyncio.create_task(kill(server, is_time, seconds, starts_again=starts_again))
    errors = await broker.flush()
    is_done.set()
    acknowledged = await writer
    await killing
    if not starts_again:
        server.start()
    await require_fed(broker, acknowledged)
    return errors


async def require_listed(broker: Broker) -> None:
    """Another process finds all accounts, and all sessions of each."""
    other = SealedEngine(broker.redis, lambda: RING, os.urandom)
    for account, minted in broker.minted.items():
        listing = await list_sessions(Store(other, time.time).transaction(), account, time.time())
        assert {one.access_key_id for one in listing.sessions} == minted
    for kind in (usage_partition, sessions_partition):
        assert await other.partitions(kind("")) == [kind(account) for account in ACCOUNTS]


async def test_redis_is_killed_while_flushes_write_many_accounts_and_the_next_ones_write_what_it_does_not_have(
    mortal_redis: RedisServer,
) -> None:
    """In the first round it is away until the flushes have ended, in the others they meet it again."""
    chance = random.Random(5)
    broker = Broker(mortal_redis.url)
    await broker.commit(BUSY, [Write(key, b"1") for key in "abc"], None)
    before, acknowledged, unwritten = await broker.states(), 0, 0
    for used_at in range(1, ROUNDS + 1):
        broker.use(used_at)
        errors = await flush_while_it_is_killed(broker, mortal_redis, chance, starts_again=used_at > 1)
        told, after = broker.told, await broker.states()
        require_as_told(told, before, after, used_at)
        written = {partition for partition, error in told.items() if error is None}
        assert all(isinstance(error, EngineUnavailable | None) for error in errors)
        assert any(errors) is (len(written) < len(before))
        assert await broker.flush() == [None, None]
        assert broker.told == dict.fromkeys(before.keys() - written)
        before = await broker.states()
        require_as_told(broker.told, after, before, used_at)
        acknowledged, unwritten = acknowledged + len(written), unwritten + len(broker.told)
    assert acknowledged
    assert unwritten
    await require_listed(broker)
    await broker.close()
