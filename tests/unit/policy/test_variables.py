import pytest

from broker.policy.patterns import STAR, compile_glob
from broker.policy.variables import parse_template, resolve, resolve_text, variables_of
from tests.growth import cpu_seconds

CONTEXT = {
    "aws:username": ("bob",),
    "aws:principaltag/team": ("*",),
    "aws:tagkeys": ("a", "b"),
    "aws:empty": (),
}


def text_of(text: str) -> str | None:
    return resolve_text(parse_template(text, wildcards=False, variables=True), CONTEXT)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("home/${aws:username}/x", "home/bob/x"),
        ("${AWS:UserName}", "bob"),
        ("${ aws:username }", "bob"),
        ("${aws:username}${aws:username}", "bobbob"),
        ("${aws:nobody, 'guest'}", "guest"),
        ("${aws:nobody,'guest'}", "guest"),
        ("${aws:username, 'guest'}", "bob"),
        ("${aws:nobody, ''}", ""),
        ("${aws:nobody, 'a}b'}", "a}b"),
        ("${$}{aws:username}", "${aws:username}"),
        ("${*}${?}${$}", "*?$"),
        ("${aws:nobody}", None),
        ("${aws:tagkeys}", None),
        ("${aws:tagkeys, 'many'}", "many"),
        ("${aws:empty}", None),
        ("${aws:username", "${aws:username"),
        ("$aws:username", "$aws:username"),
        ("${}", "${}"),
    ],
)
def test_variables_escapes_and_defaults_are_filled_in(text: str, expected: str | None) -> None:
    assert text_of(text) == expected


def test_the_old_version_knows_no_variables() -> None:
    template = parse_template("${aws:username}/${*}", wildcards=False, variables=False)
    assert resolve_text(template, CONTEXT) == "${aws:username}/${*}"


def test_an_escaped_wildcard_is_literal_and_a_plain_one_is_not() -> None:
    template = parse_template("a${*}b*", wildcards=True, variables=True)
    assert template == ("a*b", STAR)


def test_what_a_variable_brings_in_is_never_a_wildcard() -> None:
    glob = resolve(parse_template("t/${aws:PrincipalTag/team}", wildcards=True, variables=True), CONTEXT)
    assert glob is not None
    assert compile_glob(glob)("t/*")
    assert not compile_glob(glob)("t/secret")


def test_variables_keep_their_spelling_for_those_who_list_them() -> None:
    found = variables_of(parse_template("${aws:PrincipalTag/Team}", wildcards=True, variables=True))
    assert [(variable.key, variable.name) for variable in found] == [
        ("aws:principaltag/team", "aws:PrincipalTag/Team")
    ]


@pytest.mark.parametrize("text", ["${" * 60_000, "${a,'" * 20_000, "${a" + " " * 100_000, "${a, " * 30_000])
def test_open_variables_are_scanned_in_linear_time(text: str) -> None:
    assert cpu_seconds(lambda: parse_template(text, wildcards=True, variables=True)) < 1
