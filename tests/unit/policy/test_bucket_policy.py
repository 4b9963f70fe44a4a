"""What a resource policy says of a bucket."""

import json
from typing import Any

import pytest

from broker.policy import MalformedPolicy, Policy, PolicyKind, parse_policy
from broker.policy.bucket_policy import is_public, require_bucket_policy

BUCKET = "arn:aws:s3:::lake"
EVERYONE = {"Principal": "*"}


def policy(**changes: Any) -> Policy:
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::111111111111:root"},
        "Action": "s3:GetObject",
        "Resource": f"{BUCKET}/*",
    } | changes
    present = {name: value for name, value in statement.items() if value is not None}
    return parse_policy(json.dumps({"Version": "2012-10-17", "Statement": present}), PolicyKind.RESOURCE)


@pytest.mark.parametrize(
    ("changes", "public"),
    [
        ({}, False),
        (EVERYONE, True),
        ({"Principal": {"AWS": "*"}}, True),
        ({"Effect": "Deny", **EVERYONE}, False),
        ({**EVERYONE, "Condition": {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}}, False),
        ({**EVERYONE, "Condition": {"IpAddress": {"aws:SourceIp": ["192.0.2.0/24", "0.0.0.0/0"]}}}, True),
        ({**EVERYONE, "Condition": {"IpAddress": {"aws:SourceIp": ["0.0.0.0/1", "128.0.0.0/1"]}}}, True),
        ({**EVERYONE, "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}, False),
        ({**EVERYONE, "Condition": {"IpAddress": {"aws:SourceIp": "8000::/1"}}}, True),
        ({**EVERYONE, "Condition": {"IpAddress": {"aws:SourceIp": "2001:db8::/32"}}}, False),
        ({**EVERYONE, "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1234567890"}}}, False),
        ({**EVERYONE, "Condition": {"StringLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/x"}}}, True),
        ({**EVERYONE, "Condition": {"StringNotEquals": {"aws:PrincipalOrgID": "o-1234567890"}}}, True),
        ({**EVERYONE, "Condition": {"StringEquals": {"s3:prefix": "a"}}}, True),
    ],
)
def test_a_bucket_is_public_where_everyone_is_allowed_without_a_limit(
    changes: dict[str, Any], public: bool
) -> None:
    assert is_public(policy(**changes)) is public


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Principal": None}, "Missing required field Principal"),
        ({"Resource": None}, "Missing required field Resource"),
        ({"Resource": "*"}, "Policy has invalid resource"),
        ({"Resource": "arn:aws:s3:::lake-house/*"}, "Policy has invalid resource"),
        ({"Action": "sqs:SendMessage"}, "Policy has invalid action"),
    ],
)
def test_a_policy_that_is_not_about_the_bucket_alone_is_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(MalformedPolicy, match=message):
        require_bucket_policy(policy(**changes), BUCKET)


@pytest.mark.parametrize("resource", [BUCKET, f"{BUCKET}/*", f"{BUCKET}/a/b"])
def test_the_bucket_and_its_objects_are_resources_of_its_policy(resource: str) -> None:
    require_bucket_policy(policy(Resource=resource), BUCKET)
