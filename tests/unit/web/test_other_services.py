"""Requests for services that are not served here: found by the scope of their signature, in bounded time."""

import asyncio

from broker.errors import Refusal
from broker.protocol.model import load_service
from broker.web.connection import LONGEST_HEADER
from broker.web.http import Request
from broker.web.other_services import OtherServiceRefusal, explain_other_service
from broker.web.sockets import Peer
from tests.growth import cpu_seconds

SERVICES = {name: load_service(name) for name in ("sts", "iam")}
REFUSAL = Refusal("MissingAction", "The request is missing an action or a required parameter.")


def asking(authorization: str) -> Request:
    headers = (("authorization", authorization),)
    return Request("PUT", "/", headers, b"", Peer(asyncio.BaseTransport()), keeps_alive=True)


def test_the_service_is_read_from_the_scope_of_the_signature() -> None:
    request = asking("AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/20260101/us-east-1/dynamodb/aws4_request, ...")
    found = explain_other_service(REFUSAL, request, SERVICES)
    assert isinstance(found, OtherServiceRefusal)
    assert found.service == "dynamodb"


def test_a_request_signed_for_a_served_service_keeps_its_refusal() -> None:
    request = asking("AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/20260101/us-east-1/iam/aws4_request, ...")
    assert explain_other_service(REFUSAL, request, SERVICES) is REFUSAL


def test_a_header_that_repeats_the_beginning_of_a_credential_costs_no_more_than_another() -> None:
    request = asking("Credential=" * (LONGEST_HEADER // len("Credential=")))
    assert explain_other_service(REFUSAL, request, SERVICES) is REFUSAL
    assert cpu_seconds(lambda: explain_other_service(REFUSAL, request, SERVICES)) < 0.02
