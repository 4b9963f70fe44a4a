"""Findings in a policy text, for its author: what is malformed, and what `broker.policy.validation` finds."""

import re
from collections.abc import Collection, Iterator

import msgspec

from broker.policy.document import parse_policy
from broker.policy.elements import MalformedPolicy, Policy, PolicyKind
from broker.policy.validation import (
    LONGEST_VALIDATED,
    VALIDATED_AS,
    FindingType,
    ValidationFinding,
    validate_policy,
)

_PLACE = re.compile(r"line (\d+)(?:, column (\d+))?: (.*)", re.DOTALL)
MALFORMED = "MALFORMED_POLICY"


class PolicyFinding(msgspec.Struct, frozen=True):
    """`line` and `column` count from 1, and are None where the finding is of no one place.

    `code` is Access Analyzer's issue code, one of ours, or MALFORMED for what cannot be stored. `suggestion` is what
    could be written instead, "" where nothing is obvious.
    """

    type: FindingType
    code: str
    message: str
    line: int | None = None
    column: int | None = None
    suggestion: str = ""

    @property
    def is_error(self) -> bool:
        return self.type is FindingType.ERROR


class PolicyReading(msgspec.Struct, frozen=True):
    """What was read of a text: the policy, None where it is malformed, and the findings, the most serious first."""

    policy: Policy | None
    findings: tuple[PolicyFinding, ...]


def read_for_author(
    text: str, kind: PolicyKind, *, is_managed: bool = False, own_services: Collection[str] = ()
) -> PolicyReading:
    """Of malformed text AWS's refusal is the first finding."""
    policy, refusals = None, []
    try:
        policy = parse_policy(text, kind, is_managed=is_managed, is_new=True, own_services=own_services)
    except MalformedPolicy as error:
        refusals = [_refusal(error)]
    return PolicyReading(policy, (*refusals, *_validated(text, kind, own_services, bool(refusals))))


def _refusal(error: MalformedPolicy) -> PolicyFinding:
    """AWS's message; and behind it what AWS does not say: what is wrong, and where."""
    place = _PLACE.fullmatch(error.fault)
    if place is None:
        return PolicyFinding(FindingType.ERROR, MALFORMED, f"{error.message} {error.fault}".strip())
    line, column, what = place.groups()
    message = f"{error.message} {what}"
    return PolicyFinding(
        FindingType.ERROR, MALFORMED, message, int(line), int(column) if column is not None else None
    )


def _validated(
    text: str, kind: PolicyKind, own_services: Collection[str], is_refused: bool
) -> Iterator[PolicyFinding]:
    """A syntax error of JSON is in the refusal already. The longest texts are not validated: a page has to answer."""
    if len(text) > LONGEST_VALIDATED:
        return
    for finding in validate_policy(text, VALIDATED_AS[kind], own_services):
        if not (is_refused and finding.code == "JSON_SYNTAX_ERROR"):
            yield _shown(finding)


def _shown(finding: ValidationFinding) -> PolicyFinding:
    start = finding.location.start
    return PolicyFinding(
        finding.type, finding.code, finding.message, start.line, start.column + 1, finding.suggestion
    )
