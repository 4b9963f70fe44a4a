"""Which forms are believed, as far as their headers and their text say."""

import pytest

from broker.errors import Refusal
from broker.portal.visit import is_own_page, parse_form

ORIGIN = "https://access.example.com"


@pytest.mark.parametrize(
    ("headers", "is_own"),
    [
        ({"Origin": ORIGIN}, True),
        ({"Origin": "https://access.example.com:8443"}, False),
        ({"Origin": "http://access.example.com"}, False),
        ({"Origin": "https://access.example.com.evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": ""}, False),
        ({"Origin": ORIGIN, "Sec-Fetch-Site": "cross-site"}, True),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "none"}, False),
        ({}, True),
    ],
)
def test_a_form_is_of_a_page_of_ours_where_the_browser_does_not_say_otherwise(
    headers: dict[str, str], is_own: bool
) -> None:
    assert is_own_page(headers, ORIGIN) is is_own


def test_a_form_is_read_as_it_was_typed() -> None:
    assert parse_form(b"user=al%C3%AF%20ce&password=a%2Bb+c&empty=") == {
        "user": "alï ce",
        "password": "a+b c",
        "empty": "",
    }


@pytest.mark.parametrize("body", [b"a=1&a=2", b"a=%ff", b"\xff=1", b"&".join([b"a=1"] * 101)])
def test_what_is_no_form_or_can_be_read_in_two_ways_is_refused(body: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        parse_form(body)
    assert refused.value.code == "MalformedInput"
