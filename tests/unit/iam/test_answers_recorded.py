"""What AWS answers, as LocalStack's tests recorded it in February 2026 (tests/aws/services/iam, *.snapshot.json).

Each is of a kind: an operation that answers like it is tested beside it.
"""

import json
from typing import Any
from xml.etree import ElementTree

import pytest

from broker.protocol.model import load_service
from broker.protocol.shapes import iam as shapes
from broker.protocol.xml import render_result
from tests.unit.iam.conftest import ACCOUNT, Iam

EC2 = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": {"Service": "ec2.amazonaws.com"},
            "Action": "sts:AssumeRole",
        },
    }
)
READ = '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}}'
POLICY = f"arn:aws:iam::{ACCOUNT}:policy/reader"
READ_ONLY = "arn:aws:iam::aws:policy/ReadOnlyAccess"


async def members(iam: Iam, request: Any, *path: str) -> set[str]:
    """The names of the elements that the answer to `request` has under `path`."""
    name = type(request).__name__.removesuffix("Request")
    body = render_result(load_service("iam"), name, await iam(request), "id-1")
    found = ElementTree.fromstring(body).find("/".join(f"{{*}}{step}" for step in (f"{name}Result", *path)))
    assert found is not None
    return {element.tag.rpartition("}")[2] for element in found}


def new_role(trust: str = EC2, **fields: Any) -> shapes.CreateRoleRequest:
    return shapes.CreateRoleRequest(role_name="app", assume_role_policy_document=trust, **fields)


IDENTITY = {"Path", "RoleName", "RoleId", "Arn", "CreateDate", "AssumeRolePolicyDocument"}


async def test_a_new_role_is_answered_without_its_description_and_durations(iam: Iam) -> None:
    request = new_role(description="d", max_session_duration=7200, permissions_boundary=READ_ONLY)
    assert await members(iam, request, "Role") == IDENTITY | {"PermissionsBoundary"}
    shown = await members(iam, shapes.GetRoleRequest(role_name="app"), "Role")
    assert {"Description", "MaxSessionDuration", "RoleLastUsed"} < shown


async def test_a_new_service_linked_role_is_answered_likewise(iam: Iam) -> None:
    request = shapes.CreateServiceLinkedRoleRequest(aws_service_name="ecs.amazonaws.com", description="d")
    assert await members(iam, request, "Role") == IDENTITY


async def test_a_changed_description_is_answered_without_the_duration(iam: Iam) -> None:
    await iam(new_role())
    request = shapes.UpdateRoleDescriptionRequest(role_name="app", description="d")
    assert await members(iam, request, "Role") == IDENTITY | {"Description"}


async def test_the_role_of_an_instance_profile_is_shown_without_its_settings(iam: Iam) -> None:
    await iam(new_role(description="d"))
    await iam(shapes.CreateInstanceProfileRequest(instance_profile_name="box"))
    await iam(shapes.AddRoleToInstanceProfileRequest(instance_profile_name="box", role_name="app"))
    get = shapes.GetInstanceProfileRequest(instance_profile_name="box")
    assert await members(iam, get, "InstanceProfile", "Roles", "member") == IDENTITY
    details = shapes.GetAccountAuthorizationDetailsRequest(filter=("Role",))
    profile = ("RoleDetailList", "member", "InstanceProfileList", "member")
    assert "Tags" not in await members(iam, details, *profile)
    assert await members(iam, details, *profile, "Roles", "member") == IDENTITY


async def test_an_update_without_values_changes_no_role(iam: Iam) -> None:
    await iam(new_role(description="d", max_session_duration=7200))
    await iam(shapes.UpdateRoleRequest(role_name="app"))
    role = (await iam(shapes.GetRoleRequest(role_name="app"))).role
    assert (role.description, role.max_session_duration) == ("d", 7200)


async def test_a_new_role_is_answered_with_its_trust_policy_as_it_was_sent(iam: Iam) -> None:
    trust = EC2.replace('{"Service": "ec2.amazonaws.com"}', f'{{"AWS": "{ACCOUNT}"}}')
    created = (await iam(new_role(trust))).role
    assert created.assume_role_policy_document == trust
    shown = (await iam(shapes.GetRoleRequest(role_name="app"))).role
    assert f"arn:aws:iam::{ACCOUNT}:root" in shown.assume_role_policy_document


async def test_a_new_policy_is_answered_without_its_description(iam: Iam) -> None:
    request = shapes.CreatePolicyRequest(policy_name="reader", policy_document=READ, description="d")
    created = await members(iam, request, "Policy")
    shown = await members(iam, shapes.GetPolicyRequest(policy_arn=POLICY), "Policy")
    assert shown - created == {"Description", "Tags"}
    assert created < shown


