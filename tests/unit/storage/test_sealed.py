import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from broker.sealing.key import FOREVER
from broker.sealing.keyring import Keyring, drop, new_keyring, promote, stage
from broker.storage.engine import NEVER_WRITTEN, EngineUnavailable, Write
from broker.storage.sealed import SealedEngine
from broker.storage.sqlite import SqliteEngine
from tests.unit.storage.turns import Work

OpenSqlite = Callable[[], SqliteEngine]
SECRET = b"wJalrXUtnFEMI/K7MDENG"


@pytest.fixture
def ring() -> Keyring:
    return new_keyring(time.time(), os.urandom(64))


@pytest.fixture
def inner(open_sqlite: OpenSqlite) -> SqliteEngine:
    return open_sqlite()


@pytest.fixture
def engine(inner: SqliteEngine, ring: Keyring) -> SealedEngine:
    return SealedEngine(inner, lambda: ring, os.urandom)


async def test_no_value_is_unencrypted_on_the_disk(engine: SealedEngine, tmp_path: Path) -> None:
    await engine.commit("account/1", [Write("key/a", SECRET)], NEVER_WRITTEN)
    written = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"key/a" in written
    assert SECRET not in written
    assert await engine.get("account/1", "key/a") == SECRET


async def test_equal_values_look_different(engine: SealedEngine, inner: SqliteEngine) -> None:
    await engine.commit("account/1", [Write("a", SECRET), Write("b", SECRET)], NEVER_WRITTEN)
    assert await inner.get("account/1", "a") != await inner.get("account/1", "b")


@pytest.mark.parametrize(("partition", "key"), [("account/1", "b"), ("account/2", "a"), ("account/", "1a")])
async def test_a_value_moved_to_another_key_does_not_open(
    engine: SealedEngine, inner: SqliteEngine, partition: str, key: str
) -> None:
    await engine.commit("account/1", [Write("a", SECRET)], NEVER_WRITTEN)
    await inner.commit(partition, [Write(key, await inner.get("account/1", "a"))], None)
    for question in (engine.get(partition, key), engine.fetch(partition, [key]), engine.scan(partition, key)):
        with pytest.raises(EngineUnavailable, match=f"{partition} {key}: .*another context"):
            await question
    assert await engine.get("account/1", "a") == SECRET


async def test_a_value_that_was_changed_does_not_open(engine: SealedEngine, inner: SqliteEngine) -> None:
    await engine.commit("account/1", [Write("a", SECRET)], NEVER_WRITTEN)
    sealed = await inner.get("account/1", "a")
    for at in range(len(sealed)):
        changed = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
        await inner.commit("account/1", [Write("a", changed)], None)
        with pytest.raises(EngineUnavailable, match="account/1 a: "):
            await engine.get("account/1", "a")


async def test_an_unencrypted_value_is_not_accepted_as_a_sealed_one(
    engine: SealedEngine, inner: SqliteEngine
) -> None:
    await inner.commit("account/1", [Write("a", b"{}"), Write("b", b"x" * 100)], None)
    for key in "ab":
        with pytest.raises(EngineUnavailable, match="envelope"):
            await engine.get("account/1", key)


async def test_what_a_retired_key_sealed_still_opens_and_a_dropped_keys_does_not(
    inner: SqliteEngine, ring: Keyring
) -> None:
    current = ring
    engine = SealedEngine(inner, lambda: current, os.urandom)
    await engine.commit("account/1", [Write("old", SECRET)], None)
    current = promote(stage(ring, time.time(), os.urandom(64)), time.time(), FOREVER)
    await engine.commit("account/1", [Write("new", SECRET)], None)
    assert await engine.scan("account/1", "") == [("new", SECRET), ("old", SECRET)]
    current = drop(current, ring.primary.id)
    assert await engine.get("account/1", "new") == SECRET
    with pytest.raises(EngineUnavailable, match=f"no key {ring.primary.id.hex()} in the keyring"):
        await engine.get("account/1", "old")


async def test_errors_of_the_seal_contain_no_secret(engine: SealedEngine, inner: SqliteEngine) -> None:
    await inner.commit("account/1", [Write("a", SECRET * 10)], None)
    with pytest.raises(EngineUnavailable) as refused:
        await engine.get("account/1", "a")
    assert SECRET.decode() not in str(refused.value)


async def test_the_event_loop_runs_while_a_few_values_of_each_of_many_partitions_are_sealed(
    inner: SqliteEngine, ring: Keyring
) -> None:
    sealed = Work()

    def entropy(number: int) -> bytes:
        sealed.note()
        return os.urandom(number)

    engine = SealedEngine(inner, lambda: ring, entropy)
    writes = [Write(f"key/{number}", SECRET) for number in range(90)]
    async with sealed.watched():
        await engine.commit_each({f"usage/{number}": writes for number in range(10)})
        await engine.commit("usage/one", writes * 10, None)
    assert sealed.noted == 1800
    assert sealed.most <= 200
    assert await engine.get("usage/9", "key/89") == await engine.get("usage/one", "key/89") == SECRET
