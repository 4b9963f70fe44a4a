"""Which wire protocol a request speaks: found by its headers, at a price that no client sets."""

import pytest

from broker.protocol.dispatch import find_protocol, prefers_json
from broker.protocol.query import QUERY, QUERY_JSON
from broker.web.connection import LONGEST_HEADER
from tests.growth import cpu_seconds


@pytest.mark.parametrize(
    "accept",
    [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json, text/plain, */*",  # axios
        "application/json;q=0.9, application/xml;q=0.8",
        "text/xml;q=0.5, application/json",
        "application/xml;q=0, application/json;q=0.1",
    ],
)
def test_a_client_that_accepts_json_gets_json(accept: str) -> None:
    assert find_protocol("/", (("host", "a"), ("accept", accept))) is QUERY_JSON


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "application/*",
        "text/xml",
        "text/xml, application/json",
        "application/json;q=0",
        "application/json;q=nan",
        "application/json;q=",
        "application/json;q=0.5, application/xml",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "application/jsonp",
        ", ;;,=",
    ],
)
def test_everyone_else_gets_xml(accept: str) -> None:
    assert find_protocol("/", (("accept", accept),)) is QUERY


def test_a_client_without_an_accept_header_gets_xml() -> None:
    assert find_protocol("/", ()) is QUERY


@pytest.mark.parametrize("part", [",", ";", "a/b;q=1,", "application/json;a=b;"])
def test_a_header_of_many_media_ranges_costs_no_more_than_another(part: str) -> None:
    assert cpu_seconds(lambda: prefers_json(part * (LONGEST_HEADER // len(part)))) < 0.01
