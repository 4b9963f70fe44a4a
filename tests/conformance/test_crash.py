"""Processes are killed while they write: nothing acknowledged is lost, and no commit is applied in part."""

import asyncio
import os
import random
import signal
import time
from pathlib import Path

import pytest

from broker.storage.engine import EngineUnavailable, OutcomeUnknown, Revision, Write
from broker.storage.redis import RedisEngine
from broker.storage.sqlite import SqliteEngine
from tests.redis_server import RedisServer

ROUNDS = 24
NAMES = ("111111111111", "222222222222")


class Writer:
    """A child process that writes to an SQLite store until it is killed, and prints each acknowledged number."""

    def __init__(self, path: Path, name: str) -> None:
        reading, writing = os.pipe()
        self.process = os.fork()
        if self.process == 0:
            try:
                asyncio.run(write_forever(path, name, writing))
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


async def write_forever(path: Path, name: str, acknowledgements: int) -> None:
    """Each commit writes its number under three keys of this writer's partition; another, in a shared partition."""
    engine = SqliteEngine(path, time.time, os.urandom)
    partition = f"account/{name}"
    while True:
        before = await engine.revision(partition)
        number = before.number + 1
        value = b"%d" % number
        shared = engine.commit("shared", [Write(name, value)], None)
        own = engine.commit(partition, [Write(key, value + b"x" * 2000) for key in "abc"], before)
        await asyncio.gather(own, shared)
        os.write(acknowledgements, b"%d\n" % number)


async def require_acknowledged(path: Path, acknowledged: dict[str, int]) -> None:
    """The store opens, has what was acknowledged, and no commit in part."""
    engine = SqliteEngine(path, time.time, os.urandom)
    for name, number in acknowledged.items():
        revision, values = await engine.fetch(f"account/{name}", list("abc"))
        assert revision.number >= number
        assert set(values) == {b"%d" % revision.number + b"x" * 2000 if revision.number else None}
        assert int(await engine.get("shared", name) or 0) >= number
    await engine.close()


def test_sqlite_has_what_was_acknowledged_by_writers_that_are_killed(tmp_path: Path) -> None:
    """Two processes write to one store at once; both are killed at some moment of opening or writing, ROUNDS times."""
    chance = random.Random(2)
    path = tmp_path / "store.db"
    for round_ in range(ROUNDS):
        writers = {name: Writer(path, name) for name in NAMES}
        if round_ % 4:
            for writer in writers.values():
                writer.next_acknowledged()
        time.sleep(chance.uniform(0, 0.05))
        acknowledged = {name: writer.kill() for name, writer in writers.items()}
        asyncio.run(require_acknowledged(path, acknowledged))
    assert min(acknowledged.values()) > ROUNDS


def test_sqlite_processes_see_each_others_acknowledged_writes(tmp_path: Path) -> None:
    path, name = tmp_path / "store.db", NAMES[0]
    writer = Writer(path, name)

    async def watch() -> None:
        engine = SqliteEngine(path, time.time, os.urandom)
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
    """One engine for all of it: it reconnects to the server."""
    chance = random.Random(3)
    partitions = [f"account/{name}" for name in NAMES]
    engine = RedisEngine(mortal_redis.url, os.urandom)
    for _ in range(ROUNDS):
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
    assert min(revision.number for revision in acknowledged) > ROUNDS
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
