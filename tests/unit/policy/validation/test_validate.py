"""No findings on AWS's own policies but those that are listed, each of which was looked at by hand.

tests/cases/validation/aws_managed.json has, by issue code, what is written where the finding is. What is there: actions
and services that AWS has retired, or that the reference does not have yet; ARNs of no resource type; actions beside a
condition key that the reference does not have for them; an ARN of no account; and policies that pass every role, or
limit it with IfExists. Suggestions, sizes and checks of our own are of no interest here.
"""

import json
from collections import defaultdict
from pathlib import Path
from time import process_time

import pytest

from broker.access.aws_managed import all_aws_managed
from broker.policy.services import facts_of
from broker.policy.validation import FindingType, ValidatedAs, validate_policy

FILE = Path(__file__).parents[3] / "cases" / "validation" / "aws_managed.json"
LISTED = json.loads(FILE.with_name("aws_issue_codes.json").read_text("utf-8"))
TOO_LONG = "POLICY_SIZE_EXCEEDS_IDENTITY_POLICY_QUOTA"  # AWS's own may be longer


def test_awss_policies_have_no_findings_but_those_looked_at_by_hand() -> None:
    found = defaultdict(set)
    for policy in all_aws_managed():
        text = policy.document
        for finding in validate_policy(text, ValidatedAs.IDENTITY, as_aws=True):
            start, end = finding.location.start.offset, finding.location.end.offset
            written = json.loads(text[start:end])
            if finding.code == "INVALID_SERVICE_IN_ACTION":
                written = written.partition(":")[0]
            if finding.type is not FindingType.SUGGESTION and finding.code != TOO_LONG:
                found[finding.code].add(f"{policy.policy_name}" if written == "*" else str(written))
    assert {code: sorted(texts) for code, texts in sorted(found.items())} == json.loads(
        FILE.read_text("utf-8")
    )


@pytest.mark.parametrize(("code", "names"), sorted(LISTED["on_managed_policies"].items()))
def test_what_aws_documents_of_its_own_policies_is_found(code: str, names: list[str]) -> None:
    texts = {policy.policy_name: policy.document for policy in all_aws_managed()}
    for name in names:
        found = validate_policy(texts[name], ValidatedAs.IDENTITY, as_aws=True)
        assert code in {one.code for one in found}, name


def test_an_action_that_is_found_to_match_star_only_does_so_in_the_engine() -> None:
    for action in ("s3:ListAllMyBuckets", "iam:ListRoles", "ec2:DescribeInstances"):
        statement = {"Effect": "Allow", "Action": action, "Resource": "arn:aws:s3:::reports"}
        text = json.dumps({"Version": "2012-10-17", "Statement": statement})
        codes = {finding.code for finding in validate_policy(text, ValidatedAs.IDENTITY)}
        assert ("UNSUPPORTED_RESOURCE_FOR_ACTION" in codes) is not facts_of(action).supports_resources


def test_the_kind_of_resource_that_was_meant_is_suggested() -> None:
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::lake"}
    text = json.dumps({"Version": "2012-10-17", "Statement": statement})
    assert [one.suggestion for one in validate_policy(text, ValidatedAs.IDENTITY)] == ["arn:*:s3:::*/*"]


def test_no_text_takes_more_time_than_its_length_is_worth() -> None:
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "${" * 15_000}
    text = json.dumps({"Version": "2012-10-17", "Statement": statement})
    started = process_time()
    validate_policy(text, ValidatedAs.IDENTITY)
    assert process_time() - started < 1
