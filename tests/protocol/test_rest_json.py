"""Every operation of the REST-JSON services, with botocore on the other side: requests, answers, errors."""

import re
from datetime import datetime

import msgspec
import pytest
from botocore.awsrequest import AWSRequest
from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape
from botocore.model import ServiceModel as BotocoreModel
from botocore.parsers import ResponseParserFactory
from botocore.serialize import create_serializer

from broker.errors import Refusal
from broker.protocol.model import load_service
from broker.protocol.redaction import HIDDEN, audit_parameters
from broker.protocol.rest_json import JSON, REST_JSON
from broker.protocol.wire import Message, parse_message
from broker.sigv4.authorization import UnverifiedRequest

SERVICES = {
    name: load_service(name)
    for name in ("sso", "sso-oidc", "signin", "accessanalyzer", "eks", "eks-auth", "rolesanywhere")
}
MODELS = {name: BotocoreModel(Loader().load_service_model(name, "service-2"), name) for name in SERVICES}
# Of Access Analyzer and EKS only what is served.
SERVED = {
    "accessanalyzer": ("ValidatePolicy",),
    "eks": (
        "CreatePodIdentityAssociation",
        "DeletePodIdentityAssociation",
        "DescribeCluster",
        "DescribePodIdentityAssociation",
        "ListClusters",
        "ListPodIdentityAssociations",
        "ListTagsForResource",
        "TagResource",
        "UntagResource",
        "UpdatePodIdentityAssociation",
    ),
}
OPERATIONS = [
    *(
        (name, operation)
        for name, model in MODELS.items()
        for operation in SERVED.get(name, model.operation_names)
    ),
]
NASTY = " &<>\"'%2F+=ä€\r\n\t😀;#?]]>\\/"
# Headers carry no control characters, and latin-1 alone.
IN_A_HEADER = "a+b/c=d %2F&~"


CANDIDATES = (
    NASTY,
    IN_A_HEADER,
    "123456789012",
    "1" * 12 + "v" * 31,
    "A" * 64,
    "Bearer",
    "ASORa/b+c",
    "access_token",
    "arn:aws:iam::123456789012:user/alice",
    "arn:aws:signin:::devtools/same-device",
    "authorization_code",
    "aws_sigv4",
    "client_credentials",
    "refresh_token",
    "a-b_c",
    "a.b.c",
    "urn:ietf:params:oauth:grant-type:token-exchange",
    "urn:ietf:params:oauth:token-type:access_token",
    "us-east-1",
    "vpc-12345678",
    "vpce-12345678",
    "11111111-1111-1111-1111-111111111111",
    "arn:aws:iam::123456789012:role/alice",
    *(
        f"arn:aws:rolesanywhere:us-east-1:123456789012:{kind}/x"
        for one in ("trust-anchor", "profile", "crl")
        for kind in (one, f"alias/{one}")
    ),
)


def text_for(shape: Shape, text: str) -> str:
    """The first text that the shape's own constraints allow, the nastiest first."""
    if shape.metadata.get("enum"):
        return str(shape.metadata["enum"][-1])
    low, high = shape.metadata.get("min", 0), shape.metadata.get("max", 10**6)
    pattern = shape.metadata.get("pattern", "(?s:.*)")
    candidates = (text, *CANDIDATES)
    return next(one for one in candidates if low <= len(one) <= high and re.fullmatch(pattern, one))


def value_for(shape: Shape, *, full: bool, text: str = NASTY) -> object:
    if isinstance(shape, StructureShape):
        names = list(shape.members) if full else shape.required_members
        if shape.is_tagged_union:
            names = list(shape.members)[:1]
        return {
            name: value_for(
                shape.members[name],
                full=full,
                text=IN_A_HEADER if shape.members[name].serialization.get("location") == "header" else NASTY,
            )
            for name in names
        }
    if isinstance(shape, ListShape):
        return [value_for(shape.member, full=full) for _ in range(2)]
    if isinstance(shape, MapShape):
        return {"a key": value_for(shape.value, full=full)}
    if shape.type_name == "boolean":
        return True
    if shape.type_name in ("integer", "long"):
        return max(shape.metadata.get("min", 0), 7)
    if shape.type_name == "timestamp":
        return 1_700_000_000.0
    if shape.type_name == "blob":
        return b"\x00\xff"
    return text_for(shape, text)


