import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.policy.conditions import OPERATORS, compile_condition, spell
from broker.policy.elements import Condition
from broker.policy.operands import (
    is_storable_date,
    read_address,
    read_bytes,
    read_date,
    read_network,
    read_number,
)

KEY = "aws:Key"


def holds(operator: str, wanted: list[str], had: list[str] | None, *, denies: bool = False) -> bool:
    test = compile_condition(Condition(operator, KEY, tuple(wanted)), variables=True, unknown=denies)
    return test({} if had is None else {"aws:key": tuple(had)})


@pytest.mark.parametrize(
    ("operator", "wanted", "match", "other"),
    [
        ("StringEquals", "a*", "a*", "ab"),
        ("StringEqualsIgnoreCase", "Straße", "STRASSE", "strase"),
        ("StringLike", "a*c?", "abbcd", "abbc"),
        ("NumericEquals", "5", "5.0", "5.01"),
        ("NumericLessThan", "10", "9", "10"),
        ("NumericLessThanEquals", "10", "10", "10.1"),
        ("NumericGreaterThan", "9007199254740992", "9007199254740993", "9007199254740992"),
        ("NumericGreaterThanEquals", "-1", "-1", "-2"),
        ("DateEquals", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00", "2026-01-01T00:00:01Z"),
        ("DateLessThan", "2026-01-01", "1767225599", "1767225600"),
        ("DateLessThanEquals", "2026-01-01", "2026", "2026-01-01T00:00:00.001Z"),
        ("DateGreaterThan", "1767225600", "2026-01-01T00:00:01Z", "2026-01-01T00:00:00Z"),
        ("DateGreaterThanEquals", "2026-01", "2026-01-01T00:00Z", "2025-12-31T23:59:59Z"),
        ("Bool", "true", "TRUE", "false"),
        ("BinaryEquals", "QmluYXJ5", "QmluYXJ5", "QmluYXJ6"),
        ("IpAddress", "203.0.113.0/24", "203.0.113.7", "203.0.114.7"),
        ("IpAddress", "2001:db8::/32", "2001:DB8::1", "2001:db9::1"),
        ("IpAddress", "203.0.113.7", "::ffff:203.0.113.7", "203.0.113.8"),
        ("IpAddress", "203.0.113.0/24", "::ffff:cb00:7107", "::ffff:cb00:7207"),
        ("IpAddress", "::ffff:203.0.113.7", "203.0.113.7", "203.0.113.8"),
        ("IpAddress", "::ffff:10.0.0.0/104", "10.255.0.1", "11.0.0.1"),
        ("IpAddress", "::FFFF:A00:0/104", "10.255.0.1", "11.0.0.1"),
        ("IpAddress", "::ffff:10.1.2.3/104", "::ffff:10.0.0.1", "::ffff:11.0.0.1"),
        ("IpAddress", "::ffff:0:0/96", "192.0.2.1", "::fffe:c000:201"),
        ("IpAddress", "::/0", "2001:db8::1", "192.0.2.1"),
        ("IpAddress", "::/0", "::fffe:0:1", "::ffff:192.0.2.1"),
        ("IpAddress", "0.0.0.0/0", "::ffff:192.0.2.1", "2001:db8::1"),
        ("ArnEquals", "arn:aws:sns:*:1:t*", "arn:aws:sns:eu:1:topic", "arn:aws:sns:eu:2:topic"),
        ("ArnLike", "arn:aws:sns:*:1:t?", "arn:aws:sns:eu:1:tt", "arn:aws:sns:eu:1:t"),
    ],
)
def test_an_operator_matches_one_value_and_not_the_other(
    operator: str, wanted: str, match: str, other: str
) -> None:
    assert holds(operator, [wanted], [match])
    assert not holds(operator, [wanted], [other])
    assert holds(operator, ["zzz", wanted], [match])
    assert not holds(operator, [wanted], None)
    assert holds(operator + "IfExists", [wanted], None)
    assert not holds(operator + "IfExists", [wanted], [other])


@pytest.mark.parametrize("wanted", ["10.0.0.0/8", "::ffff:10.0.0.0/104", "::ffff:a00:0/104"])
@pytest.mark.parametrize("inside", ["10.1.2.3", "::ffff:10.1.2.3", "::ffff:a01:203"])
@pytest.mark.parametrize("outside", ["11.1.2.3", "::ffff:11.1.2.3", "2001:db8::1"])
def test_an_ipv4_address_is_inside_or_outside_whatever_it_and_the_range_are_written_as(
    wanted: str, inside: str, outside: str
) -> None:
    assert holds("IpAddress", [wanted], [inside]) and not holds("NotIpAddress", [wanted], [inside])
    assert holds("NotIpAddress", [wanted], [outside]) and not holds("IpAddress", [wanted], [outside])


NEGATED = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "NumericNotEquals": "NumericEquals",
    "DateNotEquals": "DateEquals",
    "NotIpAddress": "IpAddress",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
}


