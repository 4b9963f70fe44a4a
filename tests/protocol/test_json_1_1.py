"""Every operation of the JSON 1.1 services, with botocore on the other side: requests, answers, errors."""

import json

import msgspec
import pytest
from botocore import xform_name
from botocore.awsrequest import AWSRequest
from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape
from botocore.model import ServiceModel as BotocoreModel
from botocore.parsers import ResponseParserFactory
from botocore.serialize import create_serializer

from broker.errors import Refusal
from broker.protocol.constraints import string_check
from broker.protocol.dispatch import find_protocol
from broker.protocol.json_1_1 import JSON_1_1, JSON_1_1_BODY
from broker.protocol.model import load_service
from broker.protocol.redaction import HIDDEN, audit_answer, audit_parameters
from broker.protocol.wire import Message, parse_message
from broker.sigv4.authorization import UnverifiedRequest

SERVICES = {name: load_service(name) for name in ("organizations",)}
MODELS = {name: BotocoreModel(Loader().load_service_model(name, "service-2"), name) for name in SERVICES}
OPERATIONS = [(name, operation) for name, model in MODELS.items() for operation in model.operation_names]
MOMENT = 1767225600
NASTY = " &<>\"'%2F+=ä€\r\n\t😀;#?]]>\\/"
CANDIDATES = (
    NASTY,
    "123456789012",
    "A b~",
    "ä b/c=d+e@f",
    "a+b=c,d.e@f-g",
    "a@b.example",
    "h-a1b2c3d4e5",
    "ou-a1b2-a1b2c3d4e5",
    "r-a1b2",
    "p-abcd123456",
    "car-a1b2c3d4e5",
    "rt-a1b2c3d4e5",
    "o-a1b2c3d4e5/r-a1b2/",
    "o-a1b2c3d4e5",
    "rp-a1b2c3d4e5",
    *(
        f"arn:aws:organizations::123456789012:{rest}"
        for rest in (
            "account/o-a1b2c3d4e5/123456789012",
            "organization/o-a1b2c3d4e5",
            "policy/o-a1b2c3d4e5/service_control_policy/p-a1b2c3d4e5",
            "ou/o-a1b2c3d4e5/ou-a1b2-a1b2c3d4",
            "handshake/o-a1b2c3d4e5/invite/h-a1b2c3d4e5",
            "root/o-a1b2c3d4e5/r-a1b2",
            "resourcepolicy/o-a1b2c3d4e5/rp-a1b2c3d4e5",
            "transfer/o-a1b2c3d4e5/billing/inbound/rt-a1b2c3d4e5",
        )
    ),
)


def text_for(shape: Shape, service: str) -> str:
    ours = SERVICES[service].shapes[shape.name]
    if ours.enum:
        return ours.enum[-1]
    check = string_check(ours)
    return next(text for text in CANDIDATES if not check(text))


def value_for(shape: Shape, service: str, *, full: bool, within: tuple[str, ...] = ()) -> object:
    if isinstance(shape, StructureShape):
        names = [
            name
            for name in (shape.members if full else shape.required_members)
            if not within.count(f"{shape.name}.{name}") > 1  # a structure inside itself: twice
        ]
        return {
            name: value_for(shape.members[name], service, full=full, within=(*within, f"{shape.name}.{name}"))
            for name in names
        }
    if isinstance(shape, ListShape):
        return [value_for(shape.member, service, full=full, within=within) for _ in range(2)]
    if isinstance(shape, MapShape):
        return {"a key": value_for(shape.value, service, full=full, within=within)}
    if shape.type_name == "boolean":
        return True
    if shape.type_name in ("integer", "long"):
        return max(shape.metadata.get("min", 0), 7)
    return MOMENT if shape.type_name == "timestamp" else text_for(shape, service)


def sent(operation: OperationModel, parameters: object) -> Message:
    """The request that botocore makes of a call."""
    made = create_serializer("json").serialize_to_request(parameters, operation)
    prepared = AWSRequest(
        made["method"], "http://localhost/", headers=made["headers"], data=made["body"]
    ).prepare()
    headers = tuple((name.lower(), str(value)) for name, value in prepared.headers.items())
    assert find_protocol("/", headers) is JSON_1_1
    assert dict(headers)["content-type"] == JSON_1_1_BODY
    return parse_message(UnverifiedRequest(made["method"], "/", "", headers, prepared.body), JSON_1_1_BODY)


