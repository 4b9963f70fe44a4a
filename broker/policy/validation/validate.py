"""Runs all checks over a text."""

from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence

from broker.policy.validation.checks import CHECKS, OWN_CHECKS
from broker.policy.validation.findings import (
    FindingLocation,
    FindingType,
    Issue,
    PolicyCheck,
    TextPosition,
    ValidationFinding,
)
from broker.policy.validation.nodes import JsonFault, JsonNode, read_nodes
from broker.policy.validation.subject import ValidatedAs, read_subject

# Characters; the longest policy of AWS has 20,480 without white space. The hardest text takes two seconds.
LONGEST_VALIDATED = 32_768
_ORDER = {kind: number for number, kind in enumerate(FindingType)}


def validate_policy(
    text: str,
    validated_as: ValidatedAs,
    own_services: Collection[str] = (),
    resource_type: str = "",
    *,
    as_aws: bool = False,
) -> tuple[ValidationFinding, ...]:
    """All findings, the most serious first, then in the order of the text.

    `as_aws` leaves out the checks that AWS does not have, and takes every service that AWS does not have for an error.
    """
    lines = [at for at, character in enumerate(text) if character == "\n"]
    try:
        root = read_nodes(text)
    except JsonFault as fault:
        return (_syntax_error(lines, fault.at, f"This is no JSON: {fault}"),)
    if root.kind != "object":
        return (_syntax_error(lines, root.start, "A policy is a JSON object."),)
    subject = read_subject(text, root, validated_as, own_services, resource_type, as_aws=as_aws)
    found = [
        finding
        for check in (*CHECKS, *(() if as_aws else OWN_CHECKS))
        if validated_as in check.validated_as
        for finding in _findings(check, check.find(subject), lines)
    ]
    return tuple(sorted(dict.fromkeys(found), key=lambda one: (_ORDER[one.type], one.location.start.offset)))


def _syntax_error(lines: Sequence[int], at: int, message: str) -> ValidationFinding:
    position = _position(lines, at)
    location = FindingLocation((), position, position)
    return ValidationFinding(FindingType.ERROR, "JSON_SYNTAX_ERROR", message, location)


def _findings(
    check: PolicyCheck, issues: Iterator[Issue], lines: Sequence[int]
) -> Iterator[ValidationFinding]:
    for issue in issues:
        location = _location(lines, issue.node)
        yield ValidationFinding(check.type, check.code, issue.message, location, issue.suggestion)


def _location(lines: Sequence[int], node: JsonNode) -> FindingLocation:
    return FindingLocation(node.path, _position(lines, node.start), _position(lines, node.end))


def _position(lines: Sequence[int], offset: int) -> TextPosition:
    """`lines` are the offsets of the newlines."""
    before = bisect_left(lines, offset)
    return TextPosition(before + 1, offset - (lines[before - 1] + 1 if before else 0), offset)
