"""The checks are those of AWS's page, with its finding types (tests/cases/validation/aws_issue_codes.json)."""

import json
from collections import Counter
from pathlib import Path

from broker.policy.validation import CHECKS, OWN_CHECKS

FILE = Path(__file__).parents[3] / "cases" / "validation" / "aws_issue_codes.json"
LISTED = json.loads(FILE.read_text("utf-8"))
AWS = {code: kind for kind, codes in LISTED["codes"].items() for code in codes}
OURS = {check.code: check.type.value for check in CHECKS}


def test_each_issue_code_of_aws_has_a_check() -> None:
    assert sorted(AWS.keys() - OURS.keys()) == []


def test_no_check_has_an_issue_code_that_aws_has_not() -> None:
    assert sorted(OURS.keys() - AWS.keys()) == []


def test_a_finding_is_as_serious_as_on_aws() -> None:
    kinds = {(check.code, check.type.value) for check in CHECKS}
    assert {(code, kind) for code, kind in kinds if AWS[code] != kind} == set()


def test_a_code_that_aws_withdrew_is_found_no_more() -> None:
    assert len(LISTED["withdrawn"]) == 4
    assert not set(LISTED["withdrawn"]) & (OURS.keys() | AWS.keys())


def test_a_check_of_our_own_takes_no_code_of_aws() -> None:
    assert not {check.code for check in OWN_CHECKS} & (AWS.keys() | set(LISTED["withdrawn"]))


def test_a_policy_is_looked_at_by_one_row_of_a_code() -> None:
    times = Counter((check.code, kind) for check in CHECKS for kind in check.validated_as)
    assert [pair for pair, number in times.items() if number > 1] == []
