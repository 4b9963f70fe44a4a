"""What a service may ask, and how."""

import copy

import pytest

from broker.authorize.context_keys import MOST_KEYS, condition_keys
from broker.authorize.questions import DEFAULT_SESSION_NAME, MOST_EVALUATIONS, read_evaluations, read_question
from broker.errors import Refusal

USER = "arn:aws:iam::111122223333:user/alice"
QUESTION = {
    "subject": {"type": "principal", "id": USER, "properties": {"department": "anything"}},
    "action": {"name": "s3:GetObject", "properties": {"method": "GET"}},
    "resource": {"type": "resource", "id": "arn:aws:s3:::photos/a", "properties": {"tags": {"team": "blue"}}},
    "context": {"time": "2026-01-01T00:00:00Z", "s3:prefix": "a/"},
}


def changed(path, value):
    question = copy.deepcopy(QUESTION)
    *above, last = path.split(".")
    members = question
    for name in above:
        members = members[name]
    if value is None:
        del members[last]
    else:
        members[last] = value
    return question


def refused(read, *arguments):
    with pytest.raises(Refusal) as refusal:
        read(*arguments)
    assert refusal.value.code == "ValidationError"
    return refusal.value.message


def test_a_question_is_read_and_what_means_nothing_is_ignored():
    question = read_question(QUESTION)
    assert (question.subject.id, question.action, question.resource.arn) == (
        USER,
        "s3:GetObject",
        "arn:aws:s3:::photos/a",
    )
    assert question.resource.tags == {"team": "blue"}
    assert question.keys == {"s3:prefix": ("a/",)}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("subject", None),
        ("subject", "alice"),
        ("subject.type", "user"),
        ("subject.id", ""),
        ("subject.id", 7),
        ("subject.id", "alice"),
        ("subject.id", "arn:aws:iam::111122223333:user/*"),
        ("subject.properties", []),
        ("action", None),
        ("action.name", "read"),
        ("action.name", "s3:Get*"),
        ("action.name", "iam:CreateUser"),
        ("action.name", "STS:AssumeRole"),
        ("action.name", "broker:EvaluateAccess"),
        ("resource.type", "document"),
        ("resource.id", "photos"),
        ("resource.id", "arn:aws:s3:::photos/*"),
        ("resource.properties.tags", ["team"]),
        ("resource.properties.tags", {"team": 1}),
        ("context", "now"),
    ],
)
def test_what_is_no_question_is_refused(path, value):
    assert refused(read_question, changed(path, value))


def test_a_session_is_asked_about_by_its_token_and_a_web_identity_by_its_token_and_role():
    session = {"type": "session", "id": "ASIAEXAMPLE", "properties": {"session_token": "token"}}
    assert read_question(changed("subject", session)).subject.unverified_token == "token"
    assert "token" not in repr(read_question(changed("subject", session)).subject)
    assert refused(read_question, changed("subject", {"type": "session", "id": "ASIAEXAMPLE"}))
    role = "arn:aws:iam::111122223333:role/app"
    web = {"type": "web_identity", "id": "a.b.c", "properties": {"role_arn": role}}
    subject = read_question(changed("subject", web)).subject
    assert (subject.id, subject.unverified_token, subject.role_arn) == ("", "a.b.c", role)
    assert subject.session_name == DEFAULT_SESSION_NAME
    for properties in ({}, {"role_arn": "app"}, {"role_arn": role, "session_name": "a b"}):
        assert refused(read_question, changed("subject", {**web, "properties": properties}))


@pytest.mark.parametrize(
    "key",
    [
        "aws:PrincipalArn",
        "AWS:principalarn",
        "aws:PrincipalTag/team",
        "aws:PrincipalOrgID",
        "aws:userid",
        "aws:username",
        "aws:MultiFactorAuthPresent",
        "aws:TokenIssueTime",
        "aws:SourceIdentity",
        "aws:CurrentTime",
        "aws:EpochTime",
        "aws:ResourceAccount",
        "aws:ResourceTag/team",
        "aws:ViaAWSService",
        "aws:SourceArn",
        "sts:ExternalId",
        "iam:PassedToService",
        "saml:aud",
        "accounts.google.com:sub",
        "idp.example.com/realm:groups",
        "ec2:RoleDelivery",
        "s3:pre fix",
        "s3:*",
        ":prefix",
        "s3:",
    ],
)
def test_a_key_that_is_the_brokers_alone_is_refused(key):
    assert key[:64] in refused(condition_keys, {key: "x"})


@pytest.mark.parametrize(
    ("value", "values"),
    [
        ("a", ("a",)),
        (True, ("true",)),
        (False, ("false",)),
        (7, ("7",)),
        (1.5, ("1.5",)),
        (["a", 1, True], ("a", "1", "true")),
        ([], ()),
    ],
)
def test_values_become_those_of_condition_keys(value, values):
    assert condition_keys({"shop:Key": value}) == {"shop:key": values}


@pytest.mark.parametrize("value", [None, {"a": 1}, [None], [["a"]], "x" * 2049, ["a"] * 101])
def test_values_that_no_condition_key_has_are_refused(value):
    assert refused(condition_keys, {"shop:Key": value})


def test_what_a_service_has_seen_of_a_request_it_may_say():
    stated = {
        "aws:SourceIp": "192.0.2.7",
        "aws:UserAgent": "curl",
        "aws:SecureTransport": True,
        "aws:RequestedRegion": "eu-west-1",
        "aws:RequestTag/team": "blue",
        "aws:TagKeys": ["team"],
    }
    assert condition_keys(stated)["aws:securetransport"] == ("true",)
    assert refused(condition_keys, {"aws:SourceIp": "office"})
    assert refused(condition_keys, {"shop:a": 1, "Shop:A": 2})
    assert refused(condition_keys, {f"shop:{n}": 1 for n in range(MOST_KEYS + 1)})


def test_members_of_several_evaluations_replace_the_defaults():
    asked = {**QUESTION, "evaluations": [{}, {"action": {"name": "s3:PutObject"}}]}
    found = read_evaluations(asked)
    assert [read_question(one).action for one in found.members] == ["s3:GetObject", "s3:PutObject"]
    assert found.semantic == "execute_all"
    assert len(read_evaluations({**QUESTION, "evaluations": []}).members) == 1


@pytest.mark.parametrize(
    "more",
    [
        {"evaluations": {}},
        {"evaluations": ["a"]},
        {"evaluations": [{}] * (MOST_EVALUATIONS + 1)},
        {"evaluations": [{}], "options": {"evaluations_semantic": "first"}},
        {"evaluations": [{}], "options": []},
    ],
)
def test_evaluations_of_another_form_are_refused(more):
    assert refused(read_evaluations, {**QUESTION, **more})
