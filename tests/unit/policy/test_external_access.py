"""Who outside a zone of trust is let in: nobody is missed, and what is understood to stay inside is no finding."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.policy import PolicyKind, parse_policy
from broker.policy.external_access import ExternalGrant, Zone, external_grants

HERE, SISTER, OTHER = "111122223333", "222233334444", "444455556666"
ALONE = Zone(frozenset({HERE}))
TOGETHER = Zone(frozenset({HERE, SISTER}), "o-exampleorgid")


def grants(*statements: dict[str, Any], zone: Zone = ALONE) -> list[ExternalGrant]:
    text = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    return external_grants(parse_policy(text, PolicyKind.RESOURCE), zone)


def allow(principal: Any, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": principal, "Action": "s3:GetObject", "Resource": "*", **more}


def role_of(account: str) -> str:
    return f"arn:aws:iam::{account}:role/reader"


@pytest.mark.parametrize(
    ("principal", "expected"),
    [
        ("*", ("AWS", "*")),
        ({"AWS": "*"}, ("AWS", "*")),
        ({"AWS": [HERE, "*"]}, ("AWS", "*")),
        ({"AWS": OTHER}, ("AWS", OTHER)),
        ({"AWS": f"arn:aws-cn:iam::{HERE}:root"}, ("AWS", f"arn:aws-cn:iam::{HERE}:root")),
        ({"AWS": role_of(OTHER)}, ("AWS", role_of(OTHER))),
        (
            {"AWS": f"arn:aws:sts::{OTHER}:assumed-role/a/b"},
            ("AWS", f"arn:aws:sts::{OTHER}:assumed-role/a/b"),
        ),
        ({"Federated": "accounts.google.com"}, ("Federated", "accounts.google.com")),
        ({"CanonicalUser": "a" * 64}, ("CanonicalUser", "a" * 64)),
        ({"AWS": HERE}, None),
        ({"AWS": role_of(HERE)}, None),
        ({"Service": "ec2.amazonaws.com"}, None),
    ],
)
def test_a_principal_is_outside_unless_its_account_is_in_the_zone(principal: Any, expected: Any) -> None:
    found = [(one.principal_type, one.principal) for one in grants(allow(principal))]
    assert found == ([] if expected is None else [expected])


def test_the_accounts_of_an_organization_are_one_zone() -> None:
    assert grants(allow({"AWS": [HERE, role_of(SISTER)]}), zone=TOGETHER) == []
    assert [one.principal for one in grants(allow({"AWS": [SISTER, OTHER]}), zone=TOGETHER)] == [OTHER]


def test_the_id_of_a_principal_names_no_account_so_it_is_shown() -> None:
    assert [one.principal for one in grants(allow({"AWS": "AROA2222222222222222"}))] == [
        "AROA2222222222222222"
    ]


def test_not_principal_lets_everyone_else_in() -> None:
    statement = allow(None)
    del statement["Principal"]
    assert [one.principal for one in grants({**statement, "NotPrincipal": {"AWS": role_of(HERE)}})] == ["*"]


def test_a_deny_grants_nothing_and_takes_no_finding_away() -> None:
    deny = {**allow("*"), "Effect": "Deny"}
    assert grants(deny) == []
    assert len(grants(allow("*"), deny)) == 1


def test_statements_for_the_same_principal_are_one_finding_with_all_actions() -> None:
    (found,) = grants(allow({"AWS": OTHER}), allow({"AWS": OTHER}, Action=["s3:PutObject", "s3:GetObject"]))
    assert found.actions == ("s3:GetObject", "s3:PutObject")
    not_action = allow({"AWS": OTHER}, NotAction="s3:DeleteObject")
    del not_action["Action"]
    assert grants(not_action)[0].actions == ("*",)


@pytest.mark.parametrize(
    ("condition", "zone"),
    [
        ({"StringEquals": {"aws:PrincipalAccount": [HERE]}}, ALONE),
        ({"StringEquals": {"AWS:principalaccount": [HERE, SISTER]}}, TOGETHER),
        ({"StringEquals": {"aws:PrincipalOrgID": "o-exampleorgid"}}, TOGETHER),
        ({"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": "o-exampleorgid/r-ab12/*"}}, TOGETHER),
        ({"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{HERE}:role/*"}}, ALONE),
        ({"ArnEquals": {"aws:PrincipalArn": role_of(HERE)}, "Bool": {"aws:SecureTransport": "true"}}, ALONE),
    ],
)
def test_a_condition_that_names_the_zone_keeps_access_inside(condition: dict[str, Any], zone: Zone) -> None:
    assert grants(allow("*", Condition=condition), zone=zone) == []
    assert grants(allow({"AWS": OTHER}, Condition=condition), zone=zone) == []


@pytest.mark.parametrize(
    ("condition", "zone"),
    [
        ({"StringEquals": {"aws:PrincipalAccount": [HERE, OTHER]}}, ALONE),
        ({"StringLike": {"aws:PrincipalAccount": "1111*"}}, ALONE),
        ({"StringNotEquals": {"aws:PrincipalAccount": HERE}}, ALONE),
        ({"StringEqualsIfExists": {"aws:PrincipalAccount": HERE}}, ALONE),
        ({"ForAllValues:StringEquals": {"aws:PrincipalAccount": HERE}}, ALONE),
        ({"StringEquals": {"aws:SourceAccount": HERE}}, ALONE),
        ({"StringEquals": {"aws:PrincipalOrgID": "o-exampleorgid"}}, ALONE),
        ({"StringEquals": {"aws:PrincipalOrgID": ["o-exampleorgid", "o-another"]}}, TOGETHER),
        ({"StringLike": {"aws:PrincipalOrgID": "o-*"}}, TOGETHER),
        ({"ForAllValues:StringLike": {"aws:PrincipalOrgPaths": "o-exampleorgid/*"}}, TOGETHER),
        ({"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": "o-exampleorgid*"}}, TOGETHER),
        ({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/reader"}}, ALONE),
        ({"ArnLike": {"aws:PrincipalArn": "*"}}, ALONE),
        ({"ArnLike": {"aws:PrincipalArn": f"arn:aws-cn:iam::{HERE}:role/a"}}, ALONE),
        ({"StringEquals": {"aws:PrincipalAccount": "${aws:ResourceAccount}"}}, ALONE),
        ({"Null": {"aws:PrincipalAccount": "false"}}, ALONE),
        ({"Bool": {"aws:MultiFactorAuthPresent": "true"}}, ALONE),
        ({"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}, ALONE),
    ],
)
def test_any_other_condition_leaves_the_finding_and_is_shown(condition: dict[str, Any], zone: Zone) -> None:
    (found,) = grants(allow("*", Condition=condition), zone=zone)
    ((_, written),) = condition.items()
    assert [key for key, _ in found.conditions] == list(written)
    assert not found.is_public


def test_everyone_without_a_condition_is_the_public() -> None:
    assert grants(allow("*"))[0].is_public
    assert not grants(allow({"AWS": OTHER}))[0].is_public


_CONDITIONS = st.dictionaries(
    st.sampled_from(["StringEquals", "StringLike", "StringNotEquals", "ArnLike", "ForAnyValue:StringEquals"]),
    st.dictionaries(
        st.sampled_from(["aws:PrincipalAccount", "aws:PrincipalArn", "aws:PrincipalOrgID", "aws:SourceIp"]),
        st.lists(st.sampled_from([OTHER, role_of(OTHER), "*", "o-another"]), min_size=1, max_size=2),
        min_size=1,
        max_size=2,
    ),
    max_size=2,
)


@given(condition=_CONDITIONS)
def test_no_condition_that_names_nothing_of_the_zone_hides_a_finding(condition: dict[str, Any]) -> None:
    more = {"Condition": condition} if condition else {}
    assert len(grants(allow({"AWS": OTHER}, **more), zone=TOGETHER)) == 1
