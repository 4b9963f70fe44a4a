import json

import pytest

from broker.protocol.shapes import iam as shapes
from broker.storage.last_accessed import LAST_ACCESSED_SECONDS, operation_key
from broker.storage.records import Usage
from broker.storage.store import USAGE
from tests.unit.iam.conftest import ACCOUNT, NOW, OTHER_ACCOUNT, Iam

POLICY = f"arn:aws:iam::{ACCOUNT}:policy/own"


def arn(path):
    return f"arn:aws:iam::{ACCOUNT}:{path}"


def document(*actions):
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture
async def account(iam: Iam):
    """bob by a group, carol directly, and a role have a policy for IAM and SQS; bob may use STS besides."""
    await iam(
        shapes.CreatePolicyRequest(policy_name="own", policy_document=document("iam:*", "sqs:SendMessage"))
    )
    await iam(shapes.CreateGroupRequest(group_name="red"))
    await iam(shapes.AttachGroupPolicyRequest(group_name="red", policy_arn=POLICY))
    for name in ("bob", "carol"):
        await iam(shapes.CreateUserRequest(user_name=name, path="/a/"))
    await iam(shapes.AddUserToGroupRequest(group_name="red", user_name="bob"))
    await iam(
        shapes.PutUserPolicyRequest(user_name="bob", policy_name="p", policy_document=document("sts:Get*"))
    )
    await iam(shapes.AttachUserPolicyRequest(user_name="carol", policy_arn=POLICY))
    trust = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}],
        }
    )
    await iam(shapes.CreateRoleRequest(role_name="app", assume_role_policy_document=trust))
    await iam(shapes.AttachRolePolicyRequest(role_name="app", policy_arn=POLICY))
    return iam


async def mark(iam, unique_id, action, at, service="iam"):
    """That a user or a role asked for an operation, as the broker writes it down."""
    usage = Usage(last_used_at=int(at), region="eu-west-1", service=service, action=action)

    async def work(transaction):
        transaction.put(USAGE, ACCOUNT, usage, key=operation_key(unique_id, service, action))

    await iam.store.transact(work)


async def id_of(iam, name):
    return (await iam(shapes.GetUserRequest(user_name=name))).user.user_id


async def job(iam, of, granularity=None):
    asked = shapes.GenerateServiceLastAccessedDetailsRequest(arn=of, granularity=granularity)
    return (await iam(asked)).job_id


async def details(iam, of, granularity=None):
    job_id = await job(iam, of, granularity)
    answer = await iam(shapes.GetServiceLastAccessedDetailsRequest(job_id=job_id))
    assert (answer.job_status, answer.job_type) == ("COMPLETED", granularity or "SERVICE_LEVEL")
    return {service.service_namespace: service for service in answer.services_last_accessed}


async def entities(iam, of, service="iam"):
    asked = shapes.GetServiceLastAccessedDetailsWithEntitiesRequest(
        job_id=await job(iam, of), service_namespace=service
    )
    return (await iam(asked)).entity_details_list


@pytest.mark.parametrize(
    ("of", "services"),
    [
        (arn("user/a/bob"), {"iam", "sqs", "sts"}),
        (arn("user/a/carol"), {"iam", "sqs"}),
        (arn("group/red"), {"iam", "sqs"}),
        (arn("role/app"), {"iam", "sqs"}),
        (POLICY, {"iam", "sqs"}),
        ("arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess", {"s3", "s3-object-lambda"}),
    ],
)
async def test_the_services_are_those_that_the_policies_allow(account, of, services):
    found = await details(account, of)
    assert set(found) == services
    assert all(service.last_authenticated is None for service in found.values())
    assert all(service.total_authenticated_entities == 0 for service in found.values())


async def test_a_use_is_told_by_service_with_the_last_that_used_it(account):
    bob, carol = await id_of(account, "bob"), await id_of(account, "carol")
    await mark(account, bob, "ListUsers", NOW - 20)
    await mark(account, carol, "ListUsers", NOW - 10)
    await mark(account, bob, "GetCallerIdentity", NOW, "sts")
    own = (await details(account, arn("user/a/bob")))["iam"]
    assert own == shapes.ServiceLastAccessed(
        service_name="AWS Identity and Access Management (IAM)",
        service_namespace="iam",
        last_authenticated=NOW - 20,
        last_authenticated_entity=arn("user/a/bob"),
        last_authenticated_region="eu-west-1",
        total_authenticated_entities=1,
    )
    both = (await details(account, POLICY))["iam"]
    assert (both.last_authenticated, both.last_authenticated_entity) == (NOW - 10, arn("user/a/carol"))
    assert both.total_authenticated_entities == 2
    of_group = (await details(account, arn("group/red")))["iam"]
    assert (of_group.last_authenticated_entity, of_group.total_authenticated_entities) == (
        arn("user/a/bob"),
        1,
    )


