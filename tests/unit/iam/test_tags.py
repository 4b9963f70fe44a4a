"""Tags that a new entity begins with: a permission of their own, as those that it gets later."""

import json
from typing import Any

import pytest

from broker.protocol.shapes import iam as shapes
from tests.unit.simulator.simulating import allow, document

ACCOUNT = "111122223333"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
)
CREATED = {
    "User": (shapes.CreateUserRequest, {"user_name": "new"}, "user/new"),
    "Role": (
        shapes.CreateRoleRequest,
        {"role_name": "new", "assume_role_policy_document": TRUST},
        "role/new",
    ),
    "Policy": (
        shapes.CreatePolicyRequest,
        {"policy_name": "new", "policy_document": document(allow("s3:*"))},
        "policy/new",
    ),
    "InstanceProfile": (
        shapes.CreateInstanceProfileRequest,
        {"instance_profile_name": "new"},
        "instance-profile/new",
    ),
    "VirtualMFADevice": (
        shapes.CreateVirtualMFADeviceRequest,
        {"virtual_mfa_device_name": "new"},
        "mfa/new",
    ),
}


def tag_action(kind: str) -> str:
    return f"iam:Tag{kind.removeprefix('Virtual')}"


def request(kind: str, **tags: str) -> Any:
    shape, fields, _ = CREATED[kind]
    return shape(**fields, tags=tuple(shapes.Tag(key=key, value=value) for key, value in tags.items()))


async def admin(iam: Any, *statements: dict[str, Any]) -> None:
    """A user called admin who may what `statements` say."""
    await iam(shapes.CreateUserRequest(user_name="admin"))
    await iam(
        shapes.PutUserPolicyRequest(
            user_name="admin", policy_name="may", policy_document=document(*statements)
        )
    )


def test_these_are_all_operations_that_create_with_tags() -> None:
    creating = {name for name in dir(shapes) if name.startswith("Create") and name.endswith("Request")}
    tagging = {name for name in creating if "tags" in getattr(shapes, name).__struct_fields__}
    later = {"CreateOpenIDConnectProviderRequest", "CreateSAMLProviderRequest"}
    assert {f"Create{kind}Request" for kind in CREATED} == tagging - later


@pytest.mark.parametrize("kind", CREATED)
async def test_who_may_create_but_not_tag_creates_without_tags_only(iam: Any, kind: str) -> None:
    """Else the tags that other policies look at could be had by creating anew."""
    await admin(iam, allow(f"iam:Create{kind}"))
    code, message = await iam.refused(request(kind, team="red"), user="admin")
    assert code == "AccessDenied"
    assert f"is not authorized to perform: {tag_action(kind)} on resource: " in message
    await iam(request(kind), user="admin")


@pytest.mark.parametrize("kind", CREATED)
async def test_who_may_create_and_tag_what_is_created_does_both_at_once(iam: Any, kind: str) -> None:
    _, _, resource = CREATED[kind]
    on = f"arn:aws:iam::{ACCOUNT}:{resource}"
    red = {"StringEquals": {"aws:RequestTag/team": "red"}}
    await admin(iam, allow(f"iam:Create{kind}"), allow(tag_action(kind), on=on, Condition=red))
    assert (await iam.refused(request(kind, team="blue"), user="admin"))[0] == "AccessDenied"
    await iam(request(kind, team="red"), user="admin")


async def test_tagging_a_new_role_knows_nothing_of_its_boundary(iam: Any) -> None:
    """TagRole has no such condition key: who requires it for TagRole has allowed nothing."""
    read_only = "arn:aws:iam::aws:policy/ReadOnlyAccess"
    bounded = {"ArnEquals": {"iam:PermissionsBoundary": read_only}}
    await admin(iam, allow("iam:CreateRole", "iam:TagRole", Condition=bounded))
    tagged = shapes.CreateRoleRequest(
        role_name="new",
        assume_role_policy_document=TRUST,
        permissions_boundary=read_only,
        tags=(shapes.Tag(key="team", value="red"),),
    )
    code, message = await iam.refused(tagged, user="admin")
    assert (code, "iam:TagRole" in message) == ("AccessDenied", True)
