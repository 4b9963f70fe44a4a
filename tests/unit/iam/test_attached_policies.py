import json

import pytest

from broker.access.aws_managed import all_aws_managed
from broker.operation import Quotas
from broker.protocol.shapes import iam as shapes

ACCOUNT = "111122223333"
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"
READ_ONLY = "arn:aws:iam::aws:policy/ReadOnlyAccess"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
)
ALLOW = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}'
CREATE = {
    "User": shapes.CreateUserRequest(user_name="it"),
    "Group": shapes.CreateGroupRequest(group_name="it"),
    "Role": shapes.CreateRoleRequest(role_name="it", assume_role_policy_document=TRUST),
}


def request(pattern, word, name="it", **fields):
    return getattr(shapes, pattern.format(word))(**{f"{word.lower()}_name": name}, **fields)


def attach(word, arn, name="it"):
    return request("Attach{}PolicyRequest", word, name, policy_arn=arn)


def detach(word, arn, name="it"):
    return request("Detach{}PolicyRequest", word, name, policy_arn=arn)


@pytest.fixture(params=["User", "Group", "Role"])
async def word(request, iam):
    await iam(CREATE[request.param])
    return request.param


async def attached(iam, word, **fields):
    answer = await iam(request("ListAttached{}PoliciesRequest", word, **fields))
    return [(policy.policy_name, policy.policy_arn) for policy in answer.attached_policies]


async def test_a_policy_is_attached_listed_and_detached(iam, word):
    await iam(attach(word, READ_ONLY))
    await iam(attach(word, ADMINISTRATOR))
    assert await attached(iam, word) == [
        ("AdministratorAccess", ADMINISTRATOR),
        ("ReadOnlyAccess", READ_ONLY),
    ]
    await iam(detach(word, ADMINISTRATOR))
    assert await attached(iam, word) == [("ReadOnlyAccess", READ_ONLY)]


async def test_to_attach_twice_is_to_attach_once(iam, word):
    await iam(attach(word, READ_ONLY))
    iam.quotas = Quotas(
        attached_policies_per_user=1, attached_policies_per_group=1, attached_policies_per_role=1
    )
    await iam(attach(word, READ_ONLY))
    assert len(await attached(iam, word)) == 1


@pytest.mark.parametrize(
    "arn",
    [
        f"arn:aws:iam::{ACCOUNT}:policy/ghost",
        "arn:aws:iam::999988887777:policy/theirs",
        "arn:aws:iam::aws:policy/Ghost",
    ],
)
async def test_what_is_no_policy_is_not_attached(iam, word, arn):
    assert await iam.refused(attach(word, arn)) == (
        "NoSuchEntity",
        f"Policy {arn} does not exist or is not attachable.",
    )


async def test_the_policies_of_root_tasks_are_attached_to_nobody(iam, word):
    for policy in all_aws_managed():
        if policy.path == "/root-task/":
            assert await iam.refused(attach(word, policy.arn)) == (
                "PolicyNotAttachable",
                f"Cannot attach AWS reserved policy to an IAM {word.lower()}.",
            )
    assert await attached(iam, word) == []
    unknown = "arn:aws:iam::aws:policy/root-task/Ghost"
    assert (await iam.refused(attach(word, unknown)))[0] == "NoSuchEntity"


async def test_the_policies_of_service_linked_roles_are_attached_to_nobody(iam, word):
    policy = "arn:aws:iam::aws:policy/aws-service-role/AWSSupportServiceRolePolicy"
    customer = "Customer Role" if word == "Role" else word
    assert await iam.refused(attach(word, policy)) == (
        "PolicyNotAttachable",
        f"Cannot attach a Service Role Policy to a {customer}.",
    )
    assert await attached(iam, word) == []


async def test_what_is_not_attached_is_not_detached(iam, word):
    assert await iam.refused(detach(word, READ_ONLY)) == (
        "NoSuchEntity",
        f"Policy {READ_ONLY} was not found.",
    )


async def test_who_is_not_there_is_named_in_the_refusal(iam):
    for word in ("User", "Group", "Role"):
        expected = ("NoSuchEntity", f"The {word.lower()} with name ghost cannot be found.")
        assert await iam.refused(attach(word, READ_ONLY, "ghost")) == expected
        assert await iam.refused(detach(word, READ_ONLY, "ghost")) == expected
        listing = request("ListAttached{}PoliciesRequest", word, "ghost")
        assert await iam.refused(listing) == expected


