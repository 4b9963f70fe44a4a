"""Findings of Access Analyzer on their page: what its address asks for, and rows of both versions of the API."""

import pytest

from broker.errors import Refusal
from broker.portal.console.analyzers import FindingsQuery, page_of, query_of, rows_of
from broker.protocol.shapes import accessanalyzer as shapes

HERE, OTHER = "111122223333", "444455556666"
ROLE = f"arn:aws:iam::{HERE}:role/team/reader"


def test_without_parts_the_address_asks_for_active_findings_of_the_usual_region() -> None:
    assert query_of({}, "eu-west-1") == FindingsQuery("eu-west-1")
    assert query_of({"region": " ", "status": ""}, "eu-west-1") == FindingsQuery("eu-west-1")
    given = {"region": "us-gov-west-1", "analyzer": "a", "status": "ARCHIVED", "finding": "f", "token": "t"}
    assert query_of(given, "eu-west-1") == FindingsQuery("us-gov-west-1", "a", "ARCHIVED", "f", "t")


@pytest.mark.parametrize(
    "parts", [{"region": "us-east-1/x"}, {"region": "nowhere"}, {"region": "x" * 99}, {"status": "active"}]
)
def test_what_is_no_region_and_no_status_is_refused(parts: dict[str, str]) -> None:
    with pytest.raises(Refusal) as refused:
        query_of(parts, "eu-west-1")
    assert refused.value.code == "ValidationException"


def test_the_address_of_the_list_is_encoded_and_opens_nothing() -> None:
    query = FindingsQuery("eu-west-1", "a&b", "ARCHIVED", "f")
    assert query.address() == "region=eu-west-1&analyzer=a%26b&status=ARCHIVED"
    assert query.address(finding="g", status="").endswith("analyzer=a%26b&finding=g")


@pytest.mark.parametrize(
    ("arn", "page"),
    [
        (ROLE, "roles/reader"),
        (f"arn:aws:iam::{HERE}:user/ann", "users/ann"),
        (f"arn:aws:iam::{OTHER}:role/reader", ""),
        (f"arn:aws:iam::{HERE}:group/staff", ""),
        ("arn:aws:s3:::reports", ""),
        ("no ARN", ""),
        ("", ""),
    ],
)
def test_users_and_roles_of_the_account_have_a_page(arn: str, page: str) -> None:
    assert page_of(arn, HERE) == page


def test_rows_are_of_both_versions_of_the_api() -> None:
    common = {
        "id": "f",
        "resource": ROLE,
        "resource_type": "AWS::IAM::Role",
        "resource_owner_account": HERE,
        "status": "ACTIVE",
        "created_at": 1,
        "updated_at": 2,
        "analyzed_at": 3,
    }
    first = shapes.FindingSummary(**common, condition={}, principal={"AWS": OTHER}, is_public=False)
    second = shapes.FindingSummaryV2(**common, finding_type="UnusedIAMRole")
    rows = rows_of([first, second], HERE)
    assert [(one.type, one.who, one.page, one.updated_at) for one in rows] == [
        ("ExternalAccess", OTHER, "roles/reader", 2),
        ("UnusedIAMRole", "", "roles/reader", 2),
    ]
