"""Documents without actions that nobody needs."""

import json
from typing import Any

import pytest

from broker.policy import without_actions

UNNEEDED = frozenset({"iam:ListUsers", "sts:AssumeRole", "sts:TagSession"})


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action: Any, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": "*", **more}


@pytest.mark.parametrize(
    "statement",
    [
        allow("iam:GetUser"),
        allow("iam:Get*"),
        allow("*"),
        allow("*:List*"),
        {**allow("iam:ListUsers"), "Effect": "Deny"},
        {"Effect": "Allow", "NotAction": "iam:GetUser", "Resource": "*"},
        allow("nonsense:Do"),
    ],
)
def test_what_has_no_unneeded_actions_is_not_changed(statement: dict[str, Any]) -> None:
    text = document(statement)
    assert without_actions(text, UNNEEDED) == text


def test_unneeded_actions_are_left_out_and_conditions_stay() -> None:
    only = {"Bool": {"aws:SecureTransport": "true"}}
    text = document(allow(["iam:listusers", "iam:GetUser"], Condition=only), allow("sts:AssumeRole"))
    assert json.loads(str(without_actions(text, UNNEEDED)))["Statement"] == [
        allow(["iam:GetUser"], Condition=only)
    ]


def test_a_pattern_is_replaced_by_the_rest_of_what_it_matches() -> None:
    (statement,) = json.loads(str(without_actions(document(allow("iam:ListU*")), UNNEEDED)))["Statement"]
    assert statement["Action"] == ["iam:ListUserPolicies", "iam:ListUserTags"]


def test_a_document_of_nothing_else_is_none() -> None:
    assert without_actions(document(allow(["iam:ListUsers", "sts:AssumeRole"])), UNNEEDED) is None
    one = json.dumps({"Version": "2012-10-17", "Statement": allow("iam:ListUsers")})
    assert without_actions(one, UNNEEDED) is None


def test_a_text_that_cannot_be_read_is_not_changed() -> None:
    assert without_actions("{", UNNEEDED) == "{"
