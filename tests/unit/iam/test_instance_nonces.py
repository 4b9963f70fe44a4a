"""A nonce by which an instance proves itself: who may make one, for which instances."""

import json

from broker.credentials.instance_nonces import digest_of_nonce
from broker.protocol.shapes import iam as shapes
from broker.storage.instance_records import InstanceBinding
from broker.storage.records import Instance
from broker.storage.store import INSTANCE_BINDINGS, INSTANCES
from tests.unit.iam.conftest import ACCOUNT, NOW, OTHER_ACCOUNT

TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": {"Service": "ec2.amazonaws.com"},
            "Action": "sts:AssumeRole",
        },
    }
)


async def put(iam, *instances):
    async def work(store):
        for one in instances:
            store.put(INSTANCES, "", one)

    await iam.store.transact(work)


async def binding(iam, instance_id="i-1"):
    async def work(store):
        return await store.find(INSTANCE_BINDINGS, "", instance_id)

    return await iam.store.transact(work)


def asking(instance_id="i-1", **fields):
    return shapes.CreateInstanceNonceRequest(instance_id=instance_id, **fields)


async def test_the_store_has_a_digest_of_the_nonce_and_what_limits_it(iam):
    await put(iam, Instance(instance_id="i-1", account_id=ACCOUNT))
    made = await iam(asking(duration_seconds=60, source_network="192.168.122.7/24"))
    assert made.nonce.startswith("i-1.") and len(made.nonce) > 40
    assert made.expiration_date == NOW + 60
    stored = await binding(iam)
    assert stored == InstanceBinding(
        instance_id="i-1",
        account_id=ACCOUNT,
        nonce_digest=digest_of_nonce(made.nonce),
        nonce_expires_at=int(NOW) + 60,
        network="192.168.122.0/24",
    )
    assert made.nonce not in repr(made)


async def test_it_is_good_for_an_hour_where_nothing_is_said(iam):
    await put(iam, Instance(instance_id="i-1", account_id=ACCOUNT))
    assert (await iam(asking())).expiration_date == NOW + 3600


async def test_a_new_nonce_ends_what_an_earlier_one_has_bound(iam):
    await put(iam, Instance(instance_id="i-1", account_id=ACCOUNT))
    first = await iam(asking())
    second = await iam(asking())
    stored = await binding(iam)
    assert stored.nonce_digest == digest_of_nonce(second.nonce) != digest_of_nonce(first.nonce)
    assert stored.address == ""


async def test_an_instance_of_another_account_is_not_there(iam):
    await put(iam, Instance(instance_id="i-1", account_id=OTHER_ACCOUNT))
    for instance_id in ("i-1", "i-none"):
        code, message = await iam.refused(asking(instance_id))
        assert code == "NoSuchEntity"
        assert message == f"There is no instance {instance_id} in this account."


async def test_an_instance_with_declared_addresses_has_no_use_for_a_nonce(iam):
    await put(
        iam,
        Instance(instance_id="i-1", account_id=ACCOUNT, addresses=("192.0.2.7",)),
        Instance(instance_id="i-2", account_id=ACCOUNT, metadata_enabled=False),
        Instance(instance_id="i 3", account_id=ACCOUNT),
    )
    for instance_id in ("i-1", "i-2", "i 3"):
        assert (await iam.refused(asking(instance_id)))[0] == "InvalidInput"
        assert await binding(iam, instance_id) is None


async def test_a_source_network_is_an_address_or_a_network(iam):
    await put(iam, Instance(instance_id="i-1", account_id=ACCOUNT))
    code, message = await iam.refused(asking(source_network="everywhere"))
    assert code == "ValidationError"
    assert "192.0.2.0/24" in message


async def allow(iam, *statements):
    document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    await iam(shapes.PutUserPolicyRequest(user_name="bob", policy_name="own", policy_document=document))


async def test_who_makes_one_may_pass_the_instances_role(iam):
    """Else a nonce would give a role away that its maker could not give away otherwise."""
    await iam(shapes.CreateUserRequest(user_name="bob"))
    await iam(shapes.CreateRoleRequest(role_name="web", assume_role_policy_document=TRUST))
    await iam(shapes.CreateInstanceProfileRequest(instance_profile_name="web"))
    await iam(shapes.AddRoleToInstanceProfileRequest(instance_profile_name="web", role_name="web"))
    await put(iam, Instance(instance_id="i-1", account_id=ACCOUNT, instance_profile="web"))
    code, message = await iam.refused(asking(), user="bob")
    assert code == "AccessDenied"
    assert f"arn:aws:ec2:us-east-1:{ACCOUNT}:instance/i-1" in message
    creating = {
        "Effect": "Allow",
        "Action": "iam:CreateInstanceNonce",
        "Resource": f"arn:aws:ec2:us-east-1:{ACCOUNT}:instance/i-1",
    }
    await allow(iam, creating)
    code, message = await iam.refused(asking(), user="bob")
    assert code == "AccessDenied" and "iam:PassRole" in message
    passing = {
        "Effect": "Allow",
        "Action": "iam:PassRole",
        "Resource": f"arn:aws:iam::{ACCOUNT}:role/web",
        "Condition": {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
    }
    await allow(iam, creating, passing)
    assert (await iam(asking(), user="bob")).nonce


async def test_an_instance_can_be_chosen_by_its_tags(iam):
    await iam(shapes.CreateUserRequest(user_name="bob"))
    await put(
        iam,
        Instance(instance_id="i-1", account_id=ACCOUNT, tags={"team": "shop"}),
        Instance(instance_id="i-2", account_id=ACCOUNT, tags={"team": "bank"}),
    )
    condition = {"StringEquals": {"aws:ResourceTag/team": "shop"}}
    await allow(
        iam,
        {"Effect": "Allow", "Action": "iam:CreateInstanceNonce", "Resource": "*", "Condition": condition},
    )
    assert (await iam(asking("i-1"), user="bob")).nonce
    assert (await iam.refused(asking("i-2"), user="bob"))[0] == "AccessDenied"
