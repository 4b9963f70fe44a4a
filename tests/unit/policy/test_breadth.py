"""What a document gives away, by its text."""

import json
from typing import Any

import pytest

from broker.policy import allows_everything, trusted_accounts, trusts_everyone

HERE, OTHER = "111122223333", "444455556666"


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def trust(principal: Any, **more: Any) -> str:
    return document({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", **more})


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ({"Effect": "Allow", "Action": "*", "Resource": "*"}, True),
        ({"Effect": "Allow", "Action": ["s3:Get*", "*:*"], "Resource": ["arn:aws:s3:::a", "*"]}, True),
        ({"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"Bool": {"a:b": "true"}}}, True),
        ({"Effect": "Deny", "Action": "*", "Resource": "*"}, False),
        ({"Effect": "Allow", "Action": "s3:*", "Resource": "*"}, False),
        ({"Effect": "Allow", "Action": "*", "Resource": "arn:aws:s3:::a/*"}, False),
        ({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}, False),
    ],
)
def test_everything_is_every_action_on_every_resource(statement: dict[str, Any], found: bool) -> None:
    assert allows_everything(document(statement)) is found


def test_a_text_that_cannot_be_read_gives_nothing_away() -> None:
    assert not allows_everything("{")
    assert not trusts_everyone("")


def test_who_is_trusted_as_a_whole_has_no_condition() -> None:
    root, condition = f"arn:aws:iam::{OTHER}:root", {"StringEquals": {"sts:ExternalId": "x"}}
    assert trusted_accounts(trust({"AWS": [root, HERE]})) == (HERE, OTHER)
    assert trusted_accounts(trust({"AWS": root}, Condition=condition)) == ()
    assert trusted_accounts(trust({"AWS": f"arn:aws:iam::{OTHER}:role/deployer"})) == ()
    assert trusted_accounts(trust({"Service": "ec2.amazonaws.com"})) == ()


def test_everyone_is_trusted_by_a_star_without_a_condition() -> None:
    assert trusts_everyone(trust("*"))
    assert trusts_everyone(trust({"AWS": "*"}))
    assert not trusts_everyone(trust("*", Condition={"StringEquals": {"aws:PrincipalOrgID": "o-1"}}))
    assert not trusts_everyone(document({"Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRole"}))
