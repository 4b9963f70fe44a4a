"""The one runner of tests/cases/validation/checks.json: each check finds what it should, and not what it should not.

A case is what the policy is validated as, and what differs from its base: `statement` is laid over the base statement
(null takes an element away), `statements` are several such, `policy` is laid over the document; `text` is the whole
text, `resource_type` what it is attached to, `repeat` the number of statements, with Sids of their own.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from broker.policy.validation import CHECKS, OWN_CHECKS, ValidatedAs, validate_policy

FILE = Path(__file__).parents[3] / "cases" / "validation" / "checks.json"
DATA = json.loads(FILE.read_text("utf-8"))
CASES = [
    (code, which == "found", validated_as, changes)
    for code, cases in DATA["checks"].items()
    for which in ("found", "not_found")
    for validated_as, changes in cases[which]
]


def laid_over(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in {**base, **changes}.items() if value is not None}


def text_of(validated_as: str, changes: dict[str, Any]) -> str:
    if "text" in changes:
        return str(changes["text"])
    base = DATA["bases"][validated_as]
    statements = changes.get("statements", [changes.get("statement", {})])
    if "repeat" in changes:
        statements = [{"Sid": f"S{number}"} for number in range(changes["repeat"])]
    document = {"Version": "2012-10-17", "Statement": [laid_over(base, one) for one in statements]}
    return json.dumps(laid_over(document, changes.get("policy", {})))


@pytest.mark.parametrize(("code", "is_found", "validated_as", "changes"), CASES)
def test_a_check_finds_what_it_should_and_nothing_else(
    code: str, is_found: bool, validated_as: str, changes: dict[str, Any]
) -> None:
    text = text_of(validated_as, changes)
    found = {
        finding.code
        for finding in validate_policy(text, ValidatedAs(validated_as), (), changes.get("resource_type", ""))
    }
    assert (code in found) is is_found, (text, found)


@pytest.mark.parametrize("validated_as", ValidatedAs)
def test_the_base_of_each_type_has_no_findings(validated_as: ValidatedAs) -> None:
    assert validate_policy(text_of(validated_as.value, {}), validated_as, as_aws=True) == ()


def test_each_check_has_a_case_found_and_a_case_not_found() -> None:
    assert set(DATA["checks"]) == {check.code for check in (*CHECKS, *OWN_CHECKS)}
    for code, cases in DATA["checks"].items():
        assert cases["found"] and cases["not_found"], code
