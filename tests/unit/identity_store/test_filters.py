"""Filters of SCIM: what matches, and that whatever else comes is refused."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.errors import Refusal
from broker.identity_store.attributes import ENTERPRISE_SCHEMA, USER
from broker.identity_store.filters import matches, named_by, read_filter

ADA: dict[str, Any] = {
    "id": "1",
    "userName": "Ada@Example.com",
    "externalId": "X-1",
    "active": True,
    "title": 'the "first"',
    "name": {"familyName": "Lovelace", "givenName": "Ada"},
    "emails": [
        {"value": "ada@work.example", "type": "work", "primary": True},
        {"value": "ada@home.example", "type": "home"},
    ],
    "meta": {"lastModified": "2026-11-30T10:00:00Z"},
    ENTERPRISE_SCHEMA: {"department": "Engines", "manager": {"value": "7"}},
}
MATCHING = [
    'userName eq "ada@example.COM"',
    'USERNAME Eq "ada@example.com"',
    'externalId eq "X-1"',
    'userName sw "ada" and active eq true',
    'active eq "True"',
    'active ne false and not (userName eq "bob")',
    'userName eq "bob" or name.familyName co "LOVE"',
    '(userName eq "bob" or userName ew ".com") and title pr',
    'emails[type eq "work" and primary eq true]',
    'emails co "home.example"',
    'emails.value eq "ada@home.example"',
    'title eq "the \\"first\\""',
    'meta.lastModified gt "2026-11-01T00:00:00Z"',
    'meta.lastModified le "2026-11-30T10:00:00Z"',
    f'{ENTERPRISE_SCHEMA}:department eq "engines"',
    f'{ENTERPRISE_SCHEMA}:manager.value eq "7"',
    'urn:ietf:params:scim:schemas:core:2.0:User:userName eq "ada@example.com"',
    'nickName ne "x"',
]
OTHERS = [
    'externalId eq "x-1"',
    'userName eq "ada"',
    "nickName pr",
    'emails[type eq "home" and primary eq true]',
    "active eq null",
    'active eq "yes"',
    "userName eq 1",
    "not (userName pr)",
    'userName gt "b"',
]
REFUSED = [
    "userName",
    "userName eq",
    "userName eq ada",
    'userName eq "ada',
    'userName like "ada"',
    'password eq "x"',
    'constructor eq "x"',
    '__class__ eq "x"',
    'userName eq "a" and',
    'userName eq "a" userName eq "b"',
    '(userName eq "a"',
    'userName eq "a")',
    'userName[value eq "a"]',
    'emails[type eq "work"',
    "not userName pr",
    "(" * 50 + "userName pr" + ")" * 50,
    "title eq " + '"' + "x" * 3000 + '"',
    'userName eq "a"; drop table users',
    "",
]


@pytest.mark.parametrize("text", MATCHING)
def test_a_filter_matches_what_it_describes(text: str) -> None:
    assert matches(read_filter(text, USER), ADA)


@pytest.mark.parametrize("text", OTHERS)
def test_a_filter_does_not_match_anything_else(text: str) -> None:
    assert not matches(read_filter(text, USER), ADA)


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_filter_is_refused(text: str) -> None:
    with pytest.raises(Refusal) as refused:
        read_filter(text, USER)
    assert (refused.value.code, refused.value.status) == ("invalidFilter", 400)


@given(st.text(max_size=60))
def test_any_text_is_a_filter_or_refused(text: str) -> None:
    try:
        found = read_filter(text, USER)
    except Refusal:
        return
    assert matches(found, ADA) in (True, False)


@given(st.text(min_size=1))
def test_a_value_is_a_value_whatever_is_in_it(value: str) -> None:
    """Nothing in a quoted text ends it or adds to the filter."""
    found = read_filter(f"userName eq {msgspec.json.encode(value).decode()}", USER)
    assert named_by(found) == ("userName", value)
    assert matches(found, {"userName": value})
    assert not matches(found, {"userName": f"{value}x"})


def test_the_attribute_that_a_filter_names_is_looked_up() -> None:
    assert named_by(read_filter('externalId eq "1" and active eq true', USER)) == ("externalId", "1")
    assert named_by(read_filter('externalId eq "1" or active eq true', USER)) is None
    assert named_by(read_filter('name.familyName eq "x"', USER)) is None
    assert named_by(read_filter('emails eq "x"', USER)) is None
