"""The protocol AWS JSON 1.1: the header X-Amz-Target names the operation, its members are in a JSON body.

Obeys "AWS JSON 1.1 protocol" (Smithy). Times are epoch seconds, members that are None are left out. A refusal has its
code as `__type` and in the header `x-amzn-ErrorType`, and its message under the name that the model gives it
(`Message` of Organizations).

To serve another service that speaks this protocol, one line in `broker.protocol.model.VERSIONS` is enough; one with its
own error for a broken constraint has another line in INVALID_INPUT.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from broker.errors import Refusal, status_and_fault
from broker.protocol.constraints import Violations
from broker.protocol.json import shown_as
from broker.protocol.json_bodies import encode_json, read_body, without_absent
from broker.protocol.json_members import json_structure_reader
from broker.protocol.model import Reference, ServiceModel
from broker.protocol.wire import Message, Rendered, WireProtocol

JSON_1_1_BODY = "application/x-amz-json-1.1"
TARGET = "x-amz-target"

# Service -> its error for a request that breaks a constraint of the model, where it is not ValidationException.
INVALID_INPUT = {"organizations": "InvalidInputException"}

# What a violation says -> `Reason` of Organizations' InvalidInputException.
_REASONS = (
    ("must not be null", "INPUT_REQUIRED"),
    ("enum value set", "INVALID_ENUM"),
    ("regular expression pattern", "INVALID_PATTERN"),
    ("length greater than", "MIN_LENGTH_EXCEEDED"),
    ("length less than", "MAX_LENGTH_EXCEEDED"),
    ("value greater than", "MIN_VALUE_EXCEEDED"),
    ("value less than", "MAX_VALUE_EXCEEDED"),
)
# AWS's sentence for some of these reasons, seen in its answers; others quote the constraint.
_REASON_SENTENCES = {
    "INVALID_PATTERN": "You provided a value that does not match the required pattern.",
    "INVALID_ENUM": "You specified an invalid value.",
}

# The codes that all services of the broker share -> what JSON services call them, the first that the model has, else
# the last. An unreadable body is a SerializationException (Smithy).
_OWN_CODES = {
    "AccessDenied": ("AccessDeniedException",),
    "ExpiredToken": ("ExpiredTokenException",),
    "IncompleteSignature": ("IncompleteSignatureException",),
    "InternalFailure": (
        "ServiceException",
        "InternalServerException",
        "InternalErrorException",
        "InternalFailure",
    ),
    "InvalidClientTokenId": ("UnrecognizedClientException",),
    "MalformedInput": ("SerializationException",),
    "MalformedQueryString": ("SerializationException",),
    "MissingAuthenticationToken": ("MissingAuthenticationTokenException",),
    "RequestExpired": ("InvalidSignatureException",),
    "SignatureDoesNotMatch": ("InvalidSignatureException",),
    "Throttling": ("TooManyRequestsException", "ThrottlingException"),
    "ValidationError": ("ValidationException",),
}

_surrogate = re.compile("[\ud800-\udfff]")
_target = re.compile(r"([A-Za-z0-9_.]{1,128})\.([A-Za-z0-9]{1,128})", re.ASCII).fullmatch


def find_target(headers: tuple[tuple[str, str], ...]) -> str | None:
    """The header that names the operation; None where there is none."""
    return next((value for name, value in headers if name == TARGET), None)


def _name(
    services: Mapping[str, ServiceModel], signing_name: str | None, message: Message
) -> tuple[ServiceModel, str]:
    """By the target alone, which names one service; SigV4 refuses a scope of another later."""
    unverified_target = find_target(message.http.headers) or ""
    named = _target(unverified_target)
    for service in services.values() if named else ():
        if named and service.target_prefix == named[1] and named[2] in service.operations:
            return service, named[2]
    raise Refusal(
        "UnknownOperationException", f"No operation is called {unverified_target[:128]}.", status=400
    )


def _read(service: ServiceModel, operation: str, message: Message) -> msgspec.Struct | None:
    return read_members(service, operation, read_body(message))


def read_members(service: ServiceModel, operation: str, body: dict[str, Any]) -> msgspec.Struct | None:
    """The request whose members `body` has; None where the operation takes no input. Raises Refusal."""
    reference = service.operations[operation].input
    if reference is None:
        return None
    reader = service.json_readers.get(operation)
    if reader is None:
        reader = service.json_readers[operation] = _compile(service, reference)
    return reader(body)


def _compile(service: ServiceModel, reference: Reference) -> Callable[[Any], msgspec.Struct]:
    read_members = json_structure_reader(service, reference.shape)

    def read(body: dict[str, Any]) -> msgspec.Struct:
        violations = Violations()
        request = read_members(body, "", violations)
        if violations.sentences:
            raise _invalid_input(service, violations)
        assert isinstance(request, msgspec.Struct)
        return request

    return read


def _invalid_input(service: ServiceModel, violations: Violations) -> Refusal:
    refusal = violations.refusal()
    code = INVALID_INPUT.get(service.name)
    if code is None:
        return refusal
    first = violations.sentences[0]
    reason = next((reason for words, reason in _REASONS if words in first), "INVALID_PATTERN")
    message = _REASON_SENTENCES.get(reason, refusal.message)
    return Refusal(code, message, reason=refusal.reason or refusal.message, members={"Reason": reason})


def _render(
    service: ServiceModel, operation: str, result: msgspec.Struct | None, request_id: str
) -> Rendered:
    output = service.operations[operation].output
    expected = type(None) if output is None else service.structs[output.shape]
    if type(result) is not expected:
        raise TypeError(f"{operation} answers {expected.__name__}, not {type(result).__name__}")
    if output is None:
        return Rendered(200, JSON_1_1_BODY, b"{}")
    show = service.json_renderers.get(operation) or shown_as(service, output.shape)
    assert show is not None, "a structure has a renderer"
    service.json_renderers[operation] = show
    return Rendered(200, JSON_1_1_BODY, encode_json(without_absent(show(result))))


def _refuse(service: ServiceModel | None, refusal: Refusal, request_id: str) -> Rendered:
    known = service.errors if service is not None else {}
    names = _OWN_CODES.get(refusal.code, (refusal.code,))
    code = next((name for name in names if name in known), names[-1])
    if service is None or code not in known:
        status, _ = status_and_fault(refusal)
    else:
        renamed = Refusal(code, "", status=None if code != refusal.code else refusal.status)
        status, _ = service.status_and_fault(renamed)
    message = _surrogate.sub("\ufffd", refusal.message)
    body = {"__type": code, _message_member(service, code): message, **refusal.members}
    return Rendered(status, JSON_1_1_BODY, encode_json(body), (("x-amzn-ErrorType", code),))


def _message_member(service: ServiceModel | None, code: str) -> str:
    """`Message` or `message`, as the model of the service spells it."""
    shape = service.shapes.get(code) if service is not None else None
    members = shape.members if shape is not None else {}
    return next((member for member in members if member.lower() == "message"), "message")


JSON_1_1 = WireProtocol(frozenset({"POST"}), JSON_1_1_BODY, _name, _read, _render, _refuse)
