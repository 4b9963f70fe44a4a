"""Requests and responses: what they show of themselves, and what a header may hold."""

import asyncio

import pytest

from broker.web.http import Request, Response, header_lines
from broker.web.sockets import Peer


def test_neither_a_request_nor_a_response_shows_what_is_in_it() -> None:
    peer = Peer(asyncio.BaseTransport())
    request = Request(
        "GET", "/v2/credentials/hunter2", (("authorization", "hunter2"),), b"hunter2", peer, True
    )
    response = Response(200, b"X-Token: hunter2\r\n", b"<SecretAccessKey>hunter2</SecretAccessKey>")
    assert "hunter2" not in repr((request, response))
    assert "200" in repr(response)


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b", "a\nb", "a\rb"])
def test_a_header_cannot_end_its_own_line(value: str) -> None:
    assert header_lines({"A": "b", "C": "d"}) == b"A: b\r\nC: d\r\n"
    with pytest.raises(ValueError, match="line break"):
        header_lines({"Allow": value})
