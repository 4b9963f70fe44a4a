"""Distinguished names: the examples of RFC 4514, what compares as equal, and that a value stays one value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.names.distinguished_name import escape_value, normalised_name


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        ("UID=jsmith,DC=example,DC=net", "uid=jsmith,dc=example,dc=net"),
        ("OU=Sales+CN=J.  Smith,DC=example,DC=net", "ou=sales+cn=j. smith,dc=example,dc=net"),
        (r"CN=James \"Jim\" Smith\, III,DC=example", r"cn=james \22jim\22 smith\2c iii,dc=example"),
        (r"CN=Before\0dAfter,DC=example", "cn=before\rafter,dc=example"),
        (r"CN=Lu\C4\8Di\C4\87", "cn=lučić"),
        ("CN=Lučić", "cn=lučić"),
        ("1.3.6.1.4.1.1466.0=#04024869", r"1.3.6.1.4.1.1466.0=\2304024869"),
        ("cn = a , dc = b", "cn=a,dc=b"),
        ("cn=a;dc=b", "cn=a,dc=b"),
        (r"cn=\ a\ ,dc=b", "cn=a,dc=b"),
        ("cn=,dc=b", "cn=,dc=b"),
        ("msDS-x_y=a", "msds-x_y=a"),
    ],
)
def test_a_name_is_normalised(text: str, normalised: str) -> None:
    assert normalised_name(text) == normalised
    assert normalised_name(normalised) == normalised


@pytest.mark.parametrize(
    "text",
    ["", "cn", "=a", "cn=a,", "cn=a,b", r"cn=a\z", "cn=a\\", 'cn="a"', "1=a", "cn=a<b", "a=" + "b" * 4096],
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="distinguished name"):
        normalised_name(text)


def test_names_that_differ_in_more_than_case_and_spaces_are_different() -> None:
    names = ["cn=a,dc=b", "cn=a+dc=b", r"cn=a\,dc=b", "cn=ab", "dc=b,cn=a", r"cn=a\ff", r"cn=a\fe", "cn=a"]
    assert len({normalised_name(name) for name in names}) == len(names)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_whatever_a_value_holds_it_stays_one_value_of_the_name(value: str) -> None:
    name = f"uid={escape_value(value)},ou=people"
    assert normalised_name(name).count(",") == 1
    assert normalised_name(name).endswith(",ou=people")