def test_every_negated_operator_has_its_positive_row() -> None:
    assert {name for name, row in OPERATORS.items() if row.negated} == set(NEGATED)


@pytest.mark.parametrize(("negated", "positive"), NEGATED.items())
def test_a_negated_operator_is_true_of_a_missing_key_and_the_opposite_else(
    negated: str, positive: str
) -> None:
    value = {
        "Numeric": "5",
        "Date": "2026-01-01",
        "IpAddre": "10.0.0.1",
        "NotIpAd": "10.0.0.1",
        "Arn": "arn:aws:s3:::b",
    }
    same = next((text for start, text in value.items() if negated.startswith(start)), "x")
    assert holds(negated, [same], None)
    assert holds(positive, [same], [same])
    assert not holds(negated, [same], [same])


@pytest.mark.parametrize(
    ("operator", "wanted", "had"),
    [
        ("NumericEquals", "five", "5"),
        ("NumericEquals", "5", "five"),
        ("NumericNotEquals", "5", "five"),
        ("DateLessThan", "soon", "2026-01-01"),
        ("DateLessThan", "2026-13-01", "2026-01-01"),
        ("Bool", "yes", "true"),
        ("BinaryEquals", "QmluYXJ5", "%%%"),
        ("IpAddress", "10.0.0.0/33", "10.0.0.1"),
        ("NotIpAddress", "10.0.0.0/8", "nowhere"),
        ("ArnLike", "no-arn", "arn:aws:s3:::b"),
        ("Null", "perhaps", "x"),
        ("NoSuchOperator", "x", "x"),
    ],
)
def test_what_cannot_be_evaluated_denies_in_a_deny_and_does_not_allow_in_an_allow(
    operator: str, wanted: str, had: str
) -> None:
    assert not holds(operator, [wanted], [had])
    assert holds(operator, [wanted], [had], denies=True)


def test_several_values_need_a_set_operator() -> None:
    assert not holds("StringEquals", ["a"], ["a", "b"])
    assert holds("StringEquals", ["c"], ["a", "b"], denies=True)


@pytest.mark.parametrize(
    ("operator", "wanted", "had", "expected"),
    [
        ("ForAllValues:StringEquals", ["a", "b"], ["a", "b"], True),
        ("ForAllValues:StringEquals", ["a", "b"], ["a", "c"], False),
        ("ForAllValues:StringEquals", ["a"], None, True),
        ("ForAllValues:StringEquals", ["a"], [], True),
        ("ForAllValues:StringEquals", ["a"], [""], True),
        ("ForAllValues:StringNotEquals", ["a"], ["b", "c"], True),
        ("ForAllValues:StringNotEquals", ["a"], ["a", "c"], False),
        ("ForAnyValue:StringEquals", ["a"], ["c", "a"], True),
        ("ForAnyValue:StringEquals", ["a"], ["c"], False),
        ("ForAnyValue:StringEquals", ["a"], None, False),
        ("ForAnyValue:StringEquals", ["a"], [], False),
        ("ForAnyValue:StringEqualsIfExists", ["a"], None, True),
        ("ForAnyValue:StringNotEquals", ["a"], ["a", "b"], True),
        ("ForAnyValue:StringNotEquals", ["a"], ["a"], False),
        ("ForAnyValue:StringLike", ["a*"], ["b", "ab"], True),
        ("Null", ["true"], None, True),
        ("Null", ["true"], [], True),
        ("Null", ["true"], ["x"], False),
        ("Null", ["false"], ["x"], True),
        ("Null", ["false"], None, False),
        ("Null", ["true", "false"], None, True),
    ],
)
def test_set_operators_and_null(
    operator: str, wanted: list[str], had: list[str] | None, *, expected: bool
) -> None:
    assert holds(operator, wanted, had) is expected


