"""What is certain of a decision where some condition keys are not known; the law is checked against all that may be."""

import json
from itertools import product
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from broker.names.principal import IamUser
from broker.policy import (
    NO_POLICIES,
    AccessRequest,
    Context,
    Extremes,
    Layers,
    PolicyKind,
    PolicySet,
    Source,
    SourceKind,
    compile_policies,
    decide,
    parse_policy,
)

ACCOUNT = "111122223333"
ALICE = IamUser(ACCOUNT, "alice", "AIDAALICE", "/")
SOURCE = Source(SourceKind.INLINE, "one")
UNKNOWN = ("aws:sourcevpc", "s3:prefix")
VALUES: tuple[tuple[str, ...] | None, ...] = (None, ("a",), ("b",))


def policies(*statements: dict[str, Any]) -> PolicySet:
    if not statements:
        return NO_POLICIES
    text = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    return compile_policies([(SOURCE, parse_policy(text, PolicyKind.SESSION))])


def statement(effect: str = "Allow", on: str = "*", **condition: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"Effect": effect, "Action": "s3:GetObject", "Resource": on}
    return {**made, "Condition": condition} if condition else made


def request(**keys: str) -> AccessRequest:
    return AccessRequest(ALICE, "s3:GetObject", "arn:aws:s3:::a/a", ACCOUNT, Context(keys))


def is_known(key: str) -> bool:
    return key not in UNKNOWN


def answer(*statements: dict[str, Any], boundary: PolicySet | None = None, **keys: str) -> bool | None:
    layers = Layers(policies(*statements), boundary=boundary)
    return Extremes(layers, is_known).is_allowed(request(**keys))


def test_what_reads_only_known_keys_is_certain() -> None:
    assert answer(statement()) is True
    assert answer() is False
    office = {"StringEquals": {"aws:username": "alice"}}
    assert answer(statement(**office), **{"aws:username": "alice"}) is True
    assert answer(statement(**office), **{"aws:username": "bob"}) is False


def test_an_allow_on_an_unknown_key_is_not_certain_but_where_another_allows() -> None:
    of_vpc = statement(StringEquals={"aws:SourceVpc": "a"})
    assert answer(of_vpc) is None
    assert answer(of_vpc, statement()) is True
    assert answer(of_vpc, statement("Deny")) is False


def test_a_deny_on_an_unknown_key_is_not_certain_but_where_nothing_allows() -> None:
    of_vpc = statement("Deny", StringNotEquals={"aws:SourceVpc": "a"})
    assert answer(statement(), of_vpc) is None
    assert answer(of_vpc) is False


def test_a_missing_key_is_not_the_same_as_an_unknown_one() -> None:
    for condition in ({"Null": {"aws:SourceVpc": "true"}}, {"StringEqualsIfExists": {"aws:SourceVpc": "a"}}):
        assert answer(statement(**condition)) is None


def test_a_known_condition_that_fails_makes_the_unknown_one_beside_it_irrelevant() -> None:
    both = statement(StringEquals={"aws:SourceVpc": "a", "aws:username": "bob"})
    assert answer(both, **{"aws:username": "alice"}) is False


def test_an_unknown_variable_in_a_resource_or_an_operand_is_not_certain() -> None:
    assert answer(statement(on="arn:aws:s3:::a/${s3:prefix}")) is None
    assert answer(statement(StringEquals={"aws:username": "${s3:prefix}"}), **{"aws:username": "a"}) is None


def test_each_layer_has_its_own_unknown_keys() -> None:
    limited = policies(statement(StringEquals={"aws:SourceVpc": "a"}))
    assert answer(statement(), boundary=limited) is None
    assert answer(boundary=limited) is False


CONDITIONS = st.sampled_from(
    [
        {},
        *(
            {operator: {key: "a"}}
            for operator in ("StringEquals", "StringNotEquals", "StringEqualsIfExists", "StringLike")
            for key in ("aws:SourceVpc", "s3:prefix", "aws:username")
        ),
        {"Null": {"s3:prefix": "true"}},
        {"ForAllValues:StringEquals": {"s3:prefix": "a"}},
        {"StringEquals": {"aws:username": "${s3:prefix}"}},
    ]
)
STATEMENTS = st.lists(
    st.builds(
        lambda effect, on, condition: statement(effect, on, **condition),
        st.sampled_from(["Allow", "Deny"]),
        st.sampled_from(["*", "arn:aws:s3:::b/*", "arn:aws:s3:::a/${s3:prefix}"]),
        CONDITIONS,
    ),
    max_size=4,
)


@given(STATEMENTS, STATEMENTS)
def test_what_is_certain_is_so_whatever_the_unknown_keys_hold(
    identity: list[dict[str, Any]], boundary: list[dict[str, Any]]
) -> None:
    layers = Layers(policies(*identity), boundary=policies(*boundary))
    found = Extremes(layers, is_known).is_allowed(request(**{"aws:username": "a"}))
    possible = {
        decide(request(**{"aws:username": "a", **given_keys(held)}), layers).allowed
        for held in product(VALUES, repeat=len(UNKNOWN))
    }
    if found is not None:
        assert possible == {found}


def given_keys(held: tuple[Any, ...]) -> dict[str, Any]:
    return {key: values for key, values in zip(UNKNOWN, held, strict=True) if values is not None}