async def test_actions_are_told_where_they_are_asked_for(account):
    bob, carol = await id_of(account, "bob"), await id_of(account, "carol")
    await mark(account, bob, "ListUsers", NOW - 20)
    await mark(account, bob, "GetUser", NOW - 30)
    await mark(account, carol, "GetUser", NOW - 5)
    assert (await details(account, POLICY))["iam"].tracked_actions_last_accessed == ()
    told = (await details(account, POLICY, "ACTION_LEVEL"))["iam"].tracked_actions_last_accessed
    assert told == (
        shapes.TrackedActionLastAccessed(
            action_name="GetUser",
            last_accessed_entity=arn("user/a/carol"),
            last_accessed_time=NOW - 5,
            last_accessed_region="eu-west-1",
        ),
        shapes.TrackedActionLastAccessed(
            action_name="ListUsers",
            last_accessed_entity=arn("user/a/bob"),
            last_accessed_time=NOW - 20,
            last_accessed_region="eu-west-1",
        ),
    )


async def test_entities_are_told_with_their_own_last_use(account):
    bob = await id_of(account, "bob")
    await mark(account, bob, "ListUsers", NOW)
    told = {one.entity_info.name: one for one in await entities(account, POLICY)}
    assert {name: one.last_authenticated for name, one in told.items()} == {
        "app": None,
        "bob": NOW,
        "carol": None,
    }
    assert told["bob"].entity_info == shapes.EntityInfo(
        arn=arn("user/a/bob"), name="bob", type="USER", id=bob, path="/a/"
    )
    assert told["app"].entity_info.type == "ROLE"
    assert [one.entity_info.name for one in await entities(account, arn("group/red"))] == ["bob"]
    assert [one.entity_info.name for one in await entities(account, arn("role/app"))] == ["app"]


async def test_a_use_that_is_too_long_ago_is_told_no_more(account):
    await mark(account, await id_of(account, "bob"), "ListUsers", NOW - LAST_ACCESSED_SECONDS)
    assert (await details(account, arn("user/a/bob")))["iam"].last_authenticated is None


async def test_services_and_entities_are_told_in_pages(account):
    job_id = await job(account, POLICY)
    first = await account(shapes.GetServiceLastAccessedDetailsRequest(job_id=job_id, max_items=1))
    assert [one.service_namespace for one in first.services_last_accessed] == ["iam"] and first.is_truncated
    second = await account(
        shapes.GetServiceLastAccessedDetailsRequest(job_id=job_id, max_items=1, marker=first.marker)
    )
    assert [one.service_namespace for one in second.services_last_accessed] == ["sqs"]
    assert not second.is_truncated
    page = await account(
        shapes.GetServiceLastAccessedDetailsWithEntitiesRequest(
            job_id=job_id, service_namespace="iam", max_items=2
        )
    )
    assert [one.entity_info.name for one in page.entity_details_list] == ["app", "bob"] and page.is_truncated


async def test_what_is_not_there_is_refused(account):
    def generate(of):
        return shapes.GenerateServiceLastAccessedDetailsRequest(arn=of)

    assert (await account.refused(generate(arn("user/ghost"))))[0] == "NoSuchEntity"
    assert (await account.refused(generate(arn("policy/ghost"))))[0] == "NoSuchEntity"
    assert (await account.refused(generate("arn:aws:s3:::bucket-of-theirs")))[0] == "InvalidInput"
    assert (await account.refused(generate(f"arn:aws:iam::{OTHER_ACCOUNT}:user/bob")))[0] == "InvalidInput"
    unknown = "11111111-2222-4333-8444-555555555555"
    assert await account.refused(shapes.GetServiceLastAccessedDetailsRequest(job_id=unknown)) == (
        "NoSuchEntity",
        f"The job with id {unknown} cannot be found.",
    )
    job_id = await job(account, POLICY)
    nonsense = shapes.GetServiceLastAccessedDetailsWithEntitiesRequest(
        job_id=job_id, service_namespace="nonsense"
    )
    assert await account.refused(nonsense) == ("InvalidInput", "Invalid service namespace: [nonsense]")
    await account(shapes.DetachUserPolicyRequest(user_name="carol", policy_arn=POLICY))
    await account(shapes.DetachRolePolicyRequest(role_name="app", policy_arn=POLICY))
    await account(shapes.DetachGroupPolicyRequest(group_name="red", policy_arn=POLICY))
    await account(shapes.DeletePolicyRequest(policy_arn=POLICY))
    assert (await account.refused(shapes.GetServiceLastAccessedDetailsRequest(job_id=job_id)))[
        0
    ] == "NoSuchEntity"


async def test_who_may_not_ask_is_refused(account):
    asked = shapes.GenerateServiceLastAccessedDetailsRequest(arn=arn("role/app"))
    await account(shapes.CreateUserRequest(user_name="eve"))
    code, message = await account.refused(asked, user="eve")
    assert code == "AccessDenied" and "on resource: role app because" in message
    job_id = await job(account, POLICY)
    asked = shapes.GetServiceLastAccessedDetailsRequest(job_id=job_id)
    assert (await account.refused(asked, user="eve"))[0] == "AccessDenied"


async def test_details_are_told_to_who_asked_for_them_and_to_nobody_else(account):
    job_id = await job(account, POLICY)
    asked = shapes.GetServiceLastAccessedDetailsRequest(job_id=job_id)
    assert await account.refused(asked, user="carol") == (
        "NoSuchEntity",
        f"The job with id {job_id} cannot be found.",
    )
    assert (await account(asked)).job_status == "COMPLETED"
