"""Processes are killed while they write: nothing acknowledged is lost, and no commit is applied in part."""

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from broker.storage.engine import Engine, EngineUnavailable, OutcomeUnknown, Revision, Write
from broker.storage.redis import RedisEngine
from broker.storage.sqlite import SqliteEngine
from tests.redis_server import RedisServer

ROUNDS, REDIS_ROUNDS = 24, 12
NAMES = ("111111111111", "222222222222")
FLUSHED = {name: [f"usage/{name}{number}" for number in range(40)] for name in NAMES}


class Writer:
    """A child process that writes to a store until it is killed, and prints each acknowledged number."""

    def __init__(self, open_engine: Callable[[], Engine], name: str) -> None:
        reading, writing = os.pipe()
        self.process = os.fork()
        if self.process == 0:
            try:
                asyncio.run(write_forever(open_engine(), name, writing))
            finally:
                os._exit(1)
        os.close(writing)
        self._acknowledgements = os.fdopen(reading)
        self._last = 0

    def next_acknowledged(self) -> int:
        self._last = int(self._acknowledgements.readline())
        return self._last

    def kill(self) -> int:
        """The last number that was acknowledged; an incomplete line does not count."""
        os.kill(self.process, signal.SIGKILL)
        _, status = os.waitpid(self.process, 0)
        with self._acknowledgements as acknowledged:
            lines = [line for line in acknowledged if line.endswith("\n")]
        assert os.WTERMSIG(status) == signal.SIGKILL
        return int(lines[-1]) if lines else self._last


async def write_forever(engine: Engine, name: str, acknowledgements: int) -> None:
    """Each commit writes its number under three keys of this writer's partition; another, in a shared partition; and
    one as a flush does, under two keys of each of many partitions.
    """
    partition = f"account/{name}"
    while True:
        before = await engine.revision(partition)
        number = before.number + 1
        value = b"%d" % number
        shared = engine.commit("shared", [Write(name, value)], None)
        own = engine.commit(partition, [Write(key, value + b"x" * 2000) for key in "abc"], before)
        each = engine.commit_each({one: [Write(key, value) for key in "ab"] for one in FLUSHED[name]})
        _, _, errors = await asyncio.gather(own, shared, each)
        assert not errors
        os.write(acknowledgements, b"%d\n" % number)


async def require_acknowledged(engine: Engine, acknowledged: dict[str, int]) -> None:
    """The store opens, has what was acknowledged, and no commit in part."""
    for name, number in acknowledged.items():
        revision, values = await engine.fetch(f"account/{name}", list("abc"))
        assert revision.number >= number
        assert set(values) == {b"%d" % revision.number + b"x" * 2000 if revision.number else None}
        assert int(await engine.get("shared", name) or 0) >= number
        flushed = [await engine.fetch(partition, list("ab")) for partition in FLUSHED[name]]
        for revision, (first, second) in flushed:
            assert first == second
            assert int(first or 0) >= max(number, revision.number)
            assert (first is None) is (revision.number == 0)
        if isinstance(engine, SqliteEngine):
            assert len({(revision.number, *values) for revision, values in flushed}) == 1, "it is one commit"
    await engine.close()


def kill_writers(open_engine: Callable[[], Engine], rounds: int) -> None:
    """Two processes write to one store at once; both are killed at some moment of opening or writing."""
    chance = random.Random(2)
    for round_ in range(rounds):
        writers = {name: Writer(open_engine, name) for name in NAMES}
        if round_ % 4:
            for writer in writers.values():
                writer.next_acknowledged()
        time.sleep(chance.uniform(0, 0.05))
        acknowledged = {name: writer.kill() for name, writer in writers.items()}
        asyncio.run(require_acknowledged(open_engine(), acknowledged))
    assert min(acknowledged.values()) > rounds


def test_sqlite_has_what_was_acknowledged_by_writers_that_are_killed(tmp_path: Path) -> None:
    kill_writers(partial(SqliteEngine, tmp_path / "store.db", time.time, os.urandom), ROUNDS)


def test_redis_has_what_was_acknowledged_to_writers_that_are_killed(redis_server: RedisServer) -> None:
    redis_server.ask(b"FLUSHALL")
    kill_writers(partial(RedisEngine, redis_server.url, os.urandom), REDIS_ROUNDS // 2)


def test_sqlite_processes_see_each_others_acknowledged_writes(tmp_path: Path) -> None:
    open_engine = partial(SqliteEngine, tmp_path / "store.db", time.time, os.urandom)
    name = NAMES[0]
    writer = Writer(open_engine, name)

    async def watch() -> None:
        engine = open_engine()
        for _ in range(100):
            number = writer.next_acknowledged()
            assert (await engine.revision(f"account/{name}")).number >= number
            value = await engine.get(f"account/{name}", "a")
            assert value is not None
            assert int(value.rstrip(b"x")) >= number
            await engine.commit("account/ours", [Write("a", b"")], None)
        assert (await engine.revision("account/ours")).number == 100
        await engine.close()

    try:
        asyncio.run(watch())
    finally:
        writer.kill()


async def write_until_killed(engine: RedisEngine, partition: str, acknowledged: Revision) -> Revision:
    """The last revision that was acknowledged, beginning with the present one."""
    while True:
        number = b"%d" % (acknowledged.number + 1)
        try:
            acknowledged = await engine.commit(partition, [Write(key, number) for key in "abc"], acknowledged)
        except EngineUnavailable:
            return acknowledged


async def test_redis_has_what_was_acknowledged_when_the_server_is_killed(mortal_redis: RedisServer) -> None:
    """One engine for all of it: it reconnects to the server. It asks for the outcome of commits for a second."""
    chance = random.Random(3)
    partitions = [f"account/{name}" for name in NAMES]
    engine = RedisEngine(mortal_redis.url, os.urandom, timeout=1.0)
    for _ in range(REDIS_ROUNDS):
        # Connect before the timer runs: on a busy machine the server might be killed before the first commit.
        begun = [(partition, await engine.revision(partition)) for partition in partitions]
        writers = [asyncio.create_task(write_until_killed(engine, *one)) for one in begun]
        await asyncio.sleep(chance.uniform(0.01, 0.05))
        mortal_redis.kill()
        acknowledged = await asyncio.gather(*writers)
        mortal_redis.start()
        for partition, known in zip(partitions, acknowledged, strict=True):
            revision, values = await engine.fetch(partition, list("abc"))
            assert revision.number >= known.number
            assert set(values) == {b"%d" % revision.number if revision.number else None}
    assert min(revision.number for revision in acknowledged) > REDIS_ROUNDS
    await engine.close()


async def test_an_unreachable_redis_is_reported_quickly_and_nothing_is_answered_from_a_cache(
    mortal_redis: RedisServer,
) -> None:
    engine = RedisEngine(mortal_redis.url, os.urandom)
    await engine.commit("global", [Write("a", b"1")], None)
    assert (await engine.revision("global")).number == 1
    mortal_redis.kill()
    began = time.monotonic()
    for question in (engine.revision("global"), engine.get("global", "a"), engine.scan("global", "")):
        with pytest.raises(EngineUnavailable):
            await question
    with pytest.raises(EngineUnavailable) as refused:
        await engine.commit("global", [Write("a", b"2")], None)
    assert not isinstance(refused.value, OutcomeUnknown)  # it was never sent
    assert time.monotonic() - began < 2, "no question waited for a time limit"
    mortal_redis.start()
    assert await engine.get("global", "a") == b"1"
    await engine.close()
