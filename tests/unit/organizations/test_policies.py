"""Control policies: their life, where they are attached, and that the gate obeys them with the next request."""

import asyncio
import json
from typing import Any

import msgspec
import pytest

from broker.access.caller import root_caller
from broker.errors import Refusal
from broker.operation import Quotas
from broker.protocol.shapes import organizations as shapes
from broker.storage.store import ORGANIZATION, Transaction
from tests.unit.organizations.conftest import MANAGEMENT, RCP, SCP, Made

DENY_LEAVING = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Deny", "Action": "organizations:LeaveOrganization", "Resource": "*"}],
    }
)
FULL = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
GUARD = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"}],
    }
)


@pytest.fixture
async def limited(made: Made) -> Made:
    for policy_type in (SCP, RCP):
        await made.organizations(shapes.EnablePolicyTypeRequest(root_id=made.root, policy_type=policy_type))
    return made


def policy(name: str = "guard", policy_type: str = SCP, content: str = "") -> shapes.CreatePolicyRequest:
    text = content or (DENY_LEAVING if policy_type == SCP else GUARD)
    return shapes.CreatePolicyRequest(name=name, type=policy_type, description="what it does", content=text)


async def new_policy(made: Made, name: str = "guard", policy_type: str = SCP) -> str:
    found: str = (await made.organizations(policy(name, policy_type))).policy.policy_summary.id
    return found


def attach(policy_id: str, target: str) -> shapes.AttachPolicyRequest:
    return shapes.AttachPolicyRequest(policy_id=policy_id, target_id=target)


def detach(policy_id: str, target: str) -> shapes.DetachPolicyRequest:
    return shapes.DetachPolicyRequest(policy_id=policy_id, target_id=target)


async def attached(made: Made, target: str, policy_type: str = SCP) -> list[str]:
    request = shapes.ListPoliciesForTargetRequest(target_id=target, filter=policy_type)
    return [one.name for one in (await made.organizations(request)).policies]


async def test_a_policy_is_created_described_changed_and_deleted(made: Made) -> None:
    organizations = made.organizations
    created = (await organizations(policy())).policy
    own, organization = created.policy_summary, (await organizations.record()).organization_id
    assert own.arn == (
        f"arn:aws:organizations::{MANAGEMENT}:policy/{organization}/service_control_policy/{own.id}"
    )
    assert (own.name, own.description, own.type, own.aws_managed) == ("guard", "what it does", SCP, False)
    assert (created.content, own.id[:2]) == (DENY_LEAVING, "p-")
    described = shapes.DescribePolicyRequest(policy_id=own.id)
    assert (await organizations(described)).policy == created
    change = shapes.UpdatePolicyRequest(policy_id=own.id, name="other", description="", content=DENY_LEAVING)
    changed = (await organizations(change)).policy.policy_summary
    assert (changed.id, changed.name, changed.description) == (own.id, "other", "")
    assert (await organizations.refused(policy("other")))[0] == "DuplicatePolicyException"
    await organizations(policy("other", RCP))
    await organizations(shapes.DeletePolicyRequest(policy_id=own.id))
    assert (await organizations.refused(described))[0] == "PolicyNotFoundException"


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (policy(content="{"), "MalformedPolicyDocumentException"),
        (policy(content=GUARD), "MalformedPolicyDocumentException"),
        (policy(policy_type=RCP, content=DENY_LEAVING), "MalformedPolicyDocumentException"),
        (policy(policy_type=RCP, content=GUARD.replace("s3:*", "*")), "MalformedPolicyDocumentException"),
        (policy(policy_type=RCP, content=GUARD.replace("Deny", "Allow")), "MalformedPolicyDocumentException"),
        (policy(content=DENY_LEAVING + " " * 5120), "ConstraintViolationException"),
        (policy("FullAWSAccess"), "DuplicatePolicyException"),
        (policy(policy_type="TAG_POLICY", content="{}"), "PolicyTypeNotAvailableForOrganizationException"),
        (shapes.UpdatePolicyRequest(policy_id="p-FullAWSAccess", name="mine"), "InvalidInputException"),
        (shapes.DeletePolicyRequest(policy_id="p-FullAWSAccess"), "InvalidInputException"),
    ],
)
async def test_a_policy_without_its_grammar_its_size_or_its_own_name_is_refused(
    made: Made, request_: Any, code: str
) -> None:
    before = await made.organizations.record()
    assert (await made.organizations.refused(request_))[0] == code
    assert await made.organizations.record() == before


