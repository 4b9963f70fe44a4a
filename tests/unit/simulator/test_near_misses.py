"""Near misses: the statements that one condition, or the resource, keeps from changing the outcome."""

from typing import Any

import pytest

from broker.protocol.shapes import iam as shapes
from tests.unit.simulator.simulating import A, B, allow, deny, document, entry, govern, one, principal

OFFICE = {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}
TEAM = {"StringEquals": {"aws:PrincipalTag/team": "red"}}


def asked(*statements: dict[str, Any], **fields: Any) -> shapes.SimulatePrincipalPolicyRequest:
    fields = {"resource_arns": (A,), "action_names": ("s3:ListMultipartUploadParts",), **fields}
    return principal(policy_input_list=(document(*statements),), show_near_misses=True, **fields)


async def misses(iam: Any, request: Any) -> list[tuple[str, str, tuple[str, ...], tuple[str, ...]]]:
    result = await one(iam, request)
    return [(miss.effect, miss.element, miss.found, miss.wanted) for miss in result.near_misses]


async def test_one_condition_that_fails_is_named_with_both_values(iam, alice):
    statement = allow("s3:*", Condition=OFFICE, Sid="Office")
    address = entry("aws:SourceIp", "198.51.100.7", kind="ip")
    result = await one(iam, asked(statement, context_entries=(address,)))
    (miss,) = result.near_misses
    assert (miss.sid, miss.effect, miss.element, miss.operator) == (
        "Office",
        "Allow",
        "aws:SourceIp",
        "IpAddress",
    )
    assert (miss.found, miss.wanted) == (("198.51.100.7",), ("192.0.2.0/24",))
    assert (miss.source_policy_id, miss.source_policy_type) == ("PolicyInputList.1", "IAM Policy")


async def test_a_key_that_the_question_has_not_was_found_to_be_nothing(iam, alice):
    assert await misses(iam, asked(allow("s3:*", Condition=OFFICE))) == [
        ("Allow", "aws:SourceIp", (), ("192.0.2.0/24",))
    ]


async def test_the_resource_alone_that_fails_is_named(iam, alice):
    assert await misses(iam, asked(allow("s3:*", on=B))) == [("Allow", "Resource", (A,), (B,))]
    others = {**allow("s3:*"), "NotResource": A}
    del others["Resource"]
    assert await misses(iam, asked(others)) == [("Allow", "NotResource", (A,), (A,))]


@pytest.mark.parametrize(
    "statement",
    [
        allow("s3:*", Condition={**OFFICE, **TEAM}),  # two conditions fail
        allow("s3:*", on=B, Condition=OFFICE),  # a condition and the resource
        allow("iam:*", on=A),  # another action
        allow("s3:*", on=A),  # it matches
        deny("s3:*", Condition=OFFICE),  # it would deny what nothing allows
    ],
)
async def test_what_would_not_change_the_outcome_by_one_element_is_no_near_miss(iam, alice, statement):
    assert await misses(iam, asked(statement)) == []


async def test_where_it_is_allowed_what_would_deny_is_shown(iam, alice):
    found = await misses(iam, asked(allow("s3:*"), deny("s3:*", Condition=OFFICE)))
    assert found == [("Deny", "aws:SourceIp", (), ("192.0.2.0/24",))]


async def test_where_a_statement_denies_no_allow_would_help(iam, alice):
    assert await misses(iam, asked(deny("s3:*"), allow("s3:*", Condition=OFFICE))) == []


async def test_nobody_sees_them_who_does_not_ask(iam, alice):
    request = principal(policy_input_list=(document(allow("s3:*", Condition=OFFICE)),))
    assert (await one(iam, request)).near_misses == ()


async def test_an_organizations_policy_shows_nothing(iam, alice):
    await govern(iam.store, allow("iam:*"))
    assert await misses(iam, asked(allow("s3:*", Condition=OFFICE))) == []
