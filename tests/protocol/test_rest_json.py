"""Every operation of the REST-JSON services, with botocore on the other side: requests, answers, errors."""

import msgspec
import pytest
from botocore.awsrequest import AWSRequest
from botocore.loaders import Loader
from botocore.model import ListShape, OperationModel, Shape, StructureShape
from botocore.model import ServiceModel as BotocoreModel
from botocore.parsers import ResponseParserFactory
from botocore.serialize import create_serializer

from broker.errors import Refusal
from broker.protocol.model import load_service
from broker.protocol.redaction import HIDDEN, audit_parameters
from broker.protocol.rest_json import JSON, REST_JSON
from broker.protocol.wire import Message, parse_message
from broker.sigv4.authorization import UnverifiedRequest

SERVICES = {name: load_service(name) for name in ("sso", "sso-oidc")}
MODELS = {name: BotocoreModel(Loader().load_service_model(name, "service-2"), name) for name in SERVICES}
OPERATIONS = [(name, operation) for name, model in MODELS.items() for operation in model.operation_names]
NASTY = " &<>\"'%2F+=ä€\r\n\t😀;#?]]>\\/"
# Headers carry no control characters, and latin-1 alone.
IN_A_HEADER = "a+b/c=d %2F&~"


def value_for(shape: Shape, *, full: bool, text: str = NASTY) -> object:
    if isinstance(shape, StructureShape):
        names = list(shape.members) if full else shape.required_members
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
    if shape.type_name in ("integer", "long"):
        return max(shape.metadata.get("min", 0), 7)
    return text


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
    assert REST_JSON.name(SERVICES, None, message) == (SERVICES[service], name)
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
    assert {key: value for key, value in read.items() if value != []} == values


@pytest.mark.parametrize(("service", "name"), OPERATIONS)
def test_modelled_errors_are_read_equal_by_botocore(service: str, name: str) -> None:
    operation = MODELS[service].operation_model(name)
    for shape in operation.error_shapes:
        answer = REST_JSON.refuse(SERVICES[service], Refusal(shape.name, NASTY), "request-1")
        headers = {key.lower(): value for key, value in answer.headers}
        parser = ResponseParserFactory().create_parser("rest-json")
        raw = {"status_code": answer.status, "headers": headers, "body": answer.body}
        assert answer.status == shape.metadata["error"]["httpStatusCode"]
        assert parser.parse(raw, operation.output_shape)["Error"]["Code"] == shape.name
        members = parser.parse(raw, shape)
        assert NASTY in (members.get("message"), members.get("error_description"))


# Proofs that the models do not call sensitive, spelled out apart from the code's own table.
PROOFS = ("AuthCode", "DeviceCode")


@pytest.mark.parametrize(("service", "name"), OPERATIONS)
def test_the_journal_sees_every_parameter_and_no_secret(service: str, name: str) -> None:
    shape = MODELS[service].operation_model(name).input_shape
    values = value_for(shape, full=True)
    request = msgspec.convert(values, SERVICES[service].structs[shape.name])
    shown = audit_parameters(SERVICES[service], name, request)
    assert shown.keys() == values.keys()
    secret = {
        key
        for key, member in shape.members.items()
        if member.metadata.get("sensitive") or member.name in PROOFS
    }
    assert {key for key, value in shown.items() if value == HIDDEN} == secret