async def test_the_quota_of_attached_policies_is_kept(iam, word):
    for index in range(10):
        await iam(shapes.CreatePolicyRequest(policy_name=f"p{index}", policy_document=ALLOW))
        await iam(attach(word, f"arn:aws:iam::{ACCOUNT}:policy/p{index}"))
    assert await iam.refused(attach(word, READ_ONLY)) == (
        "LimitExceeded",
        f"Cannot exceed quota for PoliciesPer{word}: 10",
    )


async def test_attached_policies_are_listed_by_path_and_in_pages(iam, word):
    for name, path in (("b", "/x/"), ("a", "/x/y/"), ("c", "/")):
        await iam(shapes.CreatePolicyRequest(policy_name=name, path=path, policy_document=ALLOW))
        await iam(attach(word, f"arn:aws:iam::{ACCOUNT}:policy{path}{name}"))
    assert [name for name, _ in await attached(iam, word, path_prefix="/x/")] == ["a", "b"]
    first = await iam(request("ListAttached{}PoliciesRequest", word, max_items=2))
    assert first.is_truncated
    second = await iam(request("ListAttached{}PoliciesRequest", word, marker=first.marker))
    assert [policy.policy_name for policy in second.attached_policies] == ["c"]


async def test_the_policy_is_a_condition_key_of_attach_and_detach(iam, word):
    await iam(shapes.CreateUserRequest(user_name="admin"))
    statement = {
        "Effect": "Allow",
        "Action": [f"iam:Attach{word}Policy", f"iam:Detach{word}Policy"],
        "Resource": f"arn:aws:iam::{ACCOUNT}:{word.lower()}/it",
        "Condition": {"ArnEquals": {"iam:PolicyARN": READ_ONLY}},
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    await iam(shapes.PutUserPolicyRequest(user_name="admin", policy_name="p", policy_document=document))
    assert (await iam.refused(attach(word, ADMINISTRATOR), user="admin"))[0] == "AccessDenied"
    await iam(attach(word, READ_ONLY), user="admin")
    await iam(detach(word, READ_ONLY), user="admin")


async def test_what_is_attached_to_a_user_or_their_group_is_granted(iam):
    await iam(shapes.CreateUserRequest(user_name="bob"))
    await iam(shapes.CreateGroupRequest(group_name="people"))
    await iam(shapes.AddUserToGroupRequest(group_name="people", user_name="bob"))
    for word, name in (("User", "bob"), ("Group", "people")):
        assert (await iam.refused(shapes.ListUsersRequest(), user="bob"))[0] == "AccessDenied"
        await iam(attach(word, "arn:aws:iam::aws:policy/IAMReadOnlyAccess", name))
        await iam(shapes.ListUsersRequest(), user="bob")
        await iam(detach(word, "arn:aws:iam::aws:policy/IAMReadOnlyAccess", name))


async def test_policies_with_long_names_are_detached_and_deleted_page_by_page(iam, word):
    for number in range(4):
        name = f"{number}{'n' * 120}"
        created = await iam(
            shapes.CreatePolicyRequest(policy_name=name, path=f"/{'p' * 500}/", policy_document=ALLOW)
        )
        await iam(attach(word, created.policy.arn))
    listing, names = request("ListAttached{}PoliciesRequest", word, max_items=1), []
    while True:
        answer = await iam(listing)
        for policy in answer.attached_policies:
            await iam(detach(word, policy.policy_arn))
            await iam(shapes.DeletePolicyRequest(policy_arn=policy.policy_arn))
            names.append(policy.policy_name[0])
        if not answer.is_truncated:
            break
        listing = request("ListAttached{}PoliciesRequest", word, max_items=1, marker=answer.marker)
    assert names == ["0", "1", "2", "3"]


@pytest.mark.parametrize(
    "arn",
    [
        f"arn:aws:iam::aws:policy/{ADMINISTRATOR}",
        f"{ADMINISTRATOR} ",
        f"arn:aws:iam::{ACCOUNT}:role/administrator",
        "arn:aws:iam:eu-west-1:aws:policy/AdministratorAccess",
        "arn:aws:s3::aws:policy/AdministratorAccess",
        f"arn:aws:iam::{ACCOUNT}:policy/",
    ],
)
async def test_what_cannot_be_the_arn_of_a_policy_is_not_valid(iam, word, arn):
    invalid = ("InvalidInput", f"ARN {arn} is not valid.")
    for asked in (attach(word, arn), detach(word, arn), shapes.GetPolicyRequest(policy_arn=arn)):
        assert await iam.refused(asked) == invalid


async def test_the_arn_of_another_partition_is_refused(iam, word):
    asked = attach(word, ADMINISTRATOR.replace("aws", "aws-cn", 1))
    assert await iam.refused(asked) == ("ValidationError", "Invalid ARN partition")