def sent(operation: OperationModel, parameters: object) -> Message:
    """The request that botocore makes of a call."""
    made = create_serializer("rest-json").serialize_to_request(parameters, operation)
    prepared = AWSRequest(
        made["method"],
        f"http://localhost{made['url_path']}",
        headers=made["headers"],
        data=made["body"],
        params=made["query_string"],
    ).prepare()
    path, _, query = prepared.url.removeprefix("http://localhost").partition("?")
    headers = tuple((name.lower(), str(value)) for name, value in prepared.headers.items())
    body = prepared.body or b""
    body = body if isinstance(body, bytes) else body.encode()
    return parse_message(UnverifiedRequest(made["method"], path, query, headers, body), JSON)


@pytest.mark.parametrize("full", [True, False], ids=["every member", "required members"])
@pytest.mark.parametrize(("service", "name"), OPERATIONS)
def test_a_request_that_botocore_serialises_is_named_and_read_equal(
    service: str, name: str, full: bool
) -> None:
    operation = MODELS[service].operation_model(name)
    parameters = value_for(operation.input_shape, full=full)
    message = sent(operation, parameters)
    # Two services have the path /tags/{resourceArn}: the one that the request is signed for is named.
    signing_name = SERVICES[service].signing_name
    assert REST_JSON.name(SERVICES, signing_name, message) == (SERVICES[service], name)
    struct = SERVICES[service].structs[operation.input_shape.name]
    assert REST_JSON.read(SERVICES[service], name, message) == msgspec.convert(parameters, struct)


@pytest.mark.parametrize("full", [True, False], ids=["every member", "required members"])
@pytest.mark.parametrize(("service", "name"), OPERATIONS)
def test_an_answer_is_read_equal_by_botocore(service: str, name: str, full: bool) -> None:
    shape = MODELS[service].operation_model(name).output_shape
    values = {} if shape is None else value_for(shape, full=full)
    result = None if shape is None else msgspec.convert(values, SERVICES[service].structs[shape.name])
    answer = REST_JSON.render(SERVICES[service], name, result, "request-1")
    parser = ResponseParserFactory().create_parser("rest-json")
    read = parser.parse({"status_code": answer.status, "headers": {}, "body": answer.body}, shape)
    read.pop("ResponseMetadata")
    assert without_empty(read) == without_empty(values)


def without_empty(value: object) -> object:
    """Lists and maps without members left out: an absent one and an empty one are the same to us. Times in seconds."""
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, dict):
        found = {key: without_empty(item) for key, item in value.items()}
        return {key: item for key, item in found.items() if item not in ([], {})}
    return [without_empty(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize(("service", "name"), OPERATIONS)
def test_modelled_errors_are_read_equal_by_botocore(service: str, name: str) -> None:
    operation = MODELS[service].operation_model(name)
    for shape in operation.error_shapes:
        answer = REST_JSON.refuse(SERVICES[service], Refusal(shape.name, NASTY), "request-1")
        headers = {key.lower(): value for key, value in answer.headers}
        parser = ResponseParserFactory().create_parser("rest-json")
        raw = {"status_code": answer.status, "headers": headers, "body": answer.body}
        assert answer.status == shape.metadata.get("error", {}).get("httpStatusCode", 400)
        assert parser.parse(raw, operation.output_shape)["Error"]["Code"] == shape.name
        members = parser.parse(raw, shape)
        assert NASTY in (members.get("message"), members.get("error_description"))


# Proofs that the models do not call sensitive, spelled out apart from the code's own table.
PROOFS = ("AuthCode", "DeviceCode", "AuthorizationCode", "CodeVerifier")


def secrets_in(shape: Shape) -> int:
    if shape.metadata.get("sensitive") or shape.name in PROOFS:
        return 1
    if isinstance(shape, ListShape):
        return 2 * secrets_in(shape.member)  # lists have two members here
    return sum(map(secrets_in, shape.members.values())) if isinstance(shape, StructureShape) else 0


@pytest.mark.parametrize(("service", "name"), OPERATIONS)
def test_the_journal_sees_every_parameter_and_no_secret(service: str, name: str) -> None:
    shape = MODELS[service].operation_model(name).input_shape
    values = value_for(shape, full=True)
    request = msgspec.convert(values, SERVICES[service].structs[shape.name])
    shown = audit_parameters(SERVICES[service], name, request)
    assert shown.keys() == values.keys()
    assert msgspec.json.encode(shown).decode().count(HIDDEN) == secrets_in(shape)
