"""The protocol REST-JSON: method and path name the operation, its members are in headers, query string and a JSON body.

Obeys "AWS restJson1 protocol" (Smithy). A refusal has its code in the header `x-amzn-ErrorType`, which clients read
first; its body has the members that the model gives the error: `message`, or OAuth's `error` and `error_description`
(RFC 6749, 5.2).
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from broker.errors import Refusal, status_and_fault
from broker.protocol.constraints import Violations
from broker.protocol.json import shown_as
from broker.protocol.json_bodies import LARGEST_BODY, encode_json, read_body, without_absent
from broker.protocol.json_members import ReadJson, json_reader
from broker.protocol.members import member_reader
from broker.protocol.model import Reference, ServiceModel, Shape, fields_by_wire_name
from broker.protocol.rest_paths import find_labels
from broker.protocol.scalars import malformed
from broker.protocol.wire import Message, Rendered, WireProtocol

JSON = "application/json"

# The paths of the operations of all services that speak this protocol, as their models have them (a test compares);
# those with a label ("/analyzer/{analyzerName}") are known by their first segment (`rest_paths`).
# A request is known by its path before anything else of it is read, so that whatever is wrong is refused in JSON.
PATHS = frozenset(
    {
        "/ListTagsForResource",
        "/TagResource",
        "/UntagResource",
        "/access-policies",
        "/access-preview",
        "/addons/configuration-schemas",
        "/addons/supported-versions",
        "/analyzed-resource",
        "/analyzer",
        "/analyzer/findings/statistics",
        "/archive-rule",
        "/assignment/accounts",
        "/assignment/roles",
        "/batch-revoke-sessions",
        "/client/register",
        "/crls",
        "/cluster-registrations",
        "/cluster-versions",
        "/clusters",
        "/delete-console-authorization-configuration",
        "/delete-resource-permission-statement",
        "/device_authorization",
        "/eks-anywhere-subscriptions",
        "/federation/credentials",
        "/finding",
        "/findingv2",
        "/get-console-authorization-configuration",
        "/get-resource-policy",
        "/get-session",
        "/list-resource-permission-statements",
        "/list-sessions",
        "/logout",
        "/policy/check-access-not-granted",
        "/policy/check-no-new-access",
        "/policy/check-no-public-access",
        "/policy/generation",
        "/policy/validation",
        "/profiles",
        "/put-console-authorization-configuration",
        "/put-notifications-settings",
        "/put-resource-permission-statement",
        "/reset-notifications-settings",
        "/resource/scan",
        "/service-linked-analyzer",
        "/sessions",
        "/subjects",
        "/token",
        "/trustanchors",
        "/v1/introspect",
        "/v1/revoke",
        "/v1/token",
    }
)

# What each service calls a request that it cannot read or that breaks a constraint.
_INVALID_REQUEST = {
    "sso": "InvalidRequestException",
    "sso-oidc": "InvalidRequestException",
    "signin": "ValidationException",
    "accessanalyzer": "ValidationException",
    "rolesanywhere": "ValidationException",
    "eks": "InvalidParameterException",
    "eks-auth": "InvalidParameterException",
}
_UNREADABLE = frozenset({"MalformedInput", "MalformedQueryString", "ValidationError"})
# The codes that all services share -> what those with a code of their own for it call it.
_OWN_CODES = {
    "InternalFailure": ("InternalServerException", "ServerException"),
    "ServiceUnavailable": ("ServiceUnavailableException",),
    "Throttling": (
        "TooManyRequestsException",
        "TooManyRequestsError",
        "SlowDownException",
        "ThrottlingException",
    ),
    **dict.fromkeys(
        _UNREADABLE | {"UnsupportedMediaType"},
        ("InvalidParameterException", "InvalidRequestException", "ValidationException"),
    ),
    "AccessDenied": ("AccessDeniedException",),
}
_OAUTH_NAMES = {
    "InternalServerException": "server_error",
    "ValidationException": "INVALID_REQUEST",
    "TooManyRequestsError": "rate_exceeded",
}

# Services with larger members than others, in bytes: a revocation list has 300,000, in base64 a third more.
_LARGEST_BODIES = {"rolesanywhere": 420_000}

_surrogate = re.compile("[\ud800-\udfff]")
_word = re.compile("(?<!^)(?=[A-Z])")

_MOST_IN_QUERY = 1000  # parameters; no list of a model has as many members

# Where a member is in a request that is not in the body: header, query string, or a label of the path.
# Location, name there, field, label, is required, reader.
Placed = tuple[str, str, str, str, bool, ReadJson]
InBody = tuple[str, str, bool, ReadJson]  # name, field, is required, reader
ReadRequest = Callable[[Message], msgspec.Struct]


def _name(
    services: Mapping[str, ServiceModel], signing_name: str | None, message: Message
) -> tuple[ServiceModel, str]:
    """By method and path. Of several operations the one of the service that the request claims to be signed for, then
    the one with more of the query string in its URI.
    """
    http = message.http
    best: tuple[ServiceModel, str] | None = None
    most = (False, -1)
    for service in services.values():
        if service.protocol != "rest-json":
            continue
        for name, operation in service.operations.items():
            if operation.http.method != http.method:
                continue
            path, wanted = _uri_parts(operation.http.request_uri)
            rank = (service.signing_name == signing_name, len(wanted))
            if (
                rank > most
                and find_labels(path, http.path) is not None
                and all(message.parameters.get(key) == value for key, value in wanted)
            ):
                best, most = (service, name), rank
    if best is None:
        raise Refusal(
            "UnknownOperationException", f"No operation is at {http.method} {http.path[:128]}.", status=404
        )
    return best


@lru_cache(maxsize=1024)
def _uri_parts(request_uri: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Path, and the parameters that the query string must have."""
    path, _, query = request_uri.partition("?")
    return path, tuple(parse_qsl(query, keep_blank_values=True))


