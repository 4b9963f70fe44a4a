from typing import Any

import pytest

from broker.protocol.shapes import iam as shapes

ACCOUNT = "111122223333"
TRUST = (
    '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},'
    '"Action":"sts:AssumeRole"}}'
)
DOCUMENT = '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}'
READ_ONLY = "arn:aws:iam::aws:policy/ReadOnlyAccess"
OWN = f"arn:aws:iam::{ACCOUNT}:policy/own"


@pytest.fixture
async def account(iam: Any) -> None:
    """One of each: bob in red, a role on a profile, an own policy, one of AWS's attached."""
    await iam(shapes.CreatePolicyRequest(policy_name="own", policy_document=DOCUMENT))
    await iam(shapes.CreateUserRequest(user_name="bob", permissions_boundary=OWN))
    await iam(shapes.CreateGroupRequest(group_name="red"))
    await iam(shapes.AddUserToGroupRequest(group_name="red", user_name="bob"))
    await iam(shapes.PutUserPolicyRequest(user_name="bob", policy_name="inline", policy_document=DOCUMENT))
    await iam(shapes.AttachGroupPolicyRequest(group_name="red", policy_arn=READ_ONLY))
    await iam(shapes.CreateRoleRequest(role_name="app", assume_role_policy_document=TRUST))
    await iam(shapes.AttachRolePolicyRequest(role_name="app", policy_arn=OWN))
    await iam(shapes.CreateInstanceProfileRequest(instance_profile_name="web"))
    await iam(shapes.AddRoleToInstanceProfileRequest(instance_profile_name="web", role_name="app"))


async def test_everything_that_decides_is_shown_with_its_relations(iam: Any, account: None) -> None:
    details = await iam(shapes.GetAccountAuthorizationDetailsRequest())
    (user,) = details.user_detail_list
    assert user.user_policy_list == (shapes.PolicyDetail(policy_name="inline", policy_document=DOCUMENT),)
    assert user.group_list == ("red",)
    assert user.permissions_boundary.permissions_boundary_arn == OWN
    (group,) = details.group_detail_list
    assert [policy.policy_arn for policy in group.attached_managed_policies] == [READ_ONLY]
    (role,) = details.role_detail_list
    assert role.assume_role_policy_document == TRUST
    assert [profile.instance_profile_name for profile in role.instance_profile_list] == ["web"]
    assert [policy.policy_arn for policy in role.attached_managed_policies] == [OWN]
    policies = {policy.arn: policy for policy in details.policies}
    assert set(policies) == {OWN, READ_ONLY}
    assert (policies[OWN].attachment_count, policies[OWN].permissions_boundary_usage_count) == (1, 1)
    (version,) = policies[OWN].policy_version_list
    assert (version.document, version.is_default_version) == (DOCUMENT, True)
    (version,) = policies[READ_ONLY].policy_version_list
    assert version.is_default_version and version.version_id == policies[READ_ONLY].default_version_id
    assert '"s3:Get*"' in version.document


async def test_a_filter_keeps_the_kinds_that_it_names(iam: Any, account: None) -> None:
    details = await iam(shapes.GetAccountAuthorizationDetailsRequest(filter=("Role", "AWSManagedPolicy")))
    assert [role.role_name for role in details.role_detail_list] == ["app"]
    assert [policy.arn for policy in details.policies] == [READ_ONLY]
    assert (details.user_detail_list, details.group_detail_list) == ((), ())


async def test_pages_run_across_the_kinds(iam: Any, account: None) -> None:
    seen: list[str] = []
    marker = None
    for _ in range(5):
        details = await iam(shapes.GetAccountAuthorizationDetailsRequest(max_items=1, marker=marker))
        seen += [entry.arn for entry in details.user_detail_list + details.group_detail_list]
        seen += [entry.arn for entry in details.role_detail_list + details.policies]
        marker = details.marker
    assert marker is None
    assert len(seen) == len(set(seen)) == 5
