"""Lost commits: a failover to a replica that lacks acknowledged writes, a store that is set back."""

import asyncio
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.storage.engine import EngineUnavailable
from broker.storage.redis import RedisEngine
from broker.storage.sqlite import SqliteEngine
from broker.storage.store import USERS, Store
from tests.redis_server import RedisServer
from tests.relay import Relay
from tests.unit.storage.people import HERE, user, write


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[RedisServer, RedisServer]]:
    """A primary and its replica, which has the primary's writes as they are acknowledged."""
    folders = tmp_path / "primary", tmp_path / "replica"
    for folder in folders:
        folder.mkdir()
    primary, replica = map(RedisServer, folders)
    with primary.running(), replica.running():
        replica.ask(b"REPLICAOF 127.0.0.1 %d" % primary.port)
        deadline = time.monotonic() + 20
        while b"master_link_status:up" not in replica.ask(b"INFO replication"):
            assert time.monotonic() < deadline, "the replica does not follow"
            time.sleep(0.02)
        yield primary, replica


async def path_of_bob(store: Store) -> str:
    found = await store.transaction().find(USERS, HERE, "bob")
    assert found is not None
    return found.path


@pytest.mark.parametrize("lost", [1, 3])
async def test_a_node_answers_nothing_from_a_history_that_a_failover_has_lost(
    pair: tuple[RedisServer, RedisServer], lost: int
) -> None:
    """The replica is promoted without the last writes; others then commit exactly as often as was lost."""
    primary, replica = pair
    with Relay(primary.port) as relay:
        node = Store(RedisEngine(f"redis://127.0.0.1:{relay.port}", os.urandom), time.time)
        await write(node, user("bob", path="/first/"))
        replica.await_writes_of(primary)
        replica.ask(b"REPLICAOF NO ONE")
        for _ in range(lost):
            await write(node, user("bob", path="/lost/"))
        assert await path_of_bob(node) == "/lost/"
        primary.kill()
        relay.move(replica.port)
        other = Store(RedisEngine(replica.url, os.urandom), time.time)
        for _ in range(lost):
            await write(other, user("bob", path="/changed/"))
        for _ in range(3):
            with pytest.raises(EngineUnavailable, match=r"lost commits: revision \d of account/111111111111"):
                await path_of_bob(node)
        await write(other, user("bob", path="/later/"))
        assert await path_of_bob(node) == "/later/"
        await node.engine.close()
        await other.engine.close()


async def test_a_file_that_is_set_back_under_a_running_broker_is_another_history(tmp_path: Path) -> None:
    """An SQLite backup is restored into the open store; then another process commits as often as was lost."""
    path = tmp_path / "store.db"
    node, other = (Store(SqliteEngine(path, time.time, os.urandom), time.time) for _ in range(2))
    await write(node, user("bob", path="/first/"))
    with sqlite3.connect(path) as live, sqlite3.connect(tmp_path / "backup.db") as backup:
        live.backup(backup)
    for _ in range(2):
        await write(node, user("bob", path="/undone/"))
    assert await path_of_bob(node) == "/undone/"
    with sqlite3.connect(path) as live, sqlite3.connect(tmp_path / "backup.db") as backup:
        backup.backup(live)
    for _ in range(2):
        await write(other, user("bob", path="/changed/"))
    assert await path_of_bob(node) == await path_of_bob(other) == "/changed/"
    await asyncio.gather(node.engine.close(), other.engine.close())