async def test_awss_own_policies_are_listed_first_among_those_of_their_type(made: Made) -> None:
    await new_policy(made)
    for policy_type, names in ((SCP, {"FullAWSAccess", "guard"}), (RCP, {"RCPFullAWSAccess"})):
        listed = (await made.organizations(shapes.ListPoliciesRequest(filter=policy_type))).policies
        assert {one.name for one in listed} == names
        own = next(one for one in listed if one.aws_managed)
        assert own.arn == f"arn:aws:organizations::aws:policy/{policy_type.lower()}/{own.id}"
    other = shapes.ListPoliciesRequest(filter="TAG_POLICY")
    assert (await made.organizations(other)).policies == ()


async def test_what_is_attached_denies_with_the_next_request_and_no_more_when_it_is_detached(
    limited: Made,
) -> None:
    organizations, guard = limited.organizations, await new_policy(limited)
    await organizations(attach(guard, limited.root))
    refusal = await organizations.refused("LeaveOrganization", caller=root_caller(limited.member))
    assert refusal[0] == "AccessDenied"
    record = await organizations.record()
    arn = f"policy/{record.organization_id}/service_control_policy/{guard}"
    assert (
        f"explicit deny in a service control policy: arn:aws:organizations::{MANAGEMENT}:{arn}" in refusal[1]
    )
    await organizations(detach(guard, limited.root))
    await organizations.as_account(limited.member, "LeaveOrganization")


async def test_the_management_account_is_not_limited(limited: Made) -> None:
    deny = DENY_LEAVING.replace("LeaveOrganization", "*")
    created = await limited.organizations(policy(content=deny))
    await limited.organizations(attach(created.policy.policy_summary.id, MANAGEMENT))
    assert sorted(await attached(limited, MANAGEMENT)) == ["FullAWSAccess", "guard"]


async def test_attachments_are_listed_from_both_sides(limited: Made) -> None:
    organizations, guard = limited.organizations, await new_policy(limited)
    for target in (limited.root, limited.member):
        await organizations(attach(guard, target))
    request = shapes.ListTargetsForPolicyRequest(policy_id=guard)
    targets = {one.type: one for one in (await organizations(request)).targets}
    assert (targets["ROOT"].target_id, targets["ROOT"].name) == (limited.root, "Root")
    assert (targets["ACCOUNT"].target_id, targets["ACCOUNT"].name) == (limited.member, "member")
    assert sorted(await attached(limited, limited.member)) == ["FullAWSAccess", "guard"]
    assert await attached(limited, limited.member, RCP) == ["RCPFullAWSAccess"]
    everywhere = shapes.ListTargetsForPolicyRequest(policy_id="p-RCPFullAWSAccess")
    assert len((await organizations(everywhere)).targets) == 3


async def test_what_cannot_be_attached_or_detached_is_refused(limited: Made) -> None:
    organizations, guard, member = limited.organizations, await new_policy(limited), limited.member
    for request, code in (
        (attach("p-aaaaaaaaaa", member), "PolicyNotFoundException"),
        (attach(guard, "999999999999"), "TargetNotFoundException"),
        (attach("p-FullAWSAccess", member), "DuplicatePolicyAttachmentException"),
        (attach("p-RCPFullAWSAccess", member), "DuplicatePolicyAttachmentException"),
        (detach(guard, member), "PolicyNotAttachedException"),
        (detach("p-FullAWSAccess", member), "ConstraintViolationException"),
        (detach("p-RCPFullAWSAccess", member), "InvalidInputException"),
    ):
        assert (await organizations.refused(request))[0] == code
    await organizations(attach(guard, member))
    assert (await organizations.refused(shapes.DeletePolicyRequest(policy_id=guard)))[
        0
    ] == "PolicyInUseException"
    await organizations(shapes.DisablePolicyTypeRequest(root_id=limited.root, policy_type=SCP))
    assert (await organizations.refused(attach(guard, member)))[0] == "PolicyTypeNotEnabledException"
    assert await attached(limited, member) == []


