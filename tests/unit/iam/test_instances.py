"""Which machines of an account the metadata service knows."""

from broker.protocol.shapes import iam as shapes
from broker.storage.instance_records import InstanceBinding
from broker.storage.records import Instance
from broker.storage.store import INSTANCE_BINDINGS, INSTANCES
from tests.unit.iam.conftest import ACCOUNT, OTHER_ACCOUNT


async def put(iam, *instances):
    async def work(store):
        for instance in instances:
            store.put(INSTANCES, "", instance)

    await iam.store.transact(work)


def machine(name, account=ACCOUNT, profile=None, **fields):
    return Instance(instance_id=name, account_id=account, instance_profile=profile, **fields)


async def listed(iam, **fields):
    return (await iam(shapes.ListInstancesRequest(**fields))).instances


async def test_the_instances_of_the_account_alone_are_listed(iam):
    mine = machine("i-1", addresses=("192.0.2.7",), tags={"Name": "web"}, launched_at=5)
    await put(iam, mine, machine("i-2", OTHER_ACCOUNT))
    (one,) = await listed(iam)
    assert (one.instance_id, one.addresses, one.launch_date) == ("i-1", ("192.0.2.7",), 5)
    assert one.tags == (shapes.Tag(key="Name", value="web"),)
    assert one.tokens_required


async def test_instances_of_one_profile_name_it_by_name_or_by_arn(iam):
    arn = f"arn:aws:iam::{ACCOUNT}:instance-profile/web/machines"
    await put(iam, machine("i-1", profile="machines"), machine("i-2", profile=arn), machine("i-3"))
    found = await listed(iam, instance_profile_name="Machines")
    assert [one.instance_id for one in found] == ["i-1", "i-2"]
    assert await listed(iam, instance_profile_name="others") == ()


async def test_an_address_that_an_instance_has_proven_is_listed_with_it(iam):
    await put(iam, machine("i-1"))
    bound = InstanceBinding(
        instance_id="i-1", account_id=ACCOUNT, nonce_digest=b"", nonce_expires_at=0, address="192.0.2.9"
    )

    async def work(store):
        store.put(INSTANCE_BINDINGS, "", bound)

    await iam.store.transact(work)
    assert [one.addresses for one in await listed(iam)] == [("192.0.2.9",)]


async def test_a_long_list_has_pages(iam):
    await put(iam, *(machine(f"i-{number}") for number in range(5)))
    first = await iam(shapes.ListInstancesRequest(max_items=3))
    assert first.is_truncated
    second = await iam(shapes.ListInstancesRequest(marker=first.marker))
    assert [one.instance_id for one in (*first.instances, *second.instances)] == [f"i-{n}" for n in range(5)]


async def test_whoever_has_no_permission_is_told_nothing(iam):
    await iam(shapes.CreateUserRequest(user_name="bob"))
    code, message = await iam.refused(shapes.ListInstancesRequest(), user="bob")
    assert code == "AccessDenied"
    assert "iam:ListInstances" in message
