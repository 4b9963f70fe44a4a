"""Findings in the text of a policy, each at its line."""

import json
from typing import Any

import pytest

from broker.policy import PolicyKind, read_for_author


def document(*statements: dict[str, Any], version: str | None = "2012-10-17") -> str:
    head = {"Version": version} if version else {}
    return json.dumps({**head, "Statement": list(statements)}, indent=1)


def allow(*actions: str, on: str = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": on, **more}


def messages(text: str, kind: PolicyKind = PolicyKind.IDENTITY) -> list[str]:
    return [finding.message for finding in read_for_author(text, kind).findings]


def test_text_that_is_no_json_is_an_error_at_its_line_and_column():
    reading = read_for_author('{\n "Version": oops}', PolicyKind.IDENTITY)
    (finding,) = reading.findings
    assert reading.policy is None
    assert (finding.is_error, finding.line, finding.column) == (True, 2, 13)


def test_a_statement_that_aws_would_refuse_is_an_error_at_the_line_where_it_begins():
    text = document(allow("iam:GetUser"), {**allow("iam:GetUser"), "Effect": "Alow"})
    (finding,) = read_for_author(text, PolicyKind.IDENTITY).findings
    assert finding.is_error
    assert finding.line is not None
    assert text.splitlines()[finding.line - 1].strip() == "{"
    assert "Alow" in "".join(text.splitlines()[finding.line :])


def test_a_good_policy_has_no_findings():
    reading = read_for_author(
        document(allow("iam:GetUser", "s3:Get*", "sts:ListSessions")), PolicyKind.IDENTITY
    )
    assert reading.policy is not None
    assert reading.findings == ()


def test_actions_of_our_own_operations_are_known():
    own = (
        "iam:ListInstances",
        "iam:InspectOpenIDConnectProvider",
        "sts:CheckFederation",
        "sts:RevokeSessions",
    )
    assert read_for_author(document(allow(*own)), PolicyKind.IDENTITY).findings == ()


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (allow("iam:GetUserr"), "No action is called iam:GetUserr: this has no effect."),
        (allow("s3:Nothing*"), "No action is called s3:Nothing*: this has no effect."),
        (allow("*"), "This allows everything on everything."),
        (allow("iam:*"), "This allows every role to be passed"),
        (allow("iam:passrole"), "This allows every role to be passed"),
    ],
)
def test_what_is_hardly_meant_is_a_warning(statement: dict[str, Any], message: str):
    (found,) = read_for_author(document(statement), PolicyKind.IDENTITY).findings
    assert found.message.startswith(message)
    assert (found.is_error, found.line) == (False, 4)


@pytest.mark.parametrize(
    "statement",
    [
        {**allow("*"), "Effect": "Deny"},
        allow("iam:PassRole", on="arn:aws:iam::111111111111:role/web"),
        allow("*", Condition={"Bool": {"aws:MultiFactorAuthPresent": "true"}}),
        allow("ourown:Action"),
    ],
)
def test_what_may_well_be_meant_is_none(statement: dict[str, Any]):
    assert messages(document(statement)) == []


def test_trust_in_everybody_is_a_warning_unless_a_condition_narrows_it():
    trusting = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    (message,) = messages(document(trusting), PolicyKind.TRUST)
    assert message.startswith("This trusts everybody")
    narrowed = {**trusting, "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"}}}
    assert messages(document(narrowed), PolicyKind.TRUST) == []


def test_a_policy_of_the_old_version_says_what_that_means():
    (message,) = messages(document(allow("iam:GetUser"), version=None))
    assert "2012-10-17" in message