def _read(service: ServiceModel, operation: str, message: Message) -> msgspec.Struct | None:
    reader = service.rest_readers.get(operation)
    if reader is None:
        reader = service.rest_readers[operation] = _compile(service, operation)
    try:
        return reader(message)
    except Refusal as refusal:
        if refusal.code not in _UNREADABLE:
            raise
        raise Refusal(_INVALID_REQUEST[service.name], refusal.message, reason=refusal.reason) from None


def _compile(service: ServiceModel, operation: str) -> ReadRequest:
    modelled = service.operations[operation]
    reference = modelled.input
    assert reference is not None, "every operation of a REST-JSON model has an input"
    shape, struct = service.shapes[reference.shape], service.structs[reference.shape]
    placed, in_body = _members(service, shape, fields_by_wire_name(struct))
    template, _ = _uri_parts(modelled.http.request_uri)
    largest = _LARGEST_BODIES.get(service.name, LARGEST_BODY)

    def read(message: Message) -> msgspec.Struct:
        values: dict[str, Any] = {}
        violations = Violations()
        labels = find_labels(template, message.http.path) or {}
        for location, name, field, label, is_required, read_text in placed:
            text = _placed_value(message, labels, location, name)
            if text is not None:
                values[field] = read_text(text, label, violations)
            elif is_required:
                violations.add_null(label)
        body = read_body(message, largest) if in_body else {}
        for name, field, is_required, read_value in in_body:
            value = body if name == shape.payload else body.get(name)
            if value is not None:
                values[field] = read_value(value, "" if name == shape.payload else name, violations)
            elif is_required:
                violations.add_null(name)
        if violations.sentences:
            raise violations.refusal()
        return struct(**values)

    return read


