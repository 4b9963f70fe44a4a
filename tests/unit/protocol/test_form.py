"""Forms: what is decoded, which of two values counts, and what a hostile name achieves (nothing)."""

from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.errors import Refusal
from broker.protocol.form import in_order, members_of, nest, parse_form

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
VALUES = st.text(st.characters(codec="utf-8"), max_size=12)


def refusal_of(body: bytes, limit: int = 100) -> Refusal:
    with pytest.raises(Refusal) as caught:
        parse_form(body, limit)
    return caught.value


@given(st.lists(st.tuples(NAMES, VALUES), max_size=6))
def test_what_was_encoded_comes_back_and_the_first_of_a_name_counts(pairs: list[tuple[str, str]]) -> None:
    expected: dict[str, str] = {}
    for name, value in pairs:
        expected.setdefault(name, value)
    assert parse_form(urlencode(pairs).encode()) == expected


@given(st.text("ab=&+.%2C3é", max_size=24))
def test_a_form_is_read_as_the_standard_library_reads_it_or_refused(text: str) -> None:
    try:
        ours = parse_form(text.encode())
    except Refusal as refusal:
        assert refusal.code == "MalformedQueryString"
        return
    theirs: dict[str, str] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        theirs.setdefault(name, value)
    theirs.pop("", None)
    assert ours == theirs


@given(st.text("a%2C3AFaf5", max_size=16))
def test_the_escapes_of_an_arn_are_read_as_any_others(text: str) -> None:
    def read(name: str) -> object:
        try:
            return parse_form(f"{name}={text}".encode())[name]
        except Refusal as refusal:
            return refusal.code

    assert read("RoleArn") == read("Name")


def test_a_parameter_without_an_equals_sign_is_an_empty_value() -> None:
    assert parse_form(b"flag&Action=A&&=x&empty=") == {"flag": "", "Action": "A", "empty": ""}


def test_escapes_are_read_in_either_case_and_beside_raw_utf8() -> None:
    assert parse_form("a=%c3%A4%2f+é%00".encode()) == {"a": "ä/ é\0"}


@pytest.mark.parametrize(
    "body", [b"a=%", b"a=%4", b"a=%zz", b"%zz=a", b"a=%C3", b"a=\xff", b"a=%ED%A0%80", b"a=%+1"]
)
def test_broken_escapes_and_broken_utf8_are_refused(body: bytes) -> None:
    refusal = refusal_of(body)
    assert refusal.code == "MalformedQueryString"
    assert refusal.message == "The query string contains a syntax error."


def test_more_parameters_than_the_limit_are_refused_before_they_are_kept() -> None:
    assert len(parse_form(b"&".join(b"a%d=1" % number for number in range(100)), 100)) == 100
    assert "more than 100" in refusal_of(b"&".join(b"a=1" for _ in range(101))).reason


def test_dotted_names_grow_into_trees_only_below_known_roots() -> None:
    parameters = {"Tags.member.1.Key": "a", "Other.member.1": "b", "Name": "c", "Tags.member.2.Key": "d"}
    grown = nest(parameters, frozenset({"Name"}), frozenset({"Tags"}))
    assert grown["Tags"] == {"member": {"1": {"Key": "a"}, "2": {"Key": "d"}}}
    assert "Other" not in grown


@pytest.mark.parametrize(
    "names",
    [
        ("Name.x",),
        ("Name.member.1",),
        ("Tags.member.1", "Tags.member.1.Key"),
        ("Tags.member.1.Key", "Tags.member.1"),
        ("Tags", "Tags.member.1"),
        ("Tags." + ".".join("a" * 20),),
        ("Tags." + "." * 100_000,),
    ],
)
def test_a_known_name_with_the_wrong_structure_is_malformed(names: tuple[str, ...]) -> None:
    with pytest.raises(Refusal) as caught:
        nest(dict.fromkeys(names, "x"), frozenset({"Name"}), frozenset({"Tags"}))
    assert caught.value.code == "MalformedInput"


def test_members_come_in_numeric_order_and_gaps_are_null() -> None:
    members = {"10": "j", "2": "b", "1": "a"}
    assert list(in_order(members)) == [(1, "a"), (2, "b"), *((n, None) for n in range(3, 10)), (10, "j")]


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        (["0"], "0 is not a valid index"),
        (["01"], "Value found where not expected"),
        (["x"], "Start of list found where not expected"),
        (["-1"], "Start of list found where not expected"),
        (["１"], "Start of list found where not expected"),  # full-width digit
        (["1", "1500"], "Excessively sparse input would skip 1,499 list elements"),
        (["999999999"], "Excessively sparse input would skip 999,999,998 list elements"),
        (["9999999999"], "Index 9999999999 is illegal"),
        (["9" * 5000], f"Index {'9' * 40} is illegal"),
    ],
)
def test_an_index_that_is_none_is_malformed_in_awss_words(indices: list[str], message: str) -> None:
    with pytest.raises(Refusal) as caught:
        list(in_order(dict.fromkeys(indices, "x")))
    assert (caught.value.code, caught.value.message) == ("MalformedInput", message)


def test_a_list_may_be_empty_but_not_a_text() -> None:
    assert members_of("", "member") == {}
    for raw in ("x", {"1": "a"}, {"member": {"1": "a"}, "2": "b"}, {"member": "a"}):
        with pytest.raises(Refusal) as caught:
            members_of(raw, "member")
        assert caught.value.code == "MalformedInput"
