"""Foreign resources: who owns them, their policies, and what the gate decides about them."""

import json

import pytest

from broker.access.caller import Caller
from broker.access.facts import RequestFacts
from broker.errors import Refusal
from broker.names.principal import IamUser
from broker.operation import Quotas
from broker.protocol.shapes import iam as shapes
from broker.storage.organization_records import Organization, OrganizationalUnit, OrganizationPolicy
from broker.storage.records import Account, User
from broker.storage.store import ACCOUNTS, ORGANIZATION, USERS
from tests.unit.iam.conftest import ACCOUNT, NOW, OTHER_ACCOUNT

BUCKET, OBJECT = "arn:aws:s3:::photos", "arn:aws:s3:::photos/2026/a.jpg"
QUEUE = f"arn:aws:sqs:eu-west-1:{ACCOUNT}:orders"


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def statement(effect="Allow", action="s3:*", resource="*", **more):
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def everyone(effect="Allow", **more):
    return document(statement(effect, Principal="*", **more))


def register(arn=BUCKET):
    return shapes.RegisterForeignResourceRequest(resource_arn=arn)


def put_policy(text, arn=BUCKET):
    return shapes.PutForeignResourcePolicyRequest(resource_arn=arn, policy_document=text)


def get(arn=BUCKET):
    return shapes.GetForeignResourceRequest(resource_arn=arn)


def user(name, account=ACCOUNT, *statements):
    return User(
        account_id=account,
        user_name=name,
        user_id=f"AIDA{name.upper()}{account}",
        created_at=0,
        inline_policies={"own": document(*statements)} if statements else {},
    )


async def write(iam, collection, account, *records):
    async def work(store):
        for record in records:
            store.put(collection, account, record)

    await iam.store.transact(work)


async def caller_of(iam, record):
    await write(iam, USERS, record.account_id, record)
    who = IamUser(record.account_id, record.user_name, record.user_id, record.path)
    return Caller(principal=who, account=record.account_id, user=record)


async def is_allowed(iam, caller, action="s3:GetObject", arn=OBJECT):
    """The gate's decision on a resource as `foreign_resources` finds it."""
    facts = RequestFacts(now=NOW, request_id="r", source_ip="192.0.2.1")
    store = iam.store.transaction()
    resource = await iam.gate.foreign_resources.resource(store, arn)
    return (await iam.gate.decide(store, caller, facts, action, resource)).allowed


async def test_a_name_belongs_to_the_account_that_took_it_first(iam):
    answer = await iam(register())
    assert (answer.foreign_resource.resource_arn, answer.foreign_resource.policy_document) == (BUCKET, None)
    assert (await iam(register())).foreign_resource == answer.foreign_resource
    root = Caller(principal=IamUser(OTHER_ACCOUNT, "eve", "AIDAEVE"), account=OTHER_ACCOUNT)
    eve = await caller_of(iam, user("eve", OTHER_ACCOUNT, statement(action="*")))
    for caller in (root, eve):
        assert (await iam.refused(register(), caller=caller))[0] == "AccessDenied"
        assert (await iam.refused(put_policy(everyone()), caller=caller))[0] == "AccessDenied"
        assert (await iam.refused(get(), caller=caller))[0] == "AccessDenied"


async def test_the_account_of_an_arn_owns_it_and_no_other_registers_it(iam):
    eve = await caller_of(iam, user("eve", OTHER_ACCOUNT, statement(action="*")))
    assert (await iam.refused(register(QUEUE), caller=eve))[0] == "AccessDenied"
    await iam(register(QUEUE))


async def test_a_name_that_was_given_up_may_be_taken_by_another(iam):
    await iam(register())
    await iam(shapes.DeregisterForeignResourceRequest(resource_arn=BUCKET))
    eve = await caller_of(iam, user("eve", OTHER_ACCOUNT, statement(action="broker:*")))
    await iam(register(), caller=eve)
    assert (await iam.refused(register()))[0] == "AccessDenied"


