"""When a user's sessions have ended: with each deactivation, for good."""

import pytest
from msgspec.structs import replace

from broker.access.identity_stores import why_inactive
from broker.identity_store.people import People
from broker.storage.identity_store_records import StoreUser
from broker.storage.store import Transaction
from tests.unit.portal.conftest import World, broker, world

__all__ = ["broker", "world"]  # fixtures

SHARD, REFERENCE = "111111111111/d-0000000001", "111111111111/d-0000000001/u"


@pytest.mark.parametrize(
    ("began", "is_over"), [(99, True), (100, True), (149, True), (150, False), (200, False)]
)
async def test_a_session_from_before_a_deactivation_does_not_come_back(
    world: World, began: int, is_over: bool
) -> None:
    """Made at 90, deactivated at 100, active again at 150; what begins in the second of the deactivation is over."""

    def at(now: int, store: Transaction) -> People:
        return People(store, SHARD, now, 10, 10)

    async def work(store: Transaction) -> None:
        user = await at(90, store).create_user(StoreUser(user_id="u", user_name="ada"))
        assert await why_inactive(store, (REFERENCE,), began) == ""
        off = await at(100, store).change_user(user, replace(user, is_active=False))
        assert "is not active" in await why_inactive(store, (REFERENCE,), began)
        await at(150, store).change_user(off, replace(off, is_active=True))

    await world.broker.store.transact(work)
    reason = await why_inactive(world.broker.store.transaction(), (REFERENCE,), began)
    assert bool(reason) is is_over
    assert await why_inactive(world.broker.store.transaction(), (f"{REFERENCE}2",), began)
