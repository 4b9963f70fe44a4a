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
    finding, validated = read_for_author(text, PolicyKind.IDENTITY).findings
    assert (finding.is_error, finding.code, validated.code) == (True, "MALFORMED_POLICY", "INVALID_EFFECT")
    assert validated.suggestion == "Allow"
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
    ("statement", "code", "line"),
    [
        (allow("iam:GetUserr"), "INVALID_ACTION", 7),
        (allow("s3:Nothing*"), "INVALID_ACTION", 7),
        (allow("*"), "ALLOWS_EVERYTHING", 4),
        (allow("iam:*"), "PASS_ROLE_WITH_STAR_IN_ACTION_AND_RESOURCE", 9),
        (allow("iam:passrole"), "PASS_ROLE_WITH_STAR_IN_RESOURCE", 9),
    ],
)
def test_what_is_hardly_meant_is_found_at_its_line(statement: dict[str, Any], code: str, line: int):
    found = read_for_author(document(statement), PolicyKind.IDENTITY).findings
    assert [one.line for one in found if one.code == code] == [line]


@pytest.mark.parametrize(
    "statement",
    [
        {**allow("*"), "Effect": "Deny"},
        allow("iam:PassRole", on="arn:aws:iam::111111111111:role/web"),
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


def test_a_policy_without_a_version_says_what_that_means():
    text = document(allow("iam:GetUser"), version=None)
    refusal, finding = read_for_author(text, PolicyKind.IDENTITY).findings
    assert (refusal.is_error, finding.is_error, finding.code) == (True, False, "MISSING_VERSION")
    assert "2012-10-17" in finding.message
