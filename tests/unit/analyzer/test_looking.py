"""What analyzers find: stable ids, types of resources, and what was not used."""

import json
from typing import Any

import pytest

from broker.analyzer.looking import (
    AnalyzedPolicy,
    external_findings,
    type_of,
    unused_findings,
)
from broker.names.secret import SecretKey
from broker.permission_use.account_use import AccountUse
from broker.permission_use.unused_permissions import EntityPermissions
from broker.policy.external_access import Zone
from broker.storage.analyzer_records import Analyzer
from broker.storage.records import AccessKey, Role, Usage, User

HERE, OTHER = "111122223333", "444455556666"
DAY, NOW = 86_400, 1_800_000_000
ALONE = Zone(frozenset({HERE}))
ANALYZER = Analyzer(
    account_id=HERE, region="us-east-1", name="a", type="ACCOUNT", created_at=1, unused_days=30
)


def policy(*principals: str, text: str = "") -> AnalyzedPolicy:
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"AWS": list(principals)},
        "Action": "sts:AssumeRole",
    }
    written = text or json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    return AnalyzedPolicy(f"arn:aws:iam::{HERE}:role/r", "AWS::IAM::Role", HERE, written, 1, 1)


def test_a_finding_has_the_same_id_at_each_look_and_another_one_for_each_principal() -> None:
    names = (OTHER, f"arn:aws:iam::{OTHER}:role/x")
    first, again = (list(external_findings(ANALYZER, [policy(*names)], ALONE)) for _ in range(2))
    assert first == again
    assert len({one.finding_id for one in first}) == 2
    (alone,) = external_findings(ANALYZER, [policy(OTHER)], ALONE)
    assert alone.finding_id in {one.finding_id for one in first}


def test_a_policy_that_cannot_be_read_and_none_at_all_grant_nothing() -> None:
    assert list(external_findings(ANALYZER, [policy(text="{")], ALONE)) == []
    none = AnalyzedPolicy("arn:aws:s3:::b", "AWS::S3::Bucket", HERE, "", 1, 1)
    assert list(external_findings(ANALYZER, [none], ALONE)) == []


@pytest.mark.parametrize(
    ("arn", "kind"),
    [
        ("arn:aws:s3:::reports", "AWS::S3::Bucket"),
        (f"arn:aws:sqs:us-east-1:{HERE}:queue", "AWS::SQS::Queue"),
        (f"arn:aws:kms:us-east-1:{HERE}:key/1", "AWS::KMS::Key"),
        (f"arn:aws:kms:us-east-1:{HERE}:alias/1", None),
        (f"arn:aws:lambda:us-east-1:{HERE}:function:f", "AWS::Lambda::Function"),
        (f"arn:aws:glacier:us-east-1:{HERE}:vaults/v", None),
        ("reports", None),
    ],
)
def test_the_type_of_a_resource_is_in_its_arn(arn: str, kind: str | None) -> None:
    assert type_of(arn) == kind


def role(name: str, days: int, path: str = "/") -> Role:
    return Role(
        account_id=HERE,
        role_name=name,
        role_id=name,
        path=path,
        created_at=NOW - days * DAY,
        assume_role_policy="",
    )


def key(key_id: str, days: int, status: str = "Active", user: str | None = "Alice") -> AccessKey:
    return AccessKey(
        account_id=HERE,
        access_key_id=key_id,
        user_name=user,
        secret=SecretKey("s"),
        status=status,
        created_at=NOW - days * DAY,
    )


def used(days: int) -> Usage:
    return Usage(last_used_at=NOW - days * DAY)


def test_what_was_neither_used_nor_made_within_the_days_is_unused() -> None:
    use = AccountUse(
        roles=(role("never", 31), role("new", 29), role("old", 99), role("s", 99, "/aws-service-role/x/")),
        users=(User(account_id=HERE, user_name="Alice", user_id="AIDA1", created_at=1),),
        keys=(key("K1", 40), key("K2", 40), key("K3", 40, "Inactive"), key("K4", 40, user=None)),
        passwords={"alice": NOW - 50 * DAY, "gone": 1},
        usage={"old": used(31), "K2": used(1)},
        permissions=EntityPermissions({}, {}, {}),
    )
    found = [
        (one.type, one.resource.rpartition(":")[2], one.access_key_id, one.last_accessed)
        for one in unused_findings(ANALYZER, use, NOW)
    ]
    assert found == [
        ("UnusedIAMRole", "role/never", "", None),
        ("UnusedIAMRole", "role/old", "", NOW - 31 * DAY),
        ("UnusedIAMUserAccessKey", "user/Alice", "K1", None),
        ("UnusedIAMUserPassword", "user/Alice", "", None),
    ]
