"""Findings of policy validation as lines on the terminal."""

from collections.abc import Iterable, Sequence

from broker.commands.refusing import DONE, REFUSED, printable
from broker.policy.validation import FindingType, ValidationFinding

WORDS = {
    FindingType.ERROR: "error",
    FindingType.SECURITY_WARNING: "security warning",
    FindingType.WARNING: "warning",
    FindingType.SUGGESTION: "suggestion",
}


def finding_line(where: str, finding: ValidationFinding) -> str:
    """`where` is a file; line and column count from 1."""
    start = finding.location.start
    mend = f" Write: {finding.suggestion}" if finding.suggestion else ""
    text = f"{WORDS[finding.type]} {finding.code}: {finding.message}{mend}"
    return printable(f"{where}:{start.line}:{start.column + 1}: {text}")


def print_findings(where: str, findings: Iterable[ValidationFinding]) -> None:
    for finding in findings:
        print(finding_line(where, finding))


def worst_status(findings: Sequence[ValidationFinding], is_strict: bool) -> int:
    """1 for errors, and for warnings where `is_strict`; suggestions are no reason."""
    refused = {FindingType.ERROR}
    if is_strict:
        refused |= {FindingType.SECURITY_WARNING, FindingType.WARNING}
    return REFUSED if any(finding.type in refused for finding in findings) else DONE