async def test_tags_that_are_not_there_are_shown_of_some_and_not_of_others(iam: Iam) -> None:
    policy = shapes.CreatePolicyRequest(policy_name="reader", policy_document=READ)
    profile = shapes.CreateInstanceProfileRequest(instance_profile_name="box")
    provider = shapes.CreateOpenIDConnectProviderRequest(url="https://idp.example.com")
    provider_arn = f"arn:aws:iam::{ACCOUNT}:oidc-provider/idp.example.com"
    assert "Tags" not in await members(iam, policy, "Policy")
    assert "Tags" not in await members(iam, profile, "InstanceProfile")
    assert "Tags" not in await members(iam, provider)
    await iam(shapes.CreateUserRequest(user_name="bob"))
    with_tags: tuple[tuple[Any, ...], ...] = (
        (shapes.GetPolicyRequest(policy_arn=POLICY), "Policy"),
        (shapes.GetPolicyRequest(policy_arn=READ_ONLY), "Policy"),
        (shapes.GetInstanceProfileRequest(instance_profile_name="box"), "InstanceProfile"),
        (shapes.GetOpenIDConnectProviderRequest(open_id_connect_provider_arn=provider_arn),),
        (shapes.ListUserTagsRequest(user_name="bob"),),
    )
    for request, *path in with_tags:
        assert "Tags" in await members(iam, request, *path), type(request).__name__
    lists: tuple[tuple[Any, ...], ...] = (
        (shapes.GetUserRequest(user_name="bob"), "User"),
        (shapes.ListPoliciesRequest(scope="Local"), "Policies", "member"),
        (shapes.ListInstanceProfilesRequest(), "InstanceProfiles", "member"),
    )
    for request, *path in lists:
        assert "Tags" not in await members(iam, request, *path), type(request).__name__


NOT_PARSED = ("ValidationError", "Invalid ARN:  Could not be parsed!")
NO_ARN = "longpolicynamebutnoarn"
SHORT_ARN = "arn:aws:iam:aws:policy/AdministratorAccess"


@pytest.mark.parametrize(
    "name",
    [
        *("AttachUserPolicy", "AttachGroupPolicy", "AttachRolePolicy"),
        *("DetachUserPolicy", "DetachGroupPolicy", "DetachRolePolicy"),
        *("GetPolicy", "DeletePolicy", "ListEntitiesForPolicy", "ListPolicyVersions"),
        *("CreatePolicyVersion", "GetPolicyVersion", "SetDefaultPolicyVersion", "DeletePolicyVersion"),
        *("TagPolicy", "UntagPolicy", "ListPolicyTags"),
    ],
)
async def test_a_policy_arn_that_is_no_arn_could_not_be_parsed(iam: Iam, name: str) -> None:
    await iam(shapes.CreateUserRequest(user_name="x"))
    await iam(shapes.CreateGroupRequest(group_name="x"))
    await iam(shapes.CreateRoleRequest(role_name="x", assume_role_policy_document=EC2))
    request = getattr(shapes, f"{name}Request")
    known = {
        "policy_arn": NO_ARN,
        "policy_document": READ,
        "version_id": "v1",
        "tags": (shapes.Tag(key="k", value="v"),),
        "tag_keys": ("k",),
        **dict.fromkeys(("user_name", "group_name", "role_name"), "x"),
    }
    fields = {field: known[field] for field in request.__struct_fields__ if field in known}
    for arn in (NO_ARN, SHORT_ARN):
        assert await iam.refused(request(**fields | {"policy_arn": arn})) == NOT_PARSED


async def test_a_boundary_that_is_no_policys_arn_is_not_valid(iam: Iam) -> None:
    arn = f"arn:aws:iam::{ACCOUNT}:not_a_policy/invalid"
    assert await iam.refused(new_role(permissions_boundary=arn)) == (
        "InvalidInput",
        f"ARN {arn} is not valid.",
    )
    await iam(shapes.CreateUserRequest(user_name="bob"))
    put = shapes.PutUserPermissionsBoundaryRequest(user_name="bob", permissions_boundary=arn)
    assert await iam.refused(put) == ("InvalidInput", f"ARN {arn} is not valid.")


