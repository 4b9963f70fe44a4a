"""What Organizations refuses as a resource control policy has an error here, and what has none, it takes."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from broker.policy.document import parse_policy
from broker.policy.elements import MalformedPolicy, PolicyKind
from broker.policy.validation import FindingType, ValidatedAs, validate_policy

# AWS's list of services; Organizations here takes others, too, whose resources a policy then limits.
OF_OTHERS = {"RCP_SYNTAX_ERROR_ACTION"}
STATEMENTS = st.fixed_dictionaries(
    {
        "Effect": st.sampled_from(["Allow", "Deny"]),
        "Action": st.sampled_from(["*", "s3:*", "s*:Get", ["s3:GetObject", "*"], ["sts:AssumeRole"]]),
        "Resource": st.sampled_from(["*", "arn:aws:s3:::reports/*"]),
    },
    optional={
        "Principal": st.sampled_from(
            ["*", {"AWS": "*"}, {"AWS": "111122223333"}, {"AWS": "*", "Service": "s3.amazonaws.com"}]
        ),
        "NotPrincipal": st.just({"AWS": "111122223333"}),
        "NotAction": st.just("s3:GetObject"),
        "Condition": st.just({"Bool": {"aws:SecureTransport": "false"}}),
        "Sid": st.sampled_from(["a", "a b"]),
    },
)


def text_of(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def is_taken(text: str) -> bool:
    try:
        parse_policy(text, PolicyKind.RCP, is_new=True)
    except MalformedPolicy:
        return False
    return True


def errors(text: str) -> set[str]:
    found = validate_policy(text, ValidatedAs.RCP)
    return {one.code for one in found if one.type is FindingType.ERROR}


@given(st.lists(STATEMENTS, min_size=1, max_size=2))
def test_organizations_refuses_what_has_an_error_and_nothing_else(statements: list[dict[str, Any]]) -> None:
    text = text_of(*statements)
    assert is_taken(text) is not bool(errors(text)), errors(text)


def test_a_service_that_policies_of_aws_do_not_reach_is_an_error_of_the_text_only() -> None:
    deny = {"Effect": "Deny", "Principal": "*", "Action": "ec2:StartInstances", "Resource": "*"}
    assert errors(text_of(deny)) == OF_OTHERS
    assert is_taken(text_of(deny))
