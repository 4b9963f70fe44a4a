"""No findings on AWS's own policies but those that are listed, each of which was looked at by hand.

tests/cases/validation/aws_managed.json has, by issue code, what is written where the finding is. What is there: actions
and services that AWS has retired, or that the reference does not have yet; ARNs of no resource type; actions beside a
condition key that the reference does not have for them; an ARN of no account; and policies that pass every role, or
limit it with IfExists. Suggestions, sizes and checks of our own are of no interest here.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from time import process_time
from typing import Any

import pytest

from broker.access.aws_managed import all_aws_managed
from broker.policy.services import facts_of
from broker.policy.validation import FindingType, ValidatedAs, validate_policy
from broker.policy.validation.reference import find_service

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


def names_of(*services: str) -> tuple[list[str], list[str]]:
    """The actions and the condition keys of services."""
    known = [(name, service) for name in services if (service := find_service(name)) is not None]
    actions = [f"{name}:{action.name}" for name, service in known for action in service.actions.values()]
    return actions, [key.key for _, service in known for key in service.condition_keys.values()]


def hard_texts() -> Iterator[tuple[str, dict[str, Any]]]:
    """What differs from a base statement; each took seconds with a check that compared all with all."""
    actions, keys = names_of("s3", "iam", "kms")
    yield "variables that are not closed", {"Resource": "${" * 15_000}
    yield "many actions and keys", {"Action": actions, "Condition": {"StringEquals": dict.fromkeys(keys, "")}}
    unknown = {f"s3:key{number}": "" for number in range(1000)}
    yield "unknown keys", {"Action": actions[:400], "Condition": {"StringEquals": unknown}}
    yield "no wildcard to the end", {"Condition": {"StringLike": {"a.b:sub": "prefix*" + "a" * 30_000}}}
    yield "values of two types", {"Condition": {"StringLike": {"aws:userid": ["", 1] * 3000}}}
    yield "many principals", {"Principal": {"AWS": ["arn:aws:sts::111122223333:assumed-role/a/b"] * 600}}


@pytest.mark.parametrize(("what", "changes"), list(hard_texts()))
@pytest.mark.parametrize("validated_as", [ValidatedAs.IDENTITY, ValidatedAs.TRUST])
def test_no_text_takes_more_time_than_its_length_is_worth(
    what: str, changes: dict[str, Any], validated_as: ValidatedAs
) -> None:
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", **changes}
    text = json.dumps({"Version": "2012-10-17", "Statement": statement})
    started = process_time()
    found = validate_policy(text, validated_as)
    assert process_time() - started < 1, what
    assert len(found) < len(text) / 4, what
