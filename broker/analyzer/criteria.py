"""Filters of findings: criteria by attribute, as archive rules and lists of findings have them."""

import re
from collections.abc import Iterable, Mapping

from broker.analyzer.refusals import invalid
from broker.protocol.shapes import accessanalyzer as shapes
from broker.storage.analyzer_records import AnalyzerFinding, RuleCriterion

_ATTRIBUTE = re.compile(
    r"id|resource|resourceType|resourceOwnerAccount|status|findingType|isPublic|error|createdAt|updatedAt|analyzedAt"
    r"|principal\.(?:AWS|Federated|CanonicalUser)|condition\..+"
)
_MOST_VALUES = 20
Criteria = Mapping[str, RuleCriterion]


def status_of(finding: AnalyzerFinding) -> str:
    if finding.resolved_at:
        return "RESOLVED"
    return "ARCHIVED" if finding.is_archived else "ACTIVE"


def read_criteria(given: Mapping[str, shapes.Criterion]) -> dict[str, RuleCriterion]:
    """Raises ValidationException for an attribute that findings do not have, and for a criterion that says nothing."""
    for attribute, one in given.items():
        if _ATTRIBUTE.fullmatch(attribute) is None:
            raise invalid(f"Findings have no attribute {attribute}.")
        if not (one.eq or one.neq or one.contains or one.exists is not None):
            raise invalid(f"The criterion of {attribute} has neither eq, neq, contains nor exists.")
        if max(len(one.eq), len(one.neq), len(one.contains)) > _MOST_VALUES:
            raise invalid(f"A criterion has at most {_MOST_VALUES} values.")
    return {
        attribute: RuleCriterion(eq=one.eq, neq=one.neq, contains=one.contains, exists=one.exists)
        for attribute, one in given.items()
    }


def criterion_shapes(criteria: Criteria) -> dict[str, shapes.Criterion]:
    return {
        attribute: shapes.Criterion(eq=one.eq, neq=one.neq, contains=one.contains, exists=one.exists)
        for attribute, one in criteria.items()
    }


def is_archived_by(finding: AnalyzerFinding, rules: Iterable[Criteria]) -> bool:
    """Whether one of the rules covers the finding. A rule without criteria covers none."""
    return any(bool(one) and meets(finding, one) for one in rules)


def meets(finding: AnalyzerFinding, criteria: Criteria) -> bool:
    """Whether the finding meets all criteria."""
    attributes = attributes_of(finding)
    return all(_meets(attributes.get(name), one) for name, one in criteria.items())


def attributes_of(finding: AnalyzerFinding) -> dict[str, str]:
    """By the names that filters have for them; without those that this finding lacks."""
    attributes = {
        "id": finding.finding_id,
        "resource": finding.resource,
        "resourceType": finding.resource_type,
        "resourceOwnerAccount": finding.owner,
        "status": status_of(finding),
        "findingType": finding.type,
        "createdAt": f"{finding.created_at:012}",
        "updatedAt": f"{finding.updated_at:012}",
        **{f"principal.{kind}": name for kind, name in finding.principal.items()},
        **{f"condition.{key}": values for key, values in finding.conditions.items()},
    }
    if finding.type == "ExternalAccess":
        attributes["isPublic"] = "true" if finding.is_public else "false"
    return attributes


def _meets(value: str | None, criterion: RuleCriterion) -> bool:
    if criterion.exists is not None and criterion.exists is (value is None):
        return False
    if value is None:
        return not (criterion.eq or criterion.contains)
    return (
        (not criterion.eq or value in criterion.eq)
        and value not in criterion.neq
        and (not criterion.contains or any(part in value for part in criterion.contains))
    )
