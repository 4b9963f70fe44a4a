import json

import pytest

from broker.policy import policy_size
from broker.protocol.shapes import iam as shapes

ACCOUNT = "111122223333"
ALLOW = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}'
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
    "Group": shapes.CreateGroupRequest(group_name="it"),
    "Role": shapes.CreateRoleRequest(role_name="it", assume_role_policy_document=TRUST),
}
QUOTAS = {"User": 2048, "Group": 5120, "Role": 10240}


def request(pattern, word, name="it", **fields):
    return getattr(shapes, pattern.format(word))(**{f"{word.lower()}_name": name}, **fields)


def put(word, document=ALLOW, policy_name="p", name="it"):
    return request("Put{}PolicyRequest", word, name, policy_name=policy_name, policy_document=document)


def get(word, policy_name="p", name="it"):
    return request("Get{}PolicyRequest", word, name, policy_name=policy_name)


def delete(word, policy_name="p", name="it"):
    return request("Delete{}PolicyRequest", word, name, policy_name=policy_name)


def of_size(size):
    empty = (
        '{"Version":"2012-10-17","Statement":[{"Sid":"","Effect":"Allow","Action":"s3:*","Resource":"*"}]}'
    )
    return empty.replace('"Sid":""', f'"Sid":"{"x" * (size - len(empty))}"')


@pytest.fixture(params=["User", "Group", "Role"])
async def word(request, iam):
    await iam(CREATE[request.param])
    return request.param


async def test_a_policy_is_put_read_as_written_and_deleted(iam, word):
    text = json.dumps(json.loads(ALLOW), indent=3)
    await iam(put(word, text))
    answer = await iam(get(word))
    assert (answer.policy_name, answer.policy_document) == ("p", text)
    assert getattr(answer, f"{word.lower()}_name") == "it"
    await iam(delete(word))
    refusal = ("NoSuchEntity", f"The {word.lower()} policy with name p cannot be found.")
    assert await iam.refused(get(word)) == refusal
    assert await iam.refused(delete(word)) == refusal


async def test_to_put_again_is_to_replace(iam, word):
    await iam(put(word))
    other = ALLOW.replace("s3:*", "sqs:*")
    await iam(put(word, other))
    assert (await iam(get(word))).policy_document == other
    assert (await iam(request("List{}PoliciesRequest", word))).policy_names == ("p",)


async def test_names_are_listed_in_order_and_in_pages(iam, word):
    for name in ("c", "a", "b"):
        await iam(put(word, policy_name=name))
    first = await iam(request("List{}PoliciesRequest", word, max_items=2))
    assert (first.policy_names, first.is_truncated) == (("a", "b"), True)
    second = await iam(request("List{}PoliciesRequest", word, marker=first.marker))
    assert (second.policy_names, second.is_truncated) == (("c",), False)


@pytest.mark.parametrize("document", ["not json", TRUST], ids=["no JSON", "a principal"])
async def test_what_is_no_identity_policy_is_malformed(iam, word, document):
    assert (await iam.refused(put(word, document)))[0] == "MalformedPolicyDocument"


async def test_the_total_of_all_policies_is_limited_and_white_space_does_not_count(iam, word):
    quota = QUOTAS[word]
    half = of_size(quota // 2)
    assert policy_size(half) == quota // 2
    await iam(put(word, half, "one"))
    await iam(put(word, half + " " * 500, "two"))
    refusal = (
        "LimitExceeded",
        f"Maximum policy size of {quota} bytes exceeded for {word.lower()} it",
    )
    assert await iam.refused(put(word, ALLOW, "three")) == refusal
    assert await iam.refused(put(word, of_size(quota // 2 + 1), "two")) == refusal
    await iam(put(word, ALLOW, "two"))
    await iam(put(word, ALLOW, "three"))


async def test_who_is_not_there_is_named_in_the_refusal(iam):
    for word in ("User", "Group", "Role"):
        expected = ("NoSuchEntity", f"The {word.lower()} with name ghost cannot be found.")
        assert await iam.refused(put(word, name="ghost")) == expected
        assert await iam.refused(get(word, name="ghost")) == expected
        assert await iam.refused(delete(word, name="ghost")) == expected
        assert await iam.refused(request("List{}PoliciesRequest", word, "ghost")) == expected


async def test_what_a_policy_grants_is_granted_until_it_is_deleted(iam):
    await iam(shapes.CreateUserRequest(user_name="bob"))
    lists = ALLOW.replace("s3:*", "iam:ListUsers")
    assert (await iam.refused(shapes.ListUsersRequest(), user="bob"))[0] == "AccessDenied"
    await iam(put("User", lists, name="bob"))
    await iam(shapes.ListUsersRequest(), user="bob")
    await iam(delete("User", name="bob"))
    assert (await iam.refused(shapes.ListUsersRequest(), user="bob"))[0] == "AccessDenied"


@pytest.mark.parametrize("word", CREATE)
async def test_a_resource_of_an_account_that_there_cannot_be_is_refused(iam, word):
    await iam(CREATE[word])
    typo = ALLOW.replace('"*"}', '"arn:aws:iam::11112222333:role/admin"}')
    assert await iam.refused(put(word, typo)) == (
        "MalformedPolicyDocument",
        "The policy failed legacy parsing",
    )
