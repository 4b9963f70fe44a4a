"""The law of conditions on `*`, against the engine: what a check says of one, the engine does with every request."""

import json

from hypothesis import given
from hypothesis import strategies as st

from broker.policy.conditions import compile_condition
from broker.policy.elements import Condition
from broker.policy.validation import ValidatedAs, validate_policy

KEY, SENT = "aws:ResourceTag/team", "aws:userid"
CODES = {
    "EQUIVALENT_TO_NULL_FALSE": lambda had: had is not None,
    "EQUIVALENT_TO_NULL_TRUE": lambda had: had is None,
    "REDUNDANT_KEY_DUE_TO_WILDCARD_IN_CONDITION": lambda had: True,
    "REDUNDANT_STATEMENT_DUE_TO_WILDCARD_IN_CONDITION": lambda had: False,
}
OPERATORS = st.builds(
    "{}{}{}".format,
    st.sampled_from(["", "ForAllValues:", "ForAnyValue:"]),
    st.sampled_from(["StringLike", "StringNotLike", "StringEquals", "ArnLike"]),
    st.sampled_from(["", "IfExists"]),
)
VALUES = st.lists(st.sampled_from(["*", "**", "a", "a*", "?", ""]), min_size=1, max_size=3)
# A set operator takes an empty text for no value; a key with one value is compared by every operator.
HAD = st.one_of(st.none(), st.text(min_size=1, max_size=4).map(lambda value: (value,)))


def codes(operator: str, key: str, values: list[str]) -> list[str]:
    statement = {"Effect": "Allow", "Action": "ec2:StartInstances", "Resource": "*"}
    condition = {operator: {key: values}}
    text = json.dumps({"Version": "2012-10-17", "Statement": {**statement, "Condition": condition}})
    return [one.code for one in validate_policy(text, ValidatedAs.IDENTITY) if one.code in CODES]


def holds(operator: str, key: str, values: list[str], had: tuple[str, ...] | None) -> bool:
    test = compile_condition(Condition(operator, key, tuple(values)), variables=True, unknown=False)
    return test({} if had is None else {key.lower(): had})


@given(OPERATORS, VALUES, HAD)
def test_a_condition_on_a_star_is_met_as_its_finding_says(
    operator: str, values: list[str], had: tuple[str, ...] | None
) -> None:
    found = codes(operator, KEY, values)
    assert len(found) <= 1
    for code in found:
        assert holds(operator, KEY, values, had) is CODES[code](had)


@given(OPERATORS, VALUES, HAD.filter(bool))
def test_a_condition_on_a_key_of_every_request_is_always_met_or_never(
    operator: str, values: list[str], had: tuple[str, ...]
) -> None:
    for code in codes(operator, SENT, values):
        assert code.startswith("REDUNDANT_")
        assert holds(operator, SENT, values, had) is CODES[code](had)


@given(st.sampled_from(["StringLike", "StringNotLike"]), VALUES.filter(lambda values: "*" in values))
def test_a_star_of_a_like_operator_always_has_a_finding(operator: str, values: list[str]) -> None:
    assert len(codes(operator, KEY, values)) == 1
