"""A policy as sentences for those who approve it."""

import json
from typing import Any

import pytest

from broker.policy import PolicyKind, parse_policy, policy_sentences

S3, STS = "Amazon S3", "AWS Security Token Service"


def sentences(*statements: dict[str, Any]) -> list[str]:
    text = json.dumps({"Version": "2012-10-17", "Statement": statements})
    return list(policy_sentences(parse_policy(text, PolicyKind.IDENTITY)))


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ({"Action": "*", "Resource": "*"}, "Allows everything in all services on all resources."),
        ({"Action": "s3:*", "Resource": "*"}, f"Allows everything in {S3} on all resources."),
        (
            {"Action": ["s3:GetObject", "s3:List*"], "Resource": ["arn:aws:s3:::a", "arn:aws:s3:::a/*"]},
            f"Allows all List, some Read in {S3} (s3:GetObject, s3:List*) on arn:aws:s3:::a, arn:aws:s3:::a/*.",
        ),
        (
            {"Action": "s3:Unheard", "Resource": "*"},
            f"Allows actions in {S3} (s3:Unheard) on all resources.",
        ),
        (
            {"Effect": "Deny", "NotAction": ["s3:*", "sts:*"], "Resource": "*"},
            "Denies everything except s3:*, sts:* in all services on all resources.",
        ),
        (
            {"Action": "s3:*", "NotResource": "arn:aws:s3:::a"},
            f"Allows everything in {S3} on all resources except arn:aws:s3:::a.",
        ),
        (
            {
                "Action": "s3:*",
                "Resource": "*",
                "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}},
            },
            f"Allows everything in {S3} on all resources where conditions are met on aws:MultiFactorAuthPresent.",
        ),
    ],
)
def test_a_statement_is_a_sentence(statement: dict[str, Any], expected: str) -> None:
    assert sentences({"Effect": "Allow", **statement}) == [expected]


def test_each_service_and_each_statement_has_a_sentence_of_its_own_in_the_policys_order() -> None:
    first = {"Effect": "Allow", "Action": ["sts:AssumeRole", "s3:*"], "Resource": "*"}
    assert sentences(first, {**first, "Effect": "Deny", "Action": "s3:*"}) == [
        f"Allows some Write in {STS} (sts:AssumeRole) on all resources.",
        f"Allows everything in {S3} on all resources.",
        f"Denies everything in {S3} on all resources.",
    ]
