"""A policy in words."""

import json
from typing import Any

import pytest

from broker.policy import PolicyKind, parse_policy
from broker.policy.summary import ServiceSummary, summarize


def summary(*statements: dict[str, Any]) -> list[ServiceSummary]:
    whole = [{"Effect": "Allow", "Resource": "*", **one} for one in statements]
    for one in whole:
        if "NotResource" in one:
            del one["Resource"]
    text = json.dumps({"Version": "2012-10-17", "Statement": whole})
    return list(summarize(parse_policy(text, PolicyKind.IDENTITY)))


def levels(*actions: str) -> list[tuple[str, bool]]:
    (one,) = summary({"Action": list(actions)})
    return [(level.level, level.is_full) for level in one.levels]


def test_actions_are_told_by_service_and_access_level():
    found = summary({"Action": ["s3:GetObject", "iam:PassRole", "S3:ListBucket"]})
    assert [(one.service, one.title) for one in found] == [
        ("s3", "Amazon S3"),
        ("iam", "AWS Identity and Access Management (IAM)"),
    ]
    assert [level.level for level in found[0].levels] == ["List", "Read"]
    assert [level.is_full for level in found[0].levels] == [False, False]
    assert [level.level for level in found[1].levels] == ["Write"]


@pytest.mark.parametrize("pattern", ["sqs:*", "*"])
def test_everything_is_told_as_such(pattern: str):
    (one,) = summary({"Action": pattern})
    assert one.is_everything
    assert one.levels == ()
    assert one.service == pattern.removesuffix(":*")


def test_a_level_is_full_where_every_action_of_it_is_named():
    assert ("Read", True) in levels("sts:Get*", "sts:Decode*")
    assert ("Read", False) in levels("sts:GetCallerIdentity")


def test_an_action_of_two_levels_counts_for_the_narrower_one():
    assert levels("s3:PutBucketPolicy") == [("Permissions management", False)]
    assert levels("s3:PutObjectTagging") == [("Tagging", False)]


def test_what_the_reference_does_not_know_has_no_level():
    (one,) = summary({"Action": "nosuchservice:Do"})
    assert (one.title, one.levels, one.is_everything) == ("nosuchservice", (), False)


def test_circumstances_part_statements_and_join_them():
    condition = {"StringEquals": {"aws:username": "a"}, "Bool": {"aws:SecureTransport": "true"}}
    found = summary(
        {"Action": "s3:GetObject", "Resource": "arn:aws:s3:::a/*"},
        {"Action": "s3:ListBucket", "Resource": "arn:aws:s3:::a/*"},
        {"Action": "s3:PutObject", "Condition": condition},
        {"Effect": "Deny", "Action": "s3:*", "NotResource": "arn:aws:s3:::a"},
    )
    assert [(one.effect, one.resources, one.conditions) for one in found] == [
        ("Allow", ("arn:aws:s3:::a/*",), ()),
        ("Allow", ("*",), ("aws:username", "aws:SecureTransport")),
        ("Deny", ("not arn:aws:s3:::a",), ()),
    ]
    assert [level.level for level in found[0].levels] == ["List", "Read"]


def test_not_action_is_everything_but():
    (one,) = summary({"NotAction": ["iam:*", "sts:*"]})
    assert (one.service, one.is_everything, one.excepted) == ("*", True, ("iam:*", "sts:*"))