def _members(
    service: ServiceModel, shape: Shape, fields: Mapping[str, str]
) -> tuple[list[Placed], list[InBody]]:
    """The members in headers and query string, and those in the body; ValueError for another place."""
    placed: list[Placed] = []
    in_body: list[InBody] = []
    for label, member in shape.members.items():
        name, is_required = member.location_name or label, label in shape.required
        if member.location is None:
            in_body.append((name, fields[label], is_required, json_reader(service, member.shape)))
        elif member.location == "querystring" and service.shapes[member.shape].type == "list":
            placed.append(
                ("query list", name, fields[label], label, is_required, json_reader(service, member.shape))
            )
        elif member.location in ("header", "querystring", "uri"):
            read = member_reader(service, member.shape)
            placed.append((member.location, name, fields[label], label, is_required, read))
        else:
            raise ValueError(f"{label} is in the {member.location}, which is not read yet")
    return placed, in_body


def _placed_value(
    message: Message, labels: Mapping[str, str], location: str, name: str
) -> str | list[str] | None:
    """The value at a place of the request; of a list in the query string all values (`tagKeys=a&tagKeys=b`)."""
    if location == "header":
        return _find_header(message, name)
    if location == "uri":
        return labels.get(name)
    if location == "query list":
        return _all_in_query(message.http.query, name)
    return message.parameters.get(name)


def _all_in_query(query: str, name: str) -> list[str] | None:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=_MOST_IN_QUERY)
    except ValueError:
        raise malformed(
            f"The query string cannot be read, or has more than {_MOST_IN_QUERY} parameters."
        ) from None
    return [value for key, value in pairs if key == name] or None


def _find_header(message: Message, name: str) -> str | None:
    return next((value for known, value in message.http.headers if known == name.lower()), None)


def _render(
    service: ServiceModel, operation: str, result: msgspec.Struct | None, request_id: str
) -> Rendered:
    output = service.operations[operation].output
    expected = type(None) if output is None else service.structs[output.shape]
    if type(result) is not expected:
        raise TypeError(f"{operation} answers {expected.__name__}, not {type(result).__name__}")
    body = {} if output is None else _shown(service, operation, output, result)
    status = service.operations[operation].http.response_code
    return Rendered(status, JSON, encode_json(body), _NO_STORE)


_NO_STORE = (("Cache-Control", "no-store"),)  # tokens and credentials (RFC 6749, 5.1)


def _shown(service: ServiceModel, operation: str, output: Reference, result: msgspec.Struct | None) -> Any:
    show = service.json_renderers.get(operation) or shown_as(service, output.shape)
    assert show is not None, "a structure has a renderer"
    service.json_renderers[operation] = show
    body = without_absent(show(result))
    payload = service.shapes[output.shape].payload
    return body if payload is None else body[payload]


def _refuse(service: ServiceModel | None, refusal: Refusal, request_id: str) -> Rendered:
    known = service.errors if service is not None else {}
    code = next((own for own in _OWN_CODES.get(refusal.code, ()) if own in known), refusal.code)
    message = _surrogate.sub("\ufffd", refusal.message)
    if service is None:
        status, _ = status_and_fault(refusal)
    else:
        renamed = Refusal(code, message, status=None if code != refusal.code else refusal.status)
        status, _ = service.status_and_fault(renamed)
    members = service.shapes[code].members if service is not None and code in known else {}
    if "error" in members:
        member = "error_description" if "error_description" in members else "message"
        body = {"error": refusal.oauth_error or _oauth_error(service, code), member: message}
    else:
        body = {"message": message}
    return Rendered(status, JSON, encode_json(body), (("x-amzn-ErrorType", code), *_NO_STORE))


def _oauth_error(service: ServiceModel | None, code: str) -> str:
    """Sign-In's AccessDeniedException that says no more is the gate's; sso-oidc's is a person who denied a device."""
    is_sign_in = service is not None and service.name == "signin"
    return "INSUFFICIENT_PERMISSIONS" if is_sign_in and code == "AccessDeniedException" else oauth_name(code)


def oauth_name(code: str) -> str:
    """OAuth's name of an error: `invalid_grant` of InvalidGrantException."""
    return _OAUTH_NAMES.get(code) or _word.sub("_", code.removesuffix("Exception")).lower()


REST_JSON = WireProtocol(
    frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"}), JSON, _name, _read, _render, _refuse
)
