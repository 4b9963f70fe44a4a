import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.metadata.instances import Instances, find_address
from broker.storage.store import INSTANCES
from tests.unit.metadata.conftest import INSTANCE, World, instance


async def found(world: World, instances: Instances, peer: str) -> str | None:
    asking = await world.store.transact(lambda store: instances.find(store, peer))
    return asking.instance_id if asking else None


@pytest.mark.parametrize("peer", ["10.0.0.5", "::ffff:10.0.0.5", "::ffff:a00:5"])
async def test_a_v4_address_is_known_in_every_spelling(world: World, peer: str):
    await world.put(INSTANCES, instance(addresses=("10.0.0.5",)))
    assert await found(world, Instances(), peer) == INSTANCE


@pytest.mark.parametrize("peer", ["fe80::1", "FE80::1", "fe80:0:0::0001", "fe80::1%eth0"])
async def test_a_v6_address_is_known_in_every_spelling(world: World, peer: str):
    await world.put(INSTANCES, instance(addresses=("FE80:0::1",)))
    assert await found(world, Instances(), peer) == INSTANCE


@pytest.mark.parametrize("peer", ["", "10.0.0.50", "nonsense", "10.0.0.5:80", "127.0.0.1", "::1"])
async def test_another_address_is_not_the_instance(world: World, peer: str):
    await world.put(INSTANCES, instance(addresses=("10.0.0.5",)))
    assert await found(world, Instances(), peer) is None


async def test_an_address_of_two_instances_belongs_to_neither(world: World):
    one, two = (
        instance(addresses=("10.0.0.5", "10.0.0.6")),
        instance(instance_id="i-two", addresses=("10.0.0.5",)),
    )
    await world.put(INSTANCES, one, two, instance(instance_id="i-three", addresses=("::ffff:10.0.0.5",)))
    instances = Instances()
    assert await found(world, instances, "10.0.0.5") is None
    assert await found(world, instances, "10.0.0.6") == INSTANCE


async def test_an_address_that_is_written_twice_in_one_record_is_still_its_own(world: World):
    await world.put(INSTANCES, instance(addresses=("10.0.0.5", "10.0.0.5")))
    assert await found(world, Instances(), "10.0.0.5") == INSTANCE


async def test_an_address_that_moves_is_the_other_instances_at_once(world: World):
    instances = Instances()
    await world.put(INSTANCES, instance(addresses=("10.0.0.5",)))
    assert await found(world, instances, "10.0.0.5") == INSTANCE
    await world.put(INSTANCES, instance(addresses=()), instance(instance_id="i-two", addresses=("10.0.0.5",)))
    assert await found(world, instances, "10.0.0.5") == "i-two"


async def test_an_instance_with_nonsense_for_an_address_does_not_hide_the_others(world: World):
    nonsense = instance(instance_id="i-a", addresses=("ten", "10.0.0.6"))
    await world.put(INSTANCES, instance(addresses=("10.0.0.5",)), nonsense)
    instances = Instances()
    assert await found(world, instances, "10.0.0.5") == INSTANCE
    assert await found(world, instances, "10.0.0.6") == "i-a"


async def test_loopback_is_the_chosen_instance_unless_a_record_holds_the_address(world: World):
    await world.put(
        INSTANCES, instance(addresses=()), instance(instance_id="i-two", addresses=("127.0.0.2",))
    )
    instances = Instances(INSTANCE)
    assert await found(world, instances, "127.0.0.1") == INSTANCE
    assert await found(world, instances, "::1") == INSTANCE
    assert await found(world, instances, "127.0.0.2") == "i-two"
    assert await found(world, instances, "10.0.0.1") is None
    assert await found(world, Instances("i-gone"), "127.0.0.1") is None


async def test_more_instances_than_one_page_are_all_found(world: World):
    many = [instance(instance_id=f"i-{n:04}", addresses=(f"10.1.{n >> 8}.{n & 255}",)) for n in range(1203)]
    await world.put(INSTANCES, *many)
    instances = Instances()
    for n in (0, 499, 500, 999, 1000, 1202):
        assert await found(world, instances, f"10.1.{n >> 8}.{n & 255}") == f"i-{n:04}"


@given(st.ip_addresses())
def test_an_address_is_read_as_it_prints(address):
    assert find_address(str(address)) in (address, getattr(address, "ipv4_mapped", None))
