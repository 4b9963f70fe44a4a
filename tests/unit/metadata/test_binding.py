"""An instance proves itself by a nonce: once, in time, from where it may, for itself alone."""

import asyncio
import secrets
from typing import Any

import pytest

from broker.credentials.instance_nonces import digest_of_nonce, new_nonce
from broker.errors import Refusal
from broker.metadata.binding import InstanceBinder
from broker.metadata.instances import Instances
from broker.metadata.reading import MetadataRefusal
from broker.storage.instance_records import InstanceBinding
from broker.storage.store import INSTANCE_BINDINGS, INSTANCES
from tests.unit.metadata.conftest import ACCOUNT, INSTANCE, NOW, World, instance

MACHINE, ANOTHER = "192.168.122.10", "192.168.122.11"


class Binding:
    """A binder, and whom it knows; each nonce is of the instance `i-0123456789abcdef0` unless another is named."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.instances = Instances()
        self.binder = InstanceBinder(
            world.store, self.instances, world.journal, lambda: world.now, secrets.token_bytes
        )

    async def nonce(self, instance_id: str = INSTANCE, **changes: Any) -> str:
        nonce = new_nonce(instance_id, secrets.token_bytes(32))
        known = {"account_id": ACCOUNT, "nonce_expires_at": int(NOW) + 3600}
        binding = InstanceBinding(
            **{**known, "instance_id": instance_id, "nonce_digest": digest_of_nonce(nonce), **changes}
        )
        await self.world.put(INSTANCE_BINDINGS, binding)
        return nonce

    async def asking(self, peer: str) -> str | None:
        found = await self.world.store.transact(lambda store: self.instances.find(store, peer))
        return found.instance_id if found else None

    async def refused(self, peer: str, nonce: str) -> str:
        with pytest.raises(MetadataRefusal) as refusal:
            await self.binder.bind(peer, nonce)
        assert refusal.value.status == 403
        return refusal.value.reason

    def recorded(self) -> list[dict[str, Any]]:
        return [one for one in self.world.journalled() if one["eventName"] == "BindInstance"]


@pytest.fixture
async def binding(world: World) -> Binding:
    await world.machine(addresses=())
    return Binding(world)


async def test_the_address_that_presents_the_nonce_is_the_instance(binding: Binding):
    nonce = await binding.nonce()
    assert await binding.asking(MACHINE) is None
    assert await binding.binder.bind(MACHINE, nonce) == INSTANCE
    assert await binding.asking(MACHINE) == INSTANCE
    assert await binding.asking(ANOTHER) is None
    (event,) = binding.recorded()
    assert event["requestParameters"] == {"instanceId": INSTANCE, "address": MACHINE}
    assert event["recipientAccountId"] == ACCOUNT
    assert nonce.rpartition(".")[2] not in str(event)


@pytest.mark.parametrize("peer", [MACHINE, ANOTHER, f"::ffff:{ANOTHER}"])
async def test_a_nonce_is_used_once(binding: Binding, peer: str):
    nonce = await binding.nonce()
    await binding.binder.bind(MACHINE, nonce)
    assert await binding.refused(peer, nonce)
    assert await binding.asking(MACHINE) == INSTANCE
    assert await binding.asking(ANOTHER) is None


async def test_who_comes_after_a_thief_reads_in_the_journal_who_it_was(binding: Binding):
    nonce = await binding.nonce()
    await binding.binder.bind(ANOTHER, nonce)
    await binding.refused(MACHINE, nonce)
    event = binding.recorded()[-1]
    assert event["errorCode"] == "AccessDenied"
    assert event["errorMessage"] == f"the nonce was used already, by {ANOTHER}"
    assert event["sourceIPAddress"] == MACHINE


async def test_of_two_that_present_it_at_once_one_is_the_instance(binding: Binding):
    nonce = await binding.nonce()
    peers = [f"192.168.122.{number}" for number in range(10, 20)]
    outcomes = await asyncio.gather(
        *(binding.binder.bind(peer, nonce) for peer in peers), return_exceptions=True
    )
    assert outcomes.count(INSTANCE) == 1
    assert [await binding.asking(peer) for peer in peers].count(INSTANCE) == 1


async def test_a_nonce_expires(binding: Binding):
    nonce = await binding.nonce()
    binding.world.now = NOW + 3600
    assert "expired" in await binding.refused(MACHINE, nonce)
    binding.world.now = NOW + 3599
    assert await binding.binder.bind(MACHINE, nonce) == INSTANCE


async def test_the_latest_nonce_alone_counts_and_ends_the_binding_of_the_one_before(binding: Binding):
    first = await binding.nonce()
    await binding.binder.bind(MACHINE, first)
    second = await binding.nonce()
    assert await binding.asking(MACHINE) is None
    assert "latest" in await binding.refused(MACHINE, first)
    await binding.binder.bind(ANOTHER, second)
    assert await binding.asking(ANOTHER) == INSTANCE


async def test_a_nonce_for_a_network_is_for_no_other(binding: Binding):
    nonce = await binding.nonce(network="192.168.122.0/24")
    assert "192.168.122.0/24" in await binding.refused("192.168.123.10", nonce)
    assert "192.168.122.0/24" in await binding.refused("fd00::10", nonce)
    assert await binding.binder.bind(MACHINE, nonce) == INSTANCE


async def test_a_nonce_of_one_instance_names_no_other(binding: Binding):
    await binding.world.put(INSTANCES, instance(instance_id="i-two", addresses=()))
    mine = await binding.nonce()
    other = await binding.nonce("i-two")
    for swapped in (f"i-two.{mine.rpartition('.')[2]}", f"{INSTANCE}.{other.rpartition('.')[2]}"):
        assert "latest" in await binding.refused(MACHINE, swapped)
    assert await binding.asking(MACHINE) is None


@pytest.mark.parametrize("how", ["declared", "bound"])
async def test_the_address_of_another_instance_stays_its_own(binding: Binding, how: str):
    addresses = (MACHINE,) if how == "declared" else ()
    await binding.world.put(INSTANCES, instance(instance_id="i-two", addresses=addresses))
    if how == "bound":
        await binding.binder.bind(MACHINE, await binding.nonce("i-two"))
    nonce = await binding.nonce()
    assert "i-two" in await binding.refused(MACHINE, nonce)
    assert await binding.asking(MACHINE) == "i-two"


@pytest.mark.parametrize(
    "nonce", ["", ".", "nonsense", f"{INSTANCE}.", f"{INSTANCE}.AAAA", "i-none.AAAA", "x" * 10_000, ".é"]
)
async def test_what_is_no_nonce_is_refused(binding: Binding, nonce: str):
    await binding.nonce()
    await binding.refused(MACHINE, nonce)
    assert await binding.asking(MACHINE) is None


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "nonsense", ""])
async def test_no_instance_is_at_a_loopback_address(binding: Binding, peer: str):
    assert "address" in await binding.refused(peer, await binding.nonce())


@pytest.mark.parametrize(
    "changes", [{"metadata_enabled": False}, {"addresses": ("192.0.2.1",)}, {"account_id": "444455556666"}]
)
async def test_what_has_changed_since_the_nonce_was_made_counts(binding: Binding, changes: dict[str, Any]):
    nonce = await binding.nonce()
    await binding.world.put(INSTANCES, instance(**{"addresses": (), **changes}))
    await binding.refused(MACHINE, nonce)
    assert await binding.asking(MACHINE) is None


async def test_who_is_refused_again_and_again_does_not_fill_the_journal(binding: Binding):
    nonce = await binding.nonce()
    for _ in range(20):
        await binding.refused(MACHINE, f"{nonce}x")
    assert len(binding.recorded()) == 1
    binding.world.now = NOW + 61
    await binding.refused(MACHINE, f"{nonce}x")
    assert len(binding.recorded()) == 2


async def test_without_a_journal_a_nonce_is_not_used_up(binding: Binding, monkeypatch: pytest.MonkeyPatch):
    from broker.audit.journal import JournalUnavailable

    def fails() -> None:
        raise JournalUnavailable("the disk is full")

    nonce = await binding.nonce()
    with monkeypatch.context() as patched:
        patched.setattr(binding.world.journal, "catch_up", fails)
        with pytest.raises(Refusal) as refusal:
            await binding.binder.bind(MACHINE, nonce)
    assert refusal.value.code == "ServiceUnavailable"
    assert await binding.binder.bind(MACHINE, nonce) == INSTANCE


async def test_a_nonce_through_a_proxy_is_refused_by_its_header(world: World):
    await world.machine(addresses=())
    client = await world.client()
    for headers in ({"X-Forwarded-For": "192.0.2.1"}, {}):
        answer = await client(
            "PUT", "/latest/api/instance", **{"X-broker-instance-nonce": f"{INSTANCE}.AAAA", **headers}
        )
        assert (answer.status, answer.body) == (403, b"")
    assert (await client("GET", "/latest/api/instance")).status in (403, 404)