async def test_a_policy_is_put_read_and_deleted_and_the_name_stays(iam):
    text = everyone(action="s3:GetObject")
    await iam(put_policy(text))
    assert (await iam(get())).foreign_resource.policy_document == text
    await iam(shapes.DeleteForeignResourcePolicyRequest(resource_arn=BUCKET))
    assert (await iam(get())).foreign_resource.policy_document is None
    await iam(shapes.DeregisterForeignResourceRequest(resource_arn=BUCKET))
    assert (await iam.refused(get()))[0] == "NoSuchEntity"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{}", "MalformedPolicyDocument"),
        (document(statement()), "MalformedPolicyDocument"),
        (
            document(statement(Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:user/nobody"})),
            "MalformedPolicyDocument",
        ),
        (everyone(resource="x" * 20_480), "LimitExceeded"),
    ],
)
async def test_a_policy_that_is_none_changes_nothing(iam, text, code):
    assert (await iam.refused(put_policy(text)))[0] == code
    assert (await iam.refused(get()))[0] == "NoSuchEntity"


async def test_what_is_no_foreign_resource_is_refused_before_anything_else(iam):
    for arn in ("arn:aws:s3:::photos/*", f"arn:aws:iam::{ACCOUNT}:role/x", "photos"):
        assert (await iam.refused(register(arn)))[0] == "ValidationError"


async def test_the_permission_is_for_the_resource(iam):
    bob = await caller_of(
        iam, user("bob", ACCOUNT, statement(action="broker:PutForeignResourcePolicy", resource=BUCKET))
    )
    await iam(put_policy(everyone()), caller=bob)
    code, message = await iam.refused(put_policy(everyone(), "arn:aws:s3:::others"), caller=bob)
    assert (code, "broker:PutForeignResourcePolicy on resource: arn:aws:s3:::others" in message) == (
        "AccessDenied",
        True,
    )


async def test_a_name_that_accounts_share_is_not_for_the_taking_unless_the_operator_says_so(iam):
    iam.accounts_take_names = False
    for request in (register(), put_policy(everyone())):
        code, message = await iam.refused(request)
        assert (code, "the operator gives them by broker apply" in message) == ("InvalidInput", True)
    assert (await iam.refused(get()))[0] == "NoSuchEntity"
    await iam(register(QUEUE))
    iam.accounts_take_names = True
    await iam(register())
    iam.accounts_take_names = False
    await iam(put_policy(everyone()))


async def test_an_account_owns_no_more_than_its_quota(iam):
    iam.quotas = Quotas(foreign_resources=1)
    await iam(register())
    assert (await iam.refused(register(QUEUE)))[0] == "LimitExceeded"
    await iam(put_policy(everyone()))


async def test_a_list_has_those_of_the_account_in_pages(iam):
    names = [f"arn:aws:s3:::bucket{number}" for number in range(5)]
    for name in (*names, QUEUE):
        await iam(register(name))
    first = await iam(shapes.ListForeignResourcesRequest(arn_prefix="arn:aws:s3:", max_items=3))
    second = await iam(
        shapes.ListForeignResourcesRequest(arn_prefix="arn:aws:s3:", marker=first.marker, max_items=3)
    )
    assert first.is_truncated
    assert [one.resource_arn for one in (*first.foreign_resources, *second.foreign_resources)] == names
    eve = await caller_of(iam, user("eve", OTHER_ACCOUNT, statement(action="broker:*")))
    assert (await iam(shapes.ListForeignResourcesRequest(), caller=eve)).foreign_resources == ()


async def test_in_the_owners_account_an_identity_policy_is_enough_and_elsewhere_it_is_not(iam):
    await iam(register())
    reader = statement(action="s3:GetObject", resource=f"{BUCKET}/*")
    own = await caller_of(iam, user("ann", ACCOUNT, reader))
    other = await caller_of(iam, user("eve", OTHER_ACCOUNT, reader))
    assert (await is_allowed(iam, own), await is_allowed(iam, other)) == (True, False)
    await iam(put_policy(document(statement(Principal={"AWS": OTHER_ACCOUNT}))))
    assert await is_allowed(iam, other)
    without = await caller_of(iam, user("oda", OTHER_ACCOUNT))
    assert not await is_allowed(iam, without)


async def test_the_policy_of_a_bucket_denies_its_objects_to_the_owner_too(iam):
    ann = await caller_of(iam, user("ann", ACCOUNT, statement()))
    await iam(put_policy(everyone("Deny", action="s3:GetObject", resource=f"{BUCKET}/2026/*")))
    assert not await is_allowed(iam, ann)
    assert await is_allowed(iam, ann, arn=f"{BUCKET}/2025/a.jpg")


