import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.policy.patterns import compile_arn_glob, compile_glob, compile_resource_glob, parse_glob
from tests.growth import called, cpu_seconds

TEXTS = st.text(alphabet="ab:/", max_size=12)
PATTERNS = st.text(alphabet="ab:/*?", max_size=10)


def matches(pattern: str, text: str) -> bool:
    return compile_glob(parse_glob(pattern))(text)


def resource_matches(pattern: str, text: str) -> bool:
    return compile_resource_glob(parse_glob(pattern))(text)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("s3:getobject", "s3:getobject", True),
        ("s3:getobject", "s3:getobjects", False),
        ("*", "", True),
        ("*", "a\nb", True),
        ("s3:get*", "s3:get", True),
        ("s3:get*", "s3:put", False),
        ("*tion", "action", True),
        ("a*b*c", "aXbYbZc", True),
        ("a*b*c", "acb", False),
        ("ab*ba", "aba", False),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("a?*c", "abc", True),
        ("*?", "", False),
        ("**", "x", True),
        ("a.c", "abc", False),
        ("", "", True),
        ("", "a", False),
    ],
)
def test_a_glob_is_anchored_at_both_ends(pattern: str, text: str, *, expected: bool) -> None:
    assert matches(pattern, text) is expected


@settings(max_examples=400, deadline=None)
@given(pattern=PATTERNS, text=TEXTS)
def test_a_glob_agrees_with_a_regular_expression(pattern: str, text: str) -> None:
    expression = "".join({"*": ".*", "?": "."}.get(part, re.escape(part)) for part in pattern)
    assert matches(pattern, text) is bool(re.fullmatch(expression, text, re.DOTALL))


@settings(max_examples=400, deadline=None)
@given(
    parts=st.lists(st.text(alphabet="ab*?", max_size=4), min_size=6, max_size=7),
    text=st.text(alphabet="ab:", min_size=5, max_size=14),
)
def test_a_resource_agrees_with_its_rule_written_as_a_regular_expression(parts: list[str], text: str) -> None:
    front, last = parts[:5], ":".join(parts[5:])
    expressions = [
        "".join(
            (".*" if place == len(part) - 1 else "[^:]*") if sign == "*" else "[^:]" if sign == "?" else sign
            for place, sign in enumerate(part)
        )
        for part in front
    ]
    tail = last.replace("?", ".").replace("*", ".*")
    expected = re.fullmatch(":".join([*expressions, tail]), text, re.DOTALL)
    assert resource_matches(":".join(parts), text) is bool(expected)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("arn:aws:s3:::b/*.txt", "arn:aws:s3:::b/a:b.txt", True),
        ("arn:aws:sqs:*:111122223333:q", "arn:aws:sqs:eu-west-1:111122223333:q", True),
        ("arn:aws:sqs:us-*-1:111122223333:q", "arn:aws:sqs:us-east-1:111122223333:q", True),
        ("arn:aws:sqs:us-*-1:111122223333:q", "arn:aws:sqs:us-x:9:y-1:111122223333:q", False),
        ("arn:aws:ec2:*", "arn:aws:ec2:eu-west-1:111122223333:instance/i-1", True),
        ("arn:aws:ec2:*:instance/*", "arn:aws:ec2:eu-west-1:111122223333:instance/i-1", True),
        ("arn:aws:iam::11112222333?:user/bob", "arn:aws:iam::111122223333:user/bob", True),
        ("arn:aws:s3:::Bucket", "arn:aws:s3:::bucket", False),
    ],
)
def test_a_star_goes_on_over_colons_only_at_the_end_of_a_segment(
    pattern: str, text: str, *, expected: bool
) -> None:
    assert resource_matches(pattern, text) is expected


def test_an_arn_pattern_compares_part_by_part() -> None:
    finance = compile_arn_glob(parse_glob("arn:aws:someservice:*:111122223333:finance/*"))
    assert finance("arn:aws:someservice:us-east-2:111122223333:finance/document.txt")
    assert not finance(
        "arn:aws:someservice:us-east-2:999999999999:store/abc:111122223333:finance/document.txt"
    )
    assert compile_arn_glob(parse_glob("*"))("arn:aws:sns:::topic")
    assert not compile_arn_glob(parse_glob("*"))("no arn")


@pytest.mark.parametrize("pattern", ["", "bob", "arn:aws:s3", "arn:aws:s3:::"[:-1]])
def test_a_pattern_that_is_no_arn_cannot_be_compiled_as_one(pattern: str) -> None:
    with pytest.raises(ValueError, match="ARN form"):
        compile_arn_glob(parse_glob(pattern))


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("*a" * 1000 + "b", "a" * 3000),
        ("*a?" * 1000 + "b", "a" * 4000),
        ("*" + "a?" * 500 + "b*c", "a" * 4000),
        (
            "arn:aws:s3:" + "*a" * 500 + "*:x*:y" + "*z" * 500,
            "arn:aws:s3:" + "a" * 1000 + ":xb:y" + "z" * 1000 + "q",
        ),
        ("arn:*:s3:?" + "*" * 3000 + ":*:x", "arn:aws:s3:" + "a" * 1000 + ":b" * 500),
        ("arn:*:s3:?*:*:" + "*z?" * 500 + "q", "arn:aws:s3" + ":z" * 1000),
    ],
)
def test_a_thousand_wildcards_stay_linear(pattern: str, text: str) -> None:
    matcher = compile_resource_glob(parse_glob(pattern))
    assert matcher(text) is False
    assert cpu_seconds(lambda: matcher(text)) < 0.5


def test_patterns_are_made_into_no_regular_expressions() -> None:
    """Ten thousand of them, and a request has room for more, took half a second to compile."""
    for pattern in ("a?b*c", "arn:*:iam::?*:role/*x", "arn:aws:s3:::a?b"):
        for compiled in (compile_glob, compile_arn_glob, compile_resource_glob):
            if compiled is not compile_arn_glob or pattern.startswith("arn:"):
                names = called(lambda: compiled(parse_glob(pattern))("arn:aws:s3:::axb"))  # noqa: B023
                assert not {"_compile", "compile", "fullmatch", "match"}.intersection(names)


def test_a_pattern_that_crosses_colons_is_matched_segment_by_segment() -> None:
    """A character at a time, seven thousand of them took ten seconds for one resource."""
    matches, text = compile_resource_glob(parse_glob("arn:*:a:?*:*:*z")), "arn:aws:a:" + ":b" * 1000
    assert len(called(lambda: matches(text))) < 100
