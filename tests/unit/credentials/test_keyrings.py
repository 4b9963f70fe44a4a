"""Keyrings that are read anew: what they must not become."""

import os
import time
from pathlib import Path

import pytest

from broker.credentials.keyrings import PARTITION, SESSIONS, STORAGE, Keyrings
from broker.sealing.keyring import RotationSchedule
from broker.sealing.master import new_master_key_text, parse_master_key
from broker.storage.engine import EngineUnavailable, Write
from broker.storage.sqlite import SqliteEngine


async def test_keyrings_that_vanish_are_missed_and_those_in_memory_stay(tmp_path: Path):
    master = parse_master_key(new_master_key_text(os.urandom(32)))
    engine = SqliteEngine(tmp_path / "broker.db", time.time, os.urandom)
    keyrings = Keyrings(engine, master, time.time, os.urandom, RotationSchedule())
    await keyrings.load()
    before = keyrings.sessions()
    revision = await engine.revision(PARTITION)
    kept = [(name, await engine.get(PARTITION, name)) for name in (SESSIONS, STORAGE)]
    await engine.commit(PARTITION, [Write(SESSIONS, None)], revision)
    for _ in range(2):
        with pytest.raises(EngineUnavailable, match="the keyrings are gone"):
            await keyrings.refresh()
    assert keyrings.sessions() is before
    await engine.commit(PARTITION, [Write(name, value) for name, value in kept], None)
    assert await keyrings.refresh()
    await engine.close()
