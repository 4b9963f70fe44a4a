"""A slot of a Redis Cluster moves to another master: while some of an account's keys are there and some are not, a
broker reads all of them or is refused, and commits nothing twice.

`redis-cli --cluster reshard` does what is done here key by key; `test_fleet.py` lets it do so beside brokers.
"""

import asyncio
import itertools
import os
import re
import signal
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from redis.crc import key_slot

from broker.storage import redis_cluster
from broker.storage.engine import EngineUnavailable, Revision, Write, account_partition
from broker.storage.redis import RedisEngine
from broker.storage.redis_backup import read_copies
from broker.storage.redis_names import index_key, revision_key, value_key
from tests.redis_fleet import eventually
from tests.redis_server import RedisServer

_numbers = itertools.count(111111111111)


@pytest.fixture(scope="module")
def masters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RedisServer]]:
    """Three without replicas; the second one has no slots, so no client has heard of it."""
    folder = tmp_path_factory.mktemp("masters")
    nodes = []
    for name in ("first", "second", "third"):
        (folder / name).mkdir()
        nodes.append(RedisServer(folder / name, is_cluster=True))
    first, second, third = nodes
    with first.running(), second.running(), third.running():
        third.ask(b"CLUSTER ADDSLOTSRANGE 0 99")
        first.ask(b"CLUSTER ADDSLOTSRANGE 100 16383")
        for one in nodes[1:]:
            first.ask(b"CLUSTER MEET 127.0.0.1 %d" % one.port)
        eventually(lambda: all(b"cluster_state:ok" in one.ask(b"CLUSTER INFO") for one in nodes), "not ok")
        eventually(lambda: all(_knows_all(one) for one in nodes), "no meeting")
        yield nodes


def _knows_all(node: RedisServer) -> bool:
    info = node.ask(b"CLUSTER INFO")
    return b"cluster_known_nodes:3" in info and b"cluster_slots_ok:16384" in info


class Move:
    """The slot of an account of its own moves from `source` to `target`."""

    def __init__(self, source: RedisServer, target: RedisServer) -> None:
        self.source, self.target = source, target
        while True:
            self.partition = account_partition(str(next(_numbers)))
            self._slot = key_slot(revision_key(self.partition).encode())
            if self._slot > 99:
                break

    def begin(self) -> None:
        self.target.ask(b"CLUSTER SETSLOT %d IMPORTING %s" % (self._slot, _name(self.source)))
        self.source.ask(b"CLUSTER SETSLOT %d MIGRATING %s" % (self._slot, _name(self.target)))

    def remaining(self) -> list[str]:
        found = self.source.ask(b"CLUSTER GETKEYSINSLOT %d 1000" % self._slot)
        return re.findall(r"broker:\S+", found.decode())

    def send(self, *keys: str) -> None:
        for key in keys:
            answer = self.source.ask(b"MIGRATE 127.0.0.1 %d %s 0 5000" % (self.target.port, key.encode()))
            assert answer == b"+OK\r\n", answer

    def end(self) -> None:
        self.send(*self.remaining())
        for one in (self.target, self.source):
            one.ask(b"CLUSTER SETSLOT %d NODE %s" % (self._slot, _name(self.target)))


def _name(node: RedisServer) -> bytes:
    found = re.search(rb"[0-9a-f]{40}", node.ask(b"CLUSTER MYID"))
    assert found is not None
    return found[0]


@pytest.fixture(params=["unknown", "known"])
def move(request: pytest.FixtureRequest, masters: list[RedisServer]) -> Move:
    """To a new master, and to one that has slots already."""
    first, unknown, known = masters
    return Move(first, unknown if request.param == "unknown" else known)