@pytest.mark.parametrize("name", ["GetPolicyVersion", "SetDefaultPolicyVersion", "DeletePolicyVersion"])
async def test_of_a_policy_that_is_not_there_the_version_is_missed(iam: Iam, name: str) -> None:
    request = getattr(shapes, f"{name}Request")(policy_arn=POLICY, version_id="v1")
    missed = f"Policy {POLICY} version v1 does not exist or is not attachable."
    assert await iam.refused(request) == ("NoSuchEntity", missed)


async def test_where_neither_user_nor_group_is_there_the_user_is_missed(iam: Iam) -> None:
    for request in (shapes.AddUserToGroupRequest, shapes.RemoveUserFromGroupRequest):
        refused = await iam.refused(request(group_name="unknown", user_name="any"))
        assert refused == ("NoSuchEntity", "The user with name any cannot be found.")
    await iam(shapes.CreateUserRequest(user_name="any"))
    refused = await iam.refused(shapes.AddUserToGroupRequest(group_name="unknown", user_name="any"))
    assert refused == ("NoSuchEntity", "The group with name unknown cannot be found.")


async def test_a_second_deletion_of_a_provider_has_words_of_its_own(iam: Iam) -> None:
    arn = f"arn:aws:iam::{ACCOUNT}:oidc-provider/idp.example.com"
    delete = shapes.DeleteOpenIDConnectProviderRequest(open_id_connect_provider_arn=arn)
    assert await iam.refused(delete) == (
        "NoSuchEntity",
        f"OpenId connect Provider {arn} cannot be found.",
    )


async def test_a_second_virtual_device_of_a_name_exists_already(iam: Iam) -> None:
    create = shapes.CreateVirtualMFADeviceRequest(virtual_mfa_device_name="phone")
    await iam(create)
    assert await iam.refused(create) == ("EntityAlreadyExists", "MFA device already exists.")


def tags(*keys: str) -> tuple[shapes.Tag, ...]:
    return tuple(shapes.Tag(key=key, value=key) for key in keys)


async def test_keys_of_tags_differ_by_case_but_not_of_users_and_roles(iam: Iam) -> None:
    """IAM User Guide, "Tags for IAM resources": tag keys of users and roles are not case sensitive, others are."""
    create = shapes.CreatePolicyRequest(policy_name="reader", policy_document=READ, tags=tags("a", "A"))
    await iam(create)
    listed = await iam(shapes.ListPolicyTagsRequest(policy_arn=POLICY))
    assert listed.tags == tags("A", "a")
    await iam(shapes.UntagPolicyRequest(policy_arn=POLICY, tag_keys=("a",)))
    assert (await iam(shapes.ListPolicyTagsRequest(policy_arn=POLICY))).tags == tags("A")
    twice = shapes.TagPolicyRequest(policy_arn=POLICY, tags=tags("k", "k"))
    assert await iam.refused(twice) == ("InvalidInput", "Duplicate tag keys found.")
    duplicate = "Duplicate tag keys found. Please note that Tag keys are case insensitive."
    assert await iam.refused(new_role(tags=tags("a", "A"))) == ("InvalidInput", duplicate)
    assert (await iam.refused(shapes.CreateUserRequest(user_name="bob", tags=tags("a", "A"))))[1] == duplicate


async def test_tags_that_differ_by_case_cannot_be_judged(iam: Iam) -> None:
    """A condition key has no case: of two values, an Allow must not choose the one that suits the caller."""
    await iam(shapes.CreatePolicyRequest(policy_name="reader", policy_document=READ, tags=tags("red")))
    await iam(shapes.CreateUserRequest(user_name="bob"))
    own = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "iam:GetPolicy",
                "Resource": "*",
                "Condition": {"StringEquals": {"aws:ResourceTag/red": "red"}},
            },
            {
                "Effect": "Allow",
                "Action": ["iam:CreatePolicy", "iam:TagPolicy"],
                "Resource": "*",
                "Condition": {"StringEquals": {"aws:RequestTag/red": "red"}},
            },
        ],
    }
    put = shapes.PutUserPolicyRequest(user_name="bob", policy_name="own", policy_document=json.dumps(own))
    await iam(put)
    get = shapes.GetPolicyRequest(policy_arn=POLICY)
    await iam(get, user="bob")
    await iam(
        shapes.CreatePolicyRequest(policy_name="new", policy_document=READ, tags=tags("red")), user="bob"
    )
    await iam(shapes.TagPolicyRequest(policy_arn=POLICY, tags=tags("Red")))
    assert (await iam.refused(get, user="bob"))[0] == "AccessDenied"
    both = shapes.CreatePolicyRequest(policy_name="both", policy_document=READ, tags=tags("red", "Red"))
    assert (await iam.refused(both, user="bob"))[0] == "AccessDenied"
