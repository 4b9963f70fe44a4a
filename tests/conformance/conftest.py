"""Stores for the conformance tests: a file, a redis-server, a cluster of one node; plain and sealed."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from broker.sealing.keyring import new_keyring
from broker.storage.engine import Engine
from broker.storage.redis import RedisEngine
from broker.storage.sealed import SealedEngine
from broker.storage.sqlite import SqliteEngine
from tests.redis_server import RedisServer


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("cluster"), is_cluster=True)
    server.start()
    server.own_all_slots()
    yield server
    server.kill()


@pytest.fixture
def mortal_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A redis-server of this test alone, which the test kills."""
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.kill()


OpenEngine = Callable[[], Engine]


@pytest.fixture(params=["sqlite", "redis", "redis cluster", "sealed sqlite", "sealed redis"])
async def open_engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[OpenEngine]:
    """Opens an engine on the store of this test; each call as another process."""
    opened: list[Engine] = []
    ring = new_keyring(time.time(), os.urandom(64))
    kind = request.param.removeprefix("sealed ")
    is_sealed = kind != request.param
    server = None
    if kind.startswith("redis"):
        server = request.getfixturevalue("redis_cluster" if kind == "redis cluster" else "redis_server")
        server.ask(b"FLUSHALL")

    def open_() -> Engine:
        engine: Engine = (
            SqliteEngine(tmp_path / "store.db", time.time, os.urandom)
            if server is None
            else RedisEngine(server.url, os.urandom)
        )
        if is_sealed:
            engine = SealedEngine(engine, lambda: ring, os.urandom)
        opened.append(engine)
        return engine

    yield open_
    await asyncio.gather(*(engine.close() for engine in opened))


@pytest.fixture
def engine(open_engine: OpenEngine) -> Engine:
    return open_engine()