@pytest.fixture
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long move is one of a fifth of a second."""
    monkeypatch.setattr(redis_cluster, "_MOVE_SHARE", 0.13)


@pytest.fixture
async def engine(masters: list[RedisServer]) -> AsyncIterator[RedisEngine]:
    engine = RedisEngine(masters[0].url, os.urandom)
    yield engine
    await engine.close()


async def test_a_master_that_hangs_refuses_its_own_accounts_alone(
    engine: RedisEngine, masters: list[RedisServer]
) -> None:
    first, _, third = masters
    there, here = Move(first, third), Move(first, third)
    made = [await policies(engine, one.partition) for one in (there, here)]
    there.begin()
    there.end()
    partitions = [there.partition, here.partition]
    assert await asyncio.gather(*map(engine.revision, partitions)) == made
    third.signal(signal.SIGSTOP)
    outcomes = await asyncio.gather(*map(engine.revision, partitions), return_exceptions=True)
    third.signal(signal.SIGCONT)
    assert isinstance(outcomes[0], EngineUnavailable)
    assert outcomes[1] == made[1]
    assert await asyncio.gather(*map(engine.revision, partitions)) == made


async def test_a_master_that_hangs_refuses_no_account_of_another_under_steady_traffic(
    engine: RedisEngine, masters: list[RedisServer]
) -> None:
    first, _, third = masters
    there, here = Move(first, third), Move(first, third)
    there.begin()
    there.end()
    made = await policies(engine, here.partition)
    await engine.revision(there.partition)
    slowest = 0.0

    async def answer_here() -> Revision:
        nonlocal slowest
        begun = time.monotonic()
        answer = await engine.revision(here.partition)
        slowest = max(slowest, time.monotonic() - begun)
        return answer

    refused: list[asyncio.Task[Revision]] = []
    answered: list[asyncio.Task[Revision]] = []
    third.signal(signal.SIGSTOP)
    begun = time.monotonic()
    while time.monotonic() < begun + 4.5:
        refused.append(asyncio.create_task(engine.revision(there.partition)))
        answered.append(asyncio.create_task(answer_here()))
        await asyncio.sleep(0.02)
    refusals = await asyncio.gather(*refused, return_exceptions=True)
    answers = await asyncio.gather(*answered, return_exceptions=True)
    third.signal(signal.SIGCONT)
    assert all(isinstance(one, EngineUnavailable) for one in refusals)
    assert set(answers) == {made}
    assert slowest < 1.0  # nor do they wait for it when the slots are read again
    assert isinstance(await engine.revision(there.partition), Revision)


async def policies(engine: RedisEngine, partition: str) -> Revision:
    first = await engine.commit(partition, [Write("policy/allow", b"1"), Write("user/bob", b"1")], None)
    return await engine.commit(partition, [Write("policy/deny", b"1")], first)


async def test_what_has_moved_is_read_from_its_new_master(engine: RedisEngine, move: Move) -> None:
    made = await policies(engine, move.partition)
    move.begin()
    assert await engine.revision(move.partition) == made
    move.send(*move.remaining())
    other = account_partition("999999999999")
    for _ in range(3):
        assert await engine.revision(move.partition) == made
        assert await asyncio.gather(*(engine.revision(one) for one in (move.partition, other)))
        assert await engine.get(move.partition, "policy/deny") == b"1"
        assert await engine.get(move.partition, "policy/none") is None
        assert await engine.fetch(move.partition, ["policy/deny"]) == (made, [b"1"])
    move.end()
    assert await engine.fetch(move.partition, ["policy/deny", "policy/none"]) == (made, [b"1", None])


@pytest.mark.parametrize("prefix", ["policy/deny", "policy/", ""])
@pytest.mark.usefixtures("impatience")
async def test_no_listing_omits_what_has_not_moved_yet(engine: RedisEngine, move: Move, prefix: str) -> None:
    """The index is on the new master, one of the values is not: the denial must not disappear."""
    made = await policies(engine, move.partition)
    whole = await engine.page(move.partition, prefix, "", 10)
    move.begin()
    kept = value_key(move.partition, "policy/deny")
    index = [revision_key(move.partition), index_key(move.partition, "keys")]
    move.send(*index)
    with pytest.raises(EngineUnavailable, match="moves to another master"):
        await engine.page(move.partition, prefix, "", 10)
    move.send(*(key for key in move.remaining() if key != kept))
    for ask in (engine.page(move.partition, prefix, "", 10), engine.scan(move.partition, prefix)):
        with pytest.raises(EngineUnavailable, match="moves to another master"):
            await ask
    move.end()
    assert await engine.page(move.partition, prefix, "", 10) == whole
    assert whole[0] == made


@pytest.mark.usefixtures("impatience")
async def test_no_listing_omits_what_has_moved_already(engine: RedisEngine, move: Move) -> None:
    await policies(engine, move.partition)
    whole = await engine.page(move.partition, "policy/deny", "", 10)
    move.begin()
    assert await engine.page(move.partition, "policy/deny", "", 10) == whole
    move.send(value_key(move.partition, "policy/deny"))
    with pytest.raises(EngineUnavailable, match="moves to another master"):
        await engine.page(move.partition, "policy/deny", "", 10)
    move.end()
    assert await engine.page(move.partition, "policy/deny", "", 10) == whole


@pytest.mark.usefixtures("impatience")
async def test_no_backup_omits_what_has_not_moved_yet(engine: RedisEngine, move: Move) -> None:
    await policies(engine, move.partition)
    move.begin()
    move.send(revision_key(move.partition))
    with pytest.raises(EngineUnavailable, match="moves to another master"):
        async for _ in read_copies(engine):
            pass
    move.end()
    copies = [copy async for copy in read_copies(engine) if copy.partition == move.partition]
    assert [key for key, _, _ in copies[0].records] == ["policy/allow", "policy/deny", "user/bob"]


async def test_a_commit_waits_for_a_short_move(engine: RedisEngine, move: Move) -> None:
    made = await policies(engine, move.partition)
    move.begin()
    move.send(revision_key(move.partition))
    commit = asyncio.create_task(engine.commit(move.partition, [Write("policy/deny", b"2")], made))
    await asyncio.sleep(0.2)
    assert not commit.done()
    move.end()
    assert (await commit).number == made.number + 1
    assert await engine.get(move.partition, "policy/deny") == b"2"


@pytest.mark.usefixtures("impatience")
async def test_a_commit_in_a_long_move_is_refused_in_time_and_has_not_happened(
    engine: RedisEngine, move: Move
) -> None:
    made = await policies(engine, move.partition)
    move.begin()
    for sent in ([], [revision_key(move.partition)], move.remaining()):
        move.send(*(key for key in sent if key in move.remaining()))
        begun = time.monotonic()
        with pytest.raises(EngineUnavailable, match="moves to another master"):
            await engine.commit(move.partition, [Write("policy/deny", b"2")], made)
        assert time.monotonic() - begun < 2.0
        assert await engine.revision(move.partition) == made
    move.end()
    assert await engine.get(move.partition, "policy/deny") == b"1"
    assert (await engine.commit(move.partition, [Write("policy/deny", b"3")], made)).number == made.number + 1
