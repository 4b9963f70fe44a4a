"""Lost commits: a failover to a replica that lacks acknowledged writes, a store that is set back."""

import asyncio
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.storage import redis_revisions
from broker.storage.engine import EngineUnavailable, OutcomeUnknown
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
    at_once = "repl-diskless-sync-delay 0\n"
    with primary.running(at_once), replica.running(at_once):
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


async def test_what_no_replica_has_is_neither_acknowledged_nor_read_and_may_be_lost(
    pair: tuple[RedisServer, RedisServer],
) -> None:
    """The replica leaves before a commit, and takes the master's place: both brokers go on with what it has."""
    primary, replica = pair
    with Relay(primary.port) as relay:
        url = f"redis://127.0.0.1:{relay.port}"
        writer, reader = (Store(RedisEngine(url, os.urandom, replicas=1), time.time) for _ in range(2))
        await write(writer, user("bob", path="/first/"))
        assert await path_of_bob(writer) == await path_of_bob(reader) == "/first/"
        replica.ask(b"REPLICAOF NO ONE")
        begun = time.monotonic()
        with pytest.raises(OutcomeUnknown, match="0 of 1 replicas have answered in time"):
            await write(writer, user("bob", path="/unknown/"))
        for one in (writer, reader):
            with pytest.raises(EngineUnavailable, match="0 of 1 replicas") as refused:
                await path_of_bob(one)
            assert not isinstance(refused.value, OutcomeUnknown)
        assert time.monotonic() - begun < 3 * 2.0
        primary.kill()
        relay.move(replica.port)
        assert await path_of_bob(writer) == await path_of_bob(reader) == "/first/"
        primary.start()
        primary.ask(b"REPLICAOF 127.0.0.1 %d" % replica.port)
        while b"state=online" not in replica.ask(b"INFO replication"):
            await asyncio.sleep(0.02)
        await write(reader, user("bob", path="/later/"))
        assert await path_of_bob(writer) == "/later/"
        await asyncio.gather(writer.engine.close(), reader.engine.close())


async def test_a_commit_that_a_replica_has_late_is_read_then(pair: tuple[RedisServer, RedisServer]) -> None:
    primary, replica = pair
    store = Store(RedisEngine(primary.url, os.urandom, replicas=1), time.time)
    await write(store, user("bob", path="/first/"))
    replica.signal(signal.SIGSTOP)
    with pytest.raises(OutcomeUnknown):
        await write(store, user("bob", path="/late/"))
    replica.signal(signal.SIGCONT)
    assert await path_of_bob(store) == "/late/"
    await store.engine.close()


async def test_where_losses_are_accepted_a_broker_goes_on_with_what_is_there(
    pair: tuple[RedisServer, RedisServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_revisions, "_ACCEPTED_AFTER", 0.5)
    primary, replica = pair
    with Relay(primary.port) as relay:
        engine = RedisEngine(f"redis://127.0.0.1:{relay.port}", os.urandom, accepts_losses=True)
        node = Store(engine, time.time)
        await write(node, user("bob", path="/first/"))
        replica.await_writes_of(primary)
        replica.ask(b"REPLICAOF NO ONE")
        await write(node, user("bob", path="/lost/"))
        assert await path_of_bob(node) == "/lost/"
        primary.kill()
        relay.move(replica.port)
        with pytest.raises(EngineUnavailable, match="lost commits"):
            await path_of_bob(node)  # not at once: the old master may answer
        await asyncio.sleep(0.5)
        assert await path_of_bob(node) == "/first/"
        await write(node, user("bob", path="/later/"))
        assert await path_of_bob(node) == "/later/"
        assert [one for one in await engine.weaknesses() if "had revision 2, and was found at 1" in one]
        await node.engine.close()


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
