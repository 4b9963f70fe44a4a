"""Targets, constraints and refusals of the protocol JSON 1.1."""

import json

import pytest

from broker.errors import Refusal
from broker.protocol.dispatch import find_protocol
from broker.protocol.json_1_1 import JSON_1_1, JSON_1_1_BODY
from broker.protocol.model import load_service
from broker.protocol.query import QUERY, QUERY_JSON
from broker.protocol.wire import Message
from broker.sigv4.authorization import UnverifiedRequest

ORGANIZATIONS, IAM = load_service("organizations"), load_service("iam")
SERVICES = {"organizations": ORGANIZATIONS, "iam": IAM}
PREFIX = "AWSOrganizationsV20161128."


def message(body: object, target: str = "") -> Message:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = (("x-amz-target", target),) if target else ()
    return Message(UnverifiedRequest("POST", "/", "", headers, text), {})


def refused(operation: str, body: object) -> Refusal:
    with pytest.raises(Refusal) as caught:
        JSON_1_1.read(ORGANIZATIONS, operation, message(body))
    return caught.value


def test_a_target_is_what_makes_a_request_json_whatever_else_it_accepts() -> None:
    assert find_protocol("/", (("accept", "application/json"), ("x-amz-target", "A.B"))) is JSON_1_1
    assert find_protocol("/", (("x-amz-target", "A.B"), ("accept", "text/xml"))) is JSON_1_1
    assert find_protocol("/", (("accept", "application/json"),)) is QUERY_JSON
    assert find_protocol("/", ()) is QUERY


@pytest.mark.parametrize(
    "target",
    [
        "",
        "ListRoots",
        ".ListRoots",
        f"{PREFIX}ListUsers",
        f"{PREFIX}Nothing",
        "AWSOrganizationsV1.ListRoots",
        f"{PREFIX}ListRoots\n",
        ".GetUser",
    ],
)
def test_a_target_that_no_model_has_is_refused(target: str) -> None:
    with pytest.raises(Refusal, match="UnknownOperationException"):
        JSON_1_1.name(SERVICES, "organizations", message({}, target))


def test_a_target_names_its_service_whatever_it_is_signed_for() -> None:
    assert JSON_1_1.name(SERVICES, "iam", message({}, f"{PREFIX}ListRoots")) == (ORGANIZATIONS, "ListRoots")


@pytest.mark.parametrize(
    ("operation", "body", "reason"),
    [
        ("MoveAccount", {}, "INPUT_REQUIRED"),
        ("DescribeAccount", {"AccountId": "1"}, "INVALID_PATTERN"),
        ("ListRoots", {"MaxResults": 21}, "MAX_VALUE_EXCEEDED"),
        ("ListRoots", {"MaxResults": 0}, "MIN_VALUE_EXCEEDED"),
        ("ListPolicies", {"Filter": "NO_POLICY"}, "INVALID_ENUM"),
        ("CreateOrganizationalUnit", {"ParentId": "r-a1b2", "Name": ""}, "MIN_LENGTH_EXCEEDED"),
        ("CreateOrganizationalUnit", {"ParentId": "r-a1b2", "Name": "n" * 129}, "MAX_LENGTH_EXCEEDED"),
    ],
)
def test_a_broken_constraint_is_invalid_input_with_its_reason(
    operation: str, body: dict[str, object], reason: str
) -> None:
    refusal = refused(operation, body)
    assert (refusal.code, refusal.members) == ("InvalidInputException", {"Reason": reason})


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"MaxResults":1,"MaxResults":2}', b"\xff", {"MaxResults": "1"}]
)
def test_a_body_that_cannot_be_read_is_a_serialization_exception(body: object) -> None:
    answer = JSON_1_1.refuse(ORGANIZATIONS, refused("ListRoots", body), "request-1")
    assert json.loads(answer.body)["__type"] == "SerializationException"
    assert answer.status == 400


def test_an_operation_without_input_reads_no_member_but_a_body_all_the_same() -> None:
    assert JSON_1_1.read(ORGANIZATIONS, "DescribeOrganization", message(b"")) is None
    assert JSON_1_1.read(ORGANIZATIONS, "DescribeOrganization", message({})) is None
    assert refused("DescribeOrganization", b"{").code == "MalformedInput"


def test_an_operation_without_output_answers_an_empty_object() -> None:
    answer = JSON_1_1.render(ORGANIZATIONS, "MoveAccount", None, "request-1")
    assert (answer.status, answer.content_type, answer.body) == (200, JSON_1_1_BODY, b"{}")
    with pytest.raises(TypeError):
        JSON_1_1.render(ORGANIZATIONS, "ListRoots", None, "request-1")


@pytest.mark.parametrize(
    ("code", "expected", "status", "member"),
    [
        ("AccessDenied", "AccessDeniedException", 400, "Message"),
        ("InternalFailure", "ServiceException", 500, "Message"),
        ("Throttling", "TooManyRequestsException", 400, "Message"),
        ("SignatureDoesNotMatch", "InvalidSignatureException", 403, "message"),
        ("InvalidClientTokenId", "UnrecognizedClientException", 403, "message"),
        ("NotImplemented", "NotImplemented", 501, "message"),
        ("ServiceUnavailable", "ServiceUnavailable", 503, "message"),
    ],
)
def test_what_all_services_refuse_alike_is_called_as_json_services_call_it(
    code: str, expected: str, status: int, member: str
) -> None:
    answer = JSON_1_1.refuse(ORGANIZATIONS, Refusal(code, "No \ud800."), "request-1")
    assert json.loads(answer.body) == {"__type": expected, member: "No \ufffd."}
    assert (answer.status, dict(answer.headers)["x-amzn-ErrorType"]) == (status, expected)