OPERANDS = st.sampled_from(["a", "5", "2026-01-01", "10.0.0.0/8", "10.1.2.3", "true", "arn:aws:s3:::b", "*"])


def test_an_operator_takes_quantifier_and_if_exists_apart_and_null_takes_no_if_exists() -> None:
    spelling = spell("ForAnyValue:ArnNotLikeIfExists")
    assert spelling is not None
    assert (spelling.quantifier, spelling.name, spelling.if_exists) == ("ForAnyValue:", "ArnNotLike", True)
    assert spell("NullIfExists") is None
    assert spell("stringequals") is None


def test_a_variable_without_a_value_equals_nothing() -> None:
    assert not holds("StringEquals", ["${aws:nobody}"], [""])
    assert holds("StringNotEquals", ["${aws:nobody}"], ["x"])
    assert holds("StringLike", ["${aws:Key}"], ["x*"])
    assert not holds("ForAnyValue:StringLike", ["${aws:nobody}*"], ["x"])


@pytest.mark.parametrize(
    ("operator", "value"),
    [
        ("NumericLessThanEquals", "5"),
        ("NumericNotEquals", "5"),
        ("DateEquals", "2026-01-01"),
        ("Bool", "true"),
        ("BinaryEquals", "QmluYXJ5"),
        ("IpAddress", "10.0.0.1"),
        ("ForAnyValue:NumericEquals", "5"),
    ],
)
def test_operators_other_than_those_of_strings_and_arns_know_no_variables(operator: str, value: str) -> None:
    """IAM User Guide, "Policy variables": there such a text is malformed, and cannot be evaluated."""
    for written in ("${aws:Key}", f"${{aws:nobody, '{value}'}}"):
        assert not holds(operator, [written], [value])
        assert holds(operator, [written], [value], denies=True)
    assert holds("StringEquals", ["${aws:Key}"], [value])


@settings(max_examples=200, deadline=None)
@given(
    name=st.sampled_from(sorted(OPERATORS)),
    wanted=st.lists(OPERANDS, max_size=3),
    had=st.none() | st.lists(OPERANDS, max_size=3),
)
def test_a_deny_is_never_weaker_than_an_allow(name: str, wanted: list[str], had: list[str] | None) -> None:
    for operator in (name, f"{name}IfExists", f"ForAllValues:{name}", f"ForAnyValue:{name}"):
        assert holds(operator, wanted, had, denies=True) or not holds(operator, wanted, had)


def test_operands_are_read_or_none() -> None:
    assert read_number("1e5") is None
    assert read_number("\u0661") is None
    assert read_date("2026-02-30") is None
    assert read_date("2026-01-01T00:00:00+01:00") == read_date("2025-12-31T23:00:00Z")
    assert read_bytes("!") is None
    assert read_address("10.0.0.256") is None
    assert read_network("10.0.0.1/8") == read_network("10.0.0.0/8")
    assert is_storable_date("2019-07-01T13:20:15Z")
    assert not is_storable_date("sdfdsf")


@pytest.mark.parametrize("operator", ["StringEquals", "StringLike", "ForAnyValue:StringEqualsIgnoreCase"])
def test_variables_bring_in_no_more_text_than_could_be_equal(operator: str) -> None:
    """Twenty kilobytes of policy made half a gigabyte, at each decision."""
    test = compile_condition(
        Condition(operator, "a:key", ("${a:big}" * 2500,)), variables=True, unknown=False
    )
    by_key = {"a:big": ("x" * 200_000,), "a:key": ("x" * 1000,)}
    tracemalloc.start()
    assert test(by_key) is False
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000
