"""Requests for services that are not here: found by the scope of their signature, at a price that no client sets."""

import asyncio
import time

from broker.errors import Refusal
from broker.web.connection import LONGEST_HEADER
from broker.web.elsewhere import Elsewhere, elsewhere_or
from broker.web.http import Request
from broker.web.sockets import Peer

SERVICES = ("sts", "iam")
REFUSAL = Refusal("MissingAction", "The request is missing an action or a required parameter.")


def asking(authorization: str) -> Request:
    headers = (("authorization", authorization),)
    return Request("PUT", "/", headers, b"", Peer(asyncio.BaseTransport()), keeps_alive=True)


def test_the_service_stands_in_the_scope_of_the_signature() -> None:
    request = asking("AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/20260101/us-east-1/dynamodb/aws4_request, ...")
    found = elsewhere_or(REFUSAL, request, SERVICES)
    assert isinstance(found, Elsewhere)
    assert found.service == "dynamodb"


def test_what_was_signed_for_a_service_that_is_here_is_refused_as_it_was() -> None:
    request = asking("AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/20260101/us-east-1/iam/aws4_request, ...")
    assert elsewhere_or(REFUSAL, request, SERVICES) is REFUSAL


def test_a_header_of_beginnings_of_credentials_costs_no_more_than_another() -> None:
    request = asking("Credential=" * (LONGEST_HEADER // len("Credential=")))
    begun = time.perf_counter()
    assert elsewhere_or(REFUSAL, request, SERVICES) is REFUSAL
    assert time.perf_counter() - begun < 0.02
