"""A question in an address, and the lamps of its answer."""

from typing import Any

import pytest

from broker.portal.console.simulator import lamps_of, near_misses_of, parameters_of, question_of
from broker.portal.console.statements import PolicySource, ShownStatement
from broker.protocol.shapes import iam as shapes

STATEMENT = ShownStatement("policy")


def result(decision: str, **more: Any) -> shapes.EvaluationResult:
    return shapes.EvaluationResult(eval_action_name="s3:GetObject", eval_decision=decision, **more)


def lit(answer: shapes.EvaluationResult, **statements: tuple[ShownStatement, ...]) -> list[tuple[str, str]]:
    return [(lamp.layer, lamp.state) for lamp in lamps_of(answer, statements) if lamp.is_deciding]


def organizations(is_allowed: bool) -> dict[str, Any]:
    detail = shapes.OrganizationsDecisionDetail(allowed_by_organizations=is_allowed)
    return {"organizations_decision_detail": detail}


def boundary(is_allowed: bool) -> dict[str, Any]:
    detail = shapes.PermissionsBoundaryDecisionDetail(allowed_by_permissions_boundary=is_allowed)
    return {"permissions_boundary_decision_detail": detail}


def test_a_question_is_read_from_its_address_and_a_key_without_value_is_none():
    query = {"principal": " arn ", "action": "s3:Get", "key1": "aws:SourceIp", "value1": "10.0.0.1, 10.0.0.2"}
    question = question_of({**query, "key2": "aws:username", "value2": ""})
    assert question.is_whole
    assert parameters_of(question) == {
        "PolicySourceArn": "arn",
        "ActionNames.member.1": "s3:Get",
        "ShowNearMisses": "true",
        "ContextEntries.member.1.ContextKeyName": "aws:SourceIp",
        "ContextEntries.member.1.ContextKeyType": "stringList",
        "ContextEntries.member.1.ContextKeyValues.member.1": "10.0.0.1",
        "ContextEntries.member.1.ContextKeyValues.member.2": "10.0.0.2",
    }


@pytest.mark.parametrize(
    ("answer", "statements", "expected"),
    [
        (result("allowed"), {"identity": (STATEMENT,)}, [("identity", "allows")]),
        (
            result("allowed", **boundary(True), **organizations(True)),
            {"resource": (STATEMENT,)},
            [("resource", "allows")],
        ),
        (result("explicitDeny"), {"identity": (STATEMENT,)}, [("identity", "denies")]),
        (result("implicitDeny"), {}, [("identity", "silent")]),
        (result("implicitDeny", **boundary(False)), {}, [("boundary", "silent")]),
        (result("explicitDeny", **boundary(False)), {"boundary": (STATEMENT,)}, [("boundary", "denies")]),
        (result("implicitDeny", **organizations(False)), {}, [("organizations", "silent")]),
    ],
)
def test_the_layer_that_decides_is_lit(
    answer: shapes.EvaluationResult,
    statements: dict[str, tuple[ShownStatement, ...]],
    expected: list[tuple[str, str]],
):
    assert lit(answer, **statements) == expected
    assert [lamp.layer for lamp in lamps_of(answer, statements)] == [
        "organizations",
        "resource",
        "boundary",
        "identity",
    ]


def test_a_near_miss_shows_the_first_values_and_counts_the_others():
    wanted = tuple(f"192.0.2.{number}" for number in range(11))
    miss = shapes.NearMiss(
        source_policy_id="p",
        source_policy_type="IAM Policy",
        effect="Allow",
        element="aws:SourceIp",
        operator="IpAddress",
        wanted=wanted,
    )
    (shown,) = near_misses_of(result("implicitDeny", near_misses=(miss,)), {})
    assert (shown.kind, shown.found, shown.wanted, shown.more) == ("condition", (), wanted[:8], 3)


def test_a_near_miss_leads_to_the_page_of_its_policy_and_a_policy_of_another_layer_to_none():
    sources = {"reports": PolicySource("reports", "policies/111111111111/reports", "GetPolicyVersion", {})}
    misses = tuple(
        shapes.NearMiss(
            source_policy_id="reports", source_policy_type=layer, effect="Allow", element="Resource"
        )
        for layer in ("IAM Policy", "Permissions Boundary Policy")
    )
    shown = near_misses_of(result("implicitDeny", near_misses=misses), sources)
    assert [one.path for one in shown] == ["policies/111111111111/reports", ""]