def parsed(status: int, body: bytes, headers: dict[str, str], shape: Shape | None) -> dict[str, object]:
    factory = ResponseParserFactory()
    factory.set_parser_defaults(timestamp_parser=lambda value: value)
    raw = {"status_code": status, "headers": headers, "body": body}
    return dict(factory.create_parser("json").parse(raw, shape))


def without_empty(value: object) -> object:
    if isinstance(value, dict):
        found = {key: without_empty(item) for key, item in value.items()}
        return {key: item for key, item in found.items() if item not in ([], {})}
    return [without_empty(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("full", [True, False], ids=["every member", "required members"])
@pytest.mark.parametrize(("service", "name"), OPERATIONS)
def test_a_request_that_botocore_serialises_is_named_and_read_equal(
    service: str, name: str, full: bool
) -> None:
    operation = MODELS[service].operation_model(name)
    shape = operation.input_shape
    parameters = {} if shape is None else value_for(shape, service, full=full)
    message = sent(operation, parameters)
    assert JSON_1_1.name(SERVICES, service, message) == (SERVICES[service], name)
    request = JSON_1_1.read(SERVICES[service], name, message)
    if shape is None:
        assert request is None
        return
    struct = SERVICES[service].structs[shape.name]
    assert request == msgspec.convert(parameters, struct)
    assert struct.__struct_fields__ == tuple(xform_name(member) for member in shape.members)


@pytest.mark.parametrize("full", [True, False], ids=["every member", "required members"])
@pytest.mark.parametrize(("service", "name"), OPERATIONS)
def test_an_answer_is_read_equal_by_botocore(service: str, name: str, full: bool) -> None:
    shape = MODELS[service].operation_model(name).output_shape
    values = {} if shape is None else value_for(shape, service, full=full)
    result = None if shape is None else msgspec.convert(values, SERVICES[service].structs[shape.name])
    answer = JSON_1_1.render(SERVICES[service], name, result, "request-1")
    read = parsed(answer.status, answer.body, {}, shape)
    read.pop("ResponseMetadata")
    assert without_empty(read) == without_empty(values)


@pytest.mark.parametrize(("service", "name"), OPERATIONS)
def test_modelled_errors_are_read_equal_by_botocore(service: str, name: str) -> None:
    operation = MODELS[service].operation_model(name)
    for shape in operation.error_shapes:
        members = {one: "A_REASON" for one in shape.members if one != "Message"}
        refusal = Refusal(shape.name, NASTY, members=members)
        answer = JSON_1_1.refuse(SERVICES[service], refusal, "request-1")
        least = 500 if shape.metadata.get("fault") or shape.name == "ServiceException" else 400
        assert answer.status == shape.metadata.get("error", {}).get("httpStatusCode", least)
        for headers in ({key.lower(): value for key, value in answer.headers}, {}):  # header or body
            read = parsed(answer.status, answer.body, headers, operation.output_shape)
            assert read["Error"] == {"Code": shape.name, "Message": NASTY}
        shown = json.loads(answer.body)
        assert shown == {"__type": shape.name, "Message": NASTY, **members}


def sensitive_values(value: object, shape: Shape, within: tuple[str, ...] = ()) -> int:
    if shape.metadata.get("sensitive") or shape.name in within:
        return 1
    if isinstance(shape, StructureShape):
        around = (*within, shape.name)
        return sum(sensitive_values(item, shape.members[name], around) for name, item in value.items())
    return (
        sum(sensitive_values(item, shape.member, within) for item in value)
        if isinstance(shape, ListShape)
        else 0
    )


@pytest.mark.parametrize(("service", "name"), OPERATIONS)
def test_the_journal_sees_every_parameter_and_no_secret(service: str, name: str) -> None:
    operation = MODELS[service].operation_model(name)
    for shape, audited in ((operation.input_shape, audit_parameters), (operation.output_shape, audit_answer)):
        if shape is None:
            continue
        values = value_for(shape, service, full=True)
        shown = audited(
            SERVICES[service], name, msgspec.convert(values, SERVICES[service].structs[shape.name])
        )
        if shown is None:  # the answer of an operation that only reads
            assert name.startswith(("Describe", "List")) and audited is audit_answer
            continue
        assert {key.lower() for key in shown} == {key.lower() for key in values}
        assert msgspec.json.encode(shown).decode().count(HIDDEN) == sensitive_values(values, shape)
