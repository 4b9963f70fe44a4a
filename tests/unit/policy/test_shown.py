"""What a refusal calls the resource, as refusals of AWS that people quote call it."""

import pytest

from broker.policy.shown import shown_resource

IAM = "arn:aws:iam::111122223333"


@pytest.mark.parametrize(
    ("action", "resource", "shown"),
    [
        ("GetRole", "role/team/rob", "role rob"),
        ("DeleteRole", "role/rob", "role rob"),
        ("PutRolePolicy", "role/rob", "role rob"),
        ("AttachRolePolicy", "role/rob", "role rob"),
        ("ListRoleTags", "role/rob", "role rob"),
        ("UpdateAssumeRolePolicy", "role/rob", "role rob"),
        ("ListInstanceProfilesForRole", "role/rob", "role rob"),
        ("DeleteRolePermissionsBoundary", "role/rob", "role rob"),
        ("GetUser", "user/a:b/ann", "user ann"),
        ("CreateAccessKey", "user/ann", "user ann"),
        ("ListMFADevices", "user/ann", "user ann"),
        ("ListGroupsForUser", "user/ann", "user ann"),
        ("GetGroup", "group/ops", "group ops"),
        ("AddUserToGroup", "group/ops", "group ops"),
        ("GetInstanceProfile", "instance-profile/web", "instance profile web"),
        ("AddRoleToInstanceProfile", "instance-profile/web", "instance profile web"),
        ("CreatePolicy", "policy/team/reads", "policy reads"),
        ("ListPolicies", "policy/", "policy path /"),
        ("ListPolicies", "policy/team/", "policy path /team/"),
    ],
)
def test_iam_names_what_exists_by_its_noun(action: str, resource: str, shown: str) -> None:
    assert shown_resource(f"iam:{action}", f"{IAM}:{resource}") == shown


@pytest.mark.parametrize("action", ["GetPolicy", "CreatePolicyVersion", "ListPolicyVersions"])
def test_a_managed_policy_is_a_policy_and_its_arn(action: str) -> None:
    assert shown_resource(f"iam:{action}", f"{IAM}:policy/reads") == f"policy {IAM}:policy/reads"


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("CreateRole", "role/rob"),
        ("CreateUser", "user/ann"),
        ("CreateGroup", "group/ops"),
        ("CreateInstanceProfile", "instance-profile/web"),
        ("CreateVirtualMFADevice", "mfa/phone"),
        ("DeleteVirtualMFADevice", "mfa/phone"),
        ("ListUsers", "user/"),
        ("ListRoles", "role/team"),
        ("ListInstanceProfiles", "instance-profile/"),
        ("PassRole", "role/rob"),
        ("TagRole", "role/rob"),
        ("TagInstanceProfile", "instance-profile/web"),
        ("PutRolePermissionsBoundary", "role/rob"),
        ("SimulatePrincipalPolicy", "user/ann"),
        ("UpdateGroup", "group/ops"),
        ("CreateAccessKey", "root"),
    ],
)
def test_what_is_new_listed_or_passed_keeps_its_arn(action: str, resource: str) -> None:
    assert shown_resource(f"iam:{action}", f"{IAM}:{resource}") == f"{IAM}:{resource}"


def test_only_iam_names_a_resource_where_the_action_knows_none() -> None:
    assert shown_resource("iam:GetAccountSummary", "*") == "*"
    assert shown_resource("iam:CreateAccountAlias", "*") == "*"
    assert shown_resource("sts:GetAccessKeyInfo", "*") is None
    assert shown_resource("sts:DecodeAuthorizationMessage", "*") is None
    assert shown_resource("ec2:DescribeImages", "*") is None
    assert shown_resource("s3:GetObject", "*") == "*"


def test_other_services_keep_the_arn() -> None:
    role = f"{IAM}:role/rob"
    assert shown_resource("sts:AssumeRole", role) == role
    assert shown_resource("s3:ListBucket", "arn:aws:s3:::reports") == "arn:aws:s3:::reports"
