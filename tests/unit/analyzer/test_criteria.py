"""Filters of findings."""

import pytest

from broker.analyzer.criteria import is_archived_by, meets, read_criteria
from broker.errors import Refusal
from broker.protocol.shapes.accessanalyzer import Criterion
from broker.storage.analyzer_records import AnalyzerFinding, RuleCriterion

FINDING = AnalyzerFinding(
    region="us-east-1",
    analyzer_name="a",
    finding_id="1",
    type="ExternalAccess",
    resource="arn:aws:s3:::reports",
    resource_type="AWS::S3::Bucket",
    owner="111122223333",
    principal={"AWS": "444455556666"},
    conditions={"aws:SourceIp": "192.0.2.0/24"},
)


@pytest.mark.parametrize(
    ("name", "criterion", "expected"),
    [
        ("resource", RuleCriterion(eq=("arn:aws:s3:::other", "arn:aws:s3:::reports")), True),
        ("resource", RuleCriterion(eq=("arn:aws:s3:::other",)), False),
        ("resource", RuleCriterion(neq=("arn:aws:s3:::reports",)), False),
        ("resource", RuleCriterion(contains=("rep",)), True),
        ("resource", RuleCriterion(contains=("other",)), False),
        ("isPublic", RuleCriterion(eq=("false",)), True),
        ("status", RuleCriterion(eq=("ACTIVE",)), True),
        ("principal.AWS", RuleCriterion(eq=("444455556666",)), True),
        ("principal.Federated", RuleCriterion(exists=True), False),
        ("principal.Federated", RuleCriterion(exists=False), True),
        ("principal.Federated", RuleCriterion(neq=("x",)), True),
        ("principal.Federated", RuleCriterion(eq=("x",)), False),
        ("condition.aws:SourceIp", RuleCriterion(contains=("192.0.2",)), True),
        ("error", RuleCriterion(exists=False), True),
    ],
)
def test_a_criterion_is_met(name: str, criterion: RuleCriterion, expected: bool) -> None:
    assert meets(FINDING, {name: criterion}) is expected


def test_all_criteria_of_a_rule_have_to_be_met_and_one_rule_is_enough() -> None:
    ours, other = RuleCriterion(eq=("AWS::S3::Bucket",)), RuleCriterion(eq=("AWS::IAM::Role",))
    public = RuleCriterion(eq=("true",))
    assert not meets(FINDING, {"resourceType": ours, "isPublic": public})
    assert is_archived_by(FINDING, [{"resourceType": other}, {"resourceType": ours}])
    assert not is_archived_by(FINDING, [])
    assert not is_archived_by(FINDING, [{}])


@pytest.mark.parametrize(
    "given",
    [{"colour": Criterion(eq=("red",))}, {"resource": Criterion()}, {"resource": Criterion(eq=("x",) * 21)}],
)
def test_a_criterion_that_cannot_be_meant_is_refused(given: dict[str, Criterion]) -> None:
    with pytest.raises(Refusal) as refused:
        read_criteria(given)
    assert refused.value.code == "ValidationException"
