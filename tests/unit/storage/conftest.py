"""Engines over temporary files, and a record to fill them with."""

import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from broker.storage.sqlite import SqliteEngine
from broker.storage.store import Store
from tests.redis_server import RedisServer


@pytest.fixture
async def open_sqlite(tmp_path: Path) -> AsyncIterator[Callable[[], SqliteEngine]]:
    """Opens an engine on the store of this test; each call as another process."""
    opened: list[SqliteEngine] = []

    def open_() -> SqliteEngine:
        opened.append(SqliteEngine(tmp_path / "store.db", time.time, os.urandom))
        return opened[-1]

    yield open_
    for engine in opened:
        await engine.close()


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def store(open_sqlite: Callable[[], SqliteEngine]) -> Store:
    return Store(open_sqlite(), time.time)


@pytest.fixture
def other(open_sqlite: Callable[[], SqliteEngine]) -> Store:
    """The store of another process, on the same file."""
    return Store(open_sqlite(), time.time)