async def test_a_policy_above_still_denies_when_one_below_allows(iam):
    api = f"arn:aws:execute-api:eu-west-1:{ACCOUNT}:shop"
    bob = await caller_of(iam, user("bob"))
    await iam(put_policy(everyone("Deny", action="execute-api:*", resource=f"{api}/prod/*"), api))
    await iam(put_policy(everyone(action="execute-api:*"), f"{api}/prod/GET"))
    await iam(put_policy(everyone(action="execute-api:*"), f"{api}/test"))
    assert not await is_allowed(iam, bob, "execute-api:Invoke", f"{api}/prod/GET/orders")
    assert await is_allowed(iam, bob, "execute-api:Invoke", f"{api}/test/GET/orders")
    assert not await is_allowed(iam, bob, "execute-api:Invoke", f"{api}/testing/GET/orders")


async def test_a_bucket_that_nobody_took_is_denied_to_everyone(iam):
    ann = await caller_of(iam, user("ann", ACCOUNT, statement(action="*")))
    with pytest.raises(Refusal) as refused:
        await is_allowed(iam, ann)
    assert refused.value.code == "AccessDenied"
    assert "nobody owns" in refused.value.reason
    for arn in ("arn:aws:sqs:eu-west-1:aws:orders", "arn:aws:sqs:eu-west-1:1:orders", "*", "orders"):
        with pytest.raises(Refusal):
            await is_allowed(iam, ann, "sqs:SendMessage", arn)


async def test_a_resource_that_is_not_on_record_is_of_the_account_in_its_arn(iam):
    sender = statement(action="sqs:*")
    ann = await caller_of(iam, user("ann", ACCOUNT, sender))
    eve = await caller_of(iam, user("eve", OTHER_ACCOUNT, sender))
    assert await is_allowed(iam, ann, "sqs:SendMessage", QUEUE)
    assert not await is_allowed(iam, eve, "sqs:SendMessage", QUEUE)


async def test_a_user_of_the_same_name_is_not_whom_the_policy_named(iam):
    await write(iam, ACCOUNTS, "", Account(account_id=OTHER_ACCOUNT))
    reader = statement(action="s3:GetObject")
    first = user("eve", OTHER_ACCOUNT, reader)
    eve = await caller_of(iam, first)
    await iam(put_policy(document(statement(Principal={"AWS": first.arn}))))
    assert await is_allowed(iam, eve)
    again = User(**{name: getattr(first, name) for name in first.__struct_fields__} | {"user_id": "AIDANEW"})
    assert not await is_allowed(iam, await caller_of(iam, again))
    assert "AIDAEVE" in (await iam(get())).foreign_resource.policy_document


async def test_control_policies_of_the_owners_account_hold_for_its_resources(iam):
    deny = document(statement("Deny", "s3:GetObject", Principal="*"))
    allow_all = document(statement(action="*", Principal="*"))
    policies = {
        name: OrganizationPolicy(name=name, type="RESOURCE_CONTROL_POLICY", content=text)
        for name, text in (("p-deny", deny), ("p-all", allow_all))
    }
    await iam(register())
    ann = await caller_of(iam, user("ann", ACCOUNT, statement()))
    assert await is_allowed(iam, ann)
    root = OrganizationalUnit(parent=None, policies=("p-all",))
    member = OrganizationalUnit(parent="r-1", policies=("p-all", "p-deny"))
    organization = Organization(
        organization_id="o-1",
        management_account_id="999988887777",
        units={"r-1": root},
        accounts={ACCOUNT: member},
        features=("RESOURCE_CONTROL_POLICY",),
        policies=policies,
    )
    await write(iam, ORGANIZATION, "", organization)
    assert not await is_allowed(iam, ann)


async def test_a_simulation_uses_the_policy_that_is_registered(iam):
    await caller_of(iam, user("ann", ACCOUNT, statement()))
    asked = shapes.SimulatePrincipalPolicyRequest(
        policy_source_arn=f"arn:aws:iam::{ACCOUNT}:user/ann",
        action_names=("s3:GetObject",),
        resource_arns=(OBJECT,),
    )

    async def simulated():
        (result,) = (await iam(asked)).evaluation_results
        return result.eval_decision

    assert await simulated() == "allowed"
    await iam(put_policy(everyone("Deny", action="s3:GetObject", resource=f"{BUCKET}/2026/*")))
    assert await simulated() == "explicitDeny"
    await iam(shapes.DeleteForeignResourcePolicyRequest(resource_arn=BUCKET))
    assert await simulated() == "allowed"