async def test_the_last_resource_control_policy_of_an_organization_may_be_detached(limited: Made) -> None:
    guard = await new_policy(limited, policy_type=RCP)
    await limited.organizations(attach(guard, limited.root))
    await limited.organizations(detach(guard, limited.root))
    assert await attached(limited, limited.root, RCP) == ["RCPFullAWSAccess"]


async def test_many_who_attach_at_once_keep_the_quota(limited: Made) -> None:
    ids = [await new_policy(limited, f"policy {number}") for number in range(10)]
    answers = await asyncio.gather(
        *(limited.organizations(attach(one, limited.member)) for one in ids), return_exceptions=True
    )
    refused = [one for one in answers if isinstance(one, Refusal)]
    assert len(refused) == 6
    assert {one.members["Reason"] for one in refused} == {"MAX_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED"}
    record = await limited.organizations.record()
    assert len(record.accounts[limited.member].policies) == 5
    await asyncio.gather(
        *(
            limited.organizations(detach(one, limited.member))
            for one in record.accounts[limited.member].policies
        ),
        return_exceptions=True,
    )
    assert len((await limited.organizations.record()).accounts[limited.member].policies) == 1


async def test_the_quota_of_policies_counts_each_type(made: Made) -> None:
    made.organizations.quotas = Quotas(organization_policies=1)
    await new_policy(made)
    assert (await made.organizations.refused(policy("more")))[0] == "ConstraintViolationException"
    await new_policy(made, policy_type=RCP)


async def test_a_new_node_may_do_something_where_control_policies_are_enabled(limited: Made) -> None:
    request = shapes.CreateOrganizationalUnitRequest(parent_id=limited.root, name="team")
    team = (await limited.organizations(request)).organizational_unit.id
    assert await attached(limited, team) == ["FullAWSAccess"]


async def test_there_is_no_effective_policy_of_other_types(made: Made) -> None:
    request = shapes.DescribeEffectivePolicyRequest(policy_type="TAG_POLICY", target_id=made.member)
    assert (await made.organizations.refused(request))[0] == "EffectivePolicyNotFoundException"
    unknown = msgspec.structs.replace(request, target_id="999999999999")
    assert (await made.organizations.refused(unknown))[0] == "TargetNotFoundException"


async def test_what_an_earlier_version_or_a_file_declared_by_name_is_shown_and_changed_by_id(
    made: Made,
) -> None:
    organizations = made.organizations
    before = await organizations.record()
    root = msgspec.structs.replace(
        before.units[made.root], service_control_policies={"declared": DENY_LEAVING, "FullAWSAccess": FULL}
    )
    stored = msgspec.structs.replace(before, units={made.root: root}, features=(SCP,))

    async def work(transaction: Transaction) -> None:
        transaction.put(ORGANIZATION, "", stored)

    await organizations.store.transact(work)
    assert sorted(await attached(made, made.root)) == ["FullAWSAccess", "declared"]
    listed = (await organizations(shapes.ListPoliciesRequest(filter=SCP))).policies
    (declared,) = [one.id for one in listed if one.name == "declared"]
    more = await new_policy(made, "more")
    await organizations(attach(more, made.root))
    after = await organizations.record()
    assert after.units[made.root].service_control_policies == {}
    assert set(after.units[made.root].policies) == {"p-FullAWSAccess", declared, more}
    assert after.policies[declared].content == DENY_LEAVING
    assert await organizations.refused_to(made.member, "LeaveOrganization") == "AccessDenied"
