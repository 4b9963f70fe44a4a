import json

import pytest

from broker.policy import Policy, PolicyKind, context_keys, parse_policy, service_grants
from tests.growth import called


def policy(*statements: dict[str, object], version: str = "2012-10-17") -> Policy:
    text = json.dumps({"Version": version, "Statement": list(statements)})
    return parse_policy(text, PolicyKind.IDENTITY)


def allow(**elements: object) -> dict[str, object]:
    return {"Effect": "Allow", "Resource": "*", **elements}


READING = allow(
    Action="s3:*",
    Resource="arn:aws:s3:::home/${aws:username}/*",
    Condition={
        "StringEquals": {"aws:PrincipalTag/Team": "${aws:RequestTag/Team, 'none'}"},
        "Bool": {"AWS:SecureTransport": "true"},
    },
)


def test_context_keys_are_those_of_conditions_and_of_variables_each_once() -> None:
    again = allow(Action="s3:*", Condition={"Bool": {"aws:securetransport": "true"}})
    assert context_keys([policy(READING), policy(again)]) == [
        "aws:username",
        "aws:PrincipalTag/Team",
        "aws:RequestTag/Team",
        "AWS:SecureTransport",
    ]


def test_the_old_version_reads_no_variables() -> None:
    assert context_keys([policy(READING, version="2008-10-17")]) == [
        "aws:PrincipalTag/Team",
        "AWS:SecureTransport",
    ]


@pytest.mark.parametrize(
    ("statement", "grants"),
    [
        (allow(Action="s3:GetObject"), True),
        (allow(Action="S3:*"), True),
        (allow(Action="*"), True),
        (allow(Action="*:Get*"), True),
        (allow(Action=["ec2:*", "s3:Get*"]), True),
        (allow(Action="s3-outposts:*"), False),
        (allow(Action="ec2:*"), False),
        (allow(NotAction="s3:*"), False),
        (allow(NotAction="s3:Put*"), True),
        (allow(NotAction="ec2:*"), True),
        (allow(NotAction="*"), False),
        ({**allow(Action="s3:*"), "Effect": "Deny"}, False),
    ],
)
def test_a_policy_grants_a_service_where_some_allow_reaches_it(
    statement: dict[str, object], *, grants: bool
) -> None:
    assert service_grants(policy(statement))("s3") is grants


def test_a_policy_is_read_once_for_all_services_that_are_asked_about() -> None:
    """A hundred policies, asked about a hundred services, took nine seconds."""
    actions = [f"service{number}:*" for number in range(300)]
    grants = service_grants(policy({"Effect": "Allow", "Action": actions, "Resource": "*"}))
    assert len(called(lambda: grants("service299") or grants("s3"))) < 10
