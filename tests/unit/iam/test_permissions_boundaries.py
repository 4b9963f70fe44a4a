import json

import pytest

from broker.protocol.shapes import iam as shapes

ACCOUNT = "111122223333"
READ_ONLY = "arn:aws:iam::aws:policy/ReadOnlyAccess"
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
)
CREATE = {
    "User": shapes.CreateUserRequest(user_name="it"),
    "Role": shapes.CreateRoleRequest(role_name="it", assume_role_policy_document=TRUST),
}


def request(pattern, word, name="it", **fields):
    return getattr(shapes, pattern.format(word))(**{f"{word.lower()}_name": name}, **fields)


def put(word, boundary, name="it"):
    return request("Put{}PermissionsBoundaryRequest", word, name, permissions_boundary=boundary)


def delete(word, name="it"):
    return request("Delete{}PermissionsBoundaryRequest", word, name)


@pytest.fixture(params=["User", "Role"])
async def word(request, iam):
    await iam(CREATE[request.param])
    return request.param


async def boundary_of(iam, word):
    answer = await iam(request("Get{}Request", word))
    boundary = getattr(answer, word.lower()).permissions_boundary
    return boundary and boundary.permissions_boundary_arn


async def test_a_boundary_is_put_replaced_and_deleted(iam, word):
    await iam(put(word, READ_ONLY))
    assert await boundary_of(iam, word) == READ_ONLY
    await iam(put(word, ADMINISTRATOR))
    assert await boundary_of(iam, word) == ADMINISTRATOR
    await iam(delete(word))
    assert await boundary_of(iam, word) is None


async def test_a_boundary_must_be_a_policy_that_exists(iam, word):
    arn = f"arn:aws:iam::{ACCOUNT}:policy/ghost"
    assert await iam.refused(put(word, arn)) == (
        "NoSuchEntity",
        f"Scope ARN: {arn} does not exist or is not attachable.",
    )


async def test_the_policy_of_a_root_task_is_nobodys_boundary(iam, word):
    arn = "arn:aws:iam::aws:policy/root-task/IAMDeleteRootUserCredentials"
    assert await iam.refused(put(word, arn)) == (
        "PolicyNotAttachable",
        f"Cannot attach AWS reserved policy to an IAM {word.lower()}.",
    )
    trust = {"assume_role_policy_document": TRUST} if word == "Role" else {}
    creation = request("Create{}Request", word, "new", permissions_boundary=arn, **trust)
    assert await iam.refused(creation) == (
        "NoSuchEntity",
        f"Scope ARN: {arn} does not exist or is not attachable.",
    )
    assert await boundary_of(iam, word) is None


async def test_who_is_not_there_is_named_in_the_refusal(iam):
    for word in ("User", "Role"):
        expected = ("NoSuchEntity", f"The {word.lower()} with name ghost cannot be found.")
        assert await iam.refused(put(word, READ_ONLY, "ghost")) == expected
        assert await iam.refused(delete(word, "ghost")) == expected


async def test_a_boundary_limits_at_once_what_a_user_may(iam):
    await iam(shapes.CreateUserRequest(user_name="bob"))
    await iam(shapes.AttachUserPolicyRequest(user_name="bob", policy_arn=ADMINISTRATOR))
    await iam(shapes.CreateGroupRequest(group_name="one"), user="bob")
    await iam(put("User", READ_ONLY, "bob"))
    await iam(shapes.ListGroupsRequest(), user="bob")
    code, message = await iam.refused(shapes.CreateGroupRequest(group_name="two"), user="bob")
    assert code == "AccessDenied"
    assert "permissions boundary" in message


async def test_the_boundary_to_be_set_and_the_one_to_be_removed_are_condition_keys(iam, word):
    await iam(shapes.CreateUserRequest(user_name="admin"))
    statement = {
        "Effect": "Allow",
        "Action": [f"iam:Put{word}PermissionsBoundary", f"iam:Delete{word}PermissionsBoundary"],
        "Resource": "*",
        "Condition": {"ArnEquals": {"iam:PermissionsBoundary": READ_ONLY}},
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    await iam(shapes.PutUserPolicyRequest(user_name="admin", policy_name="p", policy_document=document))
    assert (await iam.refused(put(word, ADMINISTRATOR), user="admin"))[0] == "AccessDenied"
    await iam(put(word, READ_ONLY), user="admin")
    await iam(delete(word), user="admin")
    await iam(put(word, ADMINISTRATOR))
    assert (await iam.refused(delete(word), user="admin"))[0] == "AccessDenied"
