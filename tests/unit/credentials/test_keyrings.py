"""Keyrings that are read again: they are never lost, and never replaced by others."""

import base64
import os
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from broker.credentials.keyrings import MOST_SKEW, PARTITION, SESSIONS, STORAGE, Keyrings
from broker.sealing.keyring import RotationSchedule
from broker.sealing.master import is_sealed_by_current, new_master_key_text, parse_master_key
from broker.storage.engine import EngineUnavailable, Write
from broker.storage.sqlite import SqliteEngine


async def test_keyrings_that_were_deleted_are_reported_and_those_in_memory_stay(tmp_path: Path):
    master = parse_master_key(new_master_key_text(os.urandom(32)))
    engine = SqliteEngine(tmp_path / "broker.db", time.time, os.urandom)
    keyrings = Keyrings(engine, master, time.time, os.urandom, RotationSchedule())
    await keyrings.load()
    before = keyrings.sessions()
    revision = await engine.revision(PARTITION)
    saved = [(name, await engine.get(PARTITION, name)) for name in (SESSIONS, STORAGE)]
    await engine.commit(PARTITION, [Write(SESSIONS, None)], revision)
    for _ in range(2):
        with pytest.raises(EngineUnavailable, match="the keyrings are missing"):
            await keyrings.refresh()
    assert keyrings.sessions() is before
    await engine.commit(PARTITION, [Write(name, value) for name, value in saved], None)
    assert await keyrings.refresh()
    await engine.close()


HOUR = 3600.0
LONGEST_SESSION = 36 * HOUR


class Fleet:
    """A store with a clock of its own, and nodes whose clocks are so many seconds ahead of it, or behind."""

    def __init__(self, path: Path) -> None:
        self.now = 1_800_000_000.0
        self.engine = SqliteEngine(path, lambda: self.now, os.urandom)
        self._master = parse_master_key(new_master_key_text(os.urandom(32)))

    async def node(self, ahead: float = 0.0) -> Keyrings:
        keyrings = Keyrings(
            self.engine, self._master, lambda: self.now + ahead, os.urandom, RotationSchedule()
        )
        await keyrings.load()
        return keyrings

    async def rotate(self, node: Keyrings) -> bytes:
        """One rotation, each step when it is due; the id of the key that was retired."""
        retired = node.sessions().primary.id
        for step in (23 * HOUR, HOUR):
            self.now += step
            await node.rotate_when_due()
        assert node.sessions().primary.id != retired
        return retired


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    fleet = Fleet(tmp_path / "broker.db")
    yield fleet
    await fleet.engine.close()


@pytest.mark.parametrize("ahead", [72 * HOUR, MOST_SKEW + 1, -MOST_SKEW - 1])
async def test_a_node_whose_clock_is_wrong_changes_no_ring(fleet: Fleet, ahead: float) -> None:
    sound, wrong = await fleet.node(), await fleet.node(ahead)
    retired = await fleet.rotate(sound)
    fleet.now += 23.5 * HOUR
    which = "ahead of" if ahead > 0 else "behind"
    for step in (wrong.rotate_when_due, partial(wrong.stage, SESSIONS), partial(wrong.promote, SESSIONS)):
        with pytest.raises(EngineUnavailable, match=f"clock is [0-9]+ minutes {which} the store's"):
            await step()
    assert not await sound.refresh()
    assert sound.sessions().find(retired) is not None
    # It uses the ring that other nodes have rotated.
    await sound.rotate_when_due()
    assert await wrong.refresh() and wrong.sessions() == sound.sessions()


@pytest.mark.parametrize("ahead", [MOST_SKEW, -MOST_SKEW])
async def test_a_key_is_dropped_when_no_session_needs_it_whichever_node_does_it(
    fleet: Fleet, ahead: float
) -> None:
    sound, other = await fleet.node(), await fleet.node(ahead)
    retired = await fleet.rotate(other)
    retired_at = fleet.now
    while other.sessions().find(retired) is not None:
        fleet.now += HOUR / 4
        await other.rotate_when_due()
    assert fleet.now - retired_at == RotationSchedule().open_for > LONGEST_SESSION
    await sound.refresh()
    assert sound.sessions().find(retired) is None


async def test_no_key_is_dropped_by_a_wrong_clock_of_the_store(fleet: Fleet) -> None:
    """As after a failover to a machine without NTP: the nodes' clocks are right, and the store's is not."""
    node = await fleet.node()
    retired = await fleet.rotate(node)
    right = fleet.now
    fleet.now += 72 * HOUR
    behind = Keyrings(fleet.engine, fleet._master, lambda: right, os.urandom, RotationSchedule())
    await behind.load()
    with pytest.raises(EngineUnavailable, match="4320 minutes behind the store's"):
        await behind.rotate_when_due()
    assert behind.sessions().find(retired) is not None


async def test_the_first_keys_have_the_time_of_the_store(fleet: Fleet) -> None:
    """Else nodes with a right clock would rotate three days later."""
    node = await fleet.node(ahead=72 * HOUR)
    assert node.sessions().primary.created_at == node.sessions().primary.promoted_at == fleet.now


async def test_a_new_master_seals_the_rings_whatever_the_clock_says(fleet: Fleet) -> None:
    await fleet.node()
    text = new_master_key_text(os.urandom(32))
    previous = fleet._master.ring.primary.material.reveal()
    new = parse_master_key(text, [base64.b64encode(previous)])
    keyrings = Keyrings(fleet.engine, new, lambda: fleet.now + 72 * HOUR, os.urandom, RotationSchedule())
    await keyrings.load()
    await keyrings.reseal()
    for name in (SESSIONS, STORAGE):
        sealed = await fleet.engine.get(PARTITION, name)
        assert sealed is not None and is_sealed_by_current(new, sealed)
