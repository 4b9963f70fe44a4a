"""Which requests of pages are let through, and which answers they may read."""

import asyncio

import pytest
from msgspec.structs import replace

from broker.web.cross_origin import answer_preflight, readable_by_pages
from broker.web.http import LimitExceeded, Request, Response
from broker.web.sockets import Peer

ORIGIN = ("origin", "https://app.example")
ASKED = ("access-control-request-method", "POST")
COGNITO = ("x-amz-target", "AWSCognitoIdentityService.GetId")
ANSWER = Response(200, b"Server: broker\r\n", b"{}")


def request(method: str, *headers: tuple[str, str], target: str = "/") -> Request:
    return Request(method, target, headers, b"", Peer(asyncio.BaseTransport()), keeps_alive=True)


def test_a_preflight_allows_a_post_without_a_signature() -> None:
    answer = answer_preflight(request("OPTIONS", ORIGIN, ASKED))
    assert answer is not None
    lines = answer.header_lines.decode().lower()
    assert "access-control-allow-origin: *" in lines
    assert "x-amz-target" in lines
    assert "access-control-allow-methods: post\r\n" in lines
    assert "authorization" not in lines
    assert "credentials" not in lines


@pytest.mark.parametrize(
    "other",
    [
        request("POST", ORIGIN, ASKED),
        request("OPTIONS", ASKED),
        request("OPTIONS", ORIGIN),
        request("OPTIONS", ORIGIN, ("access-control-request-method", "DELETE")),
        request("OPTIONS", ORIGIN, ASKED, target="/token"),
        request("OPTIONS", ORIGIN, ASKED, target="/federation/credentials"),
        replace(request("OPTIONS", ORIGIN, ASKED), limit_exceeded=LimitExceeded.TOO_MANY),
    ],
)
def test_nothing_else_is_a_preflight(other: Request) -> None:
    assert answer_preflight(other) is None


def test_pages_read_answers_of_identity_pools() -> None:
    answer = readable_by_pages(request("POST", ORIGIN, COGNITO), ANSWER)
    assert b"Access-Control-Allow-Origin: *\r\n" in answer.header_lines
    assert (answer.status, answer.body) == (200, b"{}")


@pytest.mark.parametrize(
    "other",
    [
        request("POST", COGNITO),
        request("POST", ORIGIN),
        request("POST", ORIGIN, ("x-amz-target", "AWSOrganizationsV20161128.ListAccounts")),
        request("POST", ORIGIN, COGNITO, target="/federation/credentials"),
        request("POST", ORIGIN, ("x-amz-target", "x"), COGNITO),
    ],
)
def test_pages_read_no_other_answer(other: Request) -> None:
    assert readable_by_pages(other, ANSWER) is ANSWER
