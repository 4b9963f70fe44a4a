"""Every operation of IAM and STS, with botocore on the other side.

What botocore serialises, we read equal; what we render, botocore's own parser reads equal. Values are made from
the model: as nasty as each pattern permits, because what breaks a protocol is `&`, `%`, `+`, spaces and letters
outside ASCII.
"""

import json
from datetime import UTC, datetime
from urllib.parse import unquote

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
from broker.protocol.extensions import extended
from broker.protocol.form import parse_form
from broker.protocol.json import render_json_result
from broker.protocol.markup import PERCENT_ENCODED
from broker.protocol.model import load_service
from broker.protocol.redaction import HIDDEN, audit_parameters
from broker.protocol.request import read_request
from broker.protocol.xml import render_refusal, render_result

SERVICES = {name: load_service(name) for name in ("iam", "sts")}
MODELS = {
    name: BotocoreModel(extended(name, Loader().load_service_model(name, "service-2")), name)
    for name in SERVICES
}
OPERATIONS = [(name, operation) for name, model in MODELS.items() for operation in model.operation_names]

CANDIDATES = (
    " &<>\"'%2F+=ä€\r\n\t😀;#?]]>",
    " &<>\"'%2F+=\r\n\t;#?",
    "p+q=r s/t:u.v@ä-",
    "{a}+b.c@d-e=f,g",
    "a+b=c,d.e@f-g",
    "a_b-c.d",
    "Aa0",
    "0",
    "A",
    "/nasty+path=,.@-/",
    "/a b&<%>/",
    "123456789012",
    "v12.a-B",
    "https://example.com/a_b?c=d&e#f",
    "o-a1b2c3d4e5",
    "o-a1b2c3d4e5/r-a1b2",
    "p-abcd1234",
    "a1b-c2",
    "/",
)


def text_for(shape: Shape, service: str) -> str:
    """The first candidate that the shape's own constraints allow, repeated up to its least length."""
    ours = SERVICES[service].shapes[shape.name]
    if ours.enum:
        return ours.enum[-1]
    check, least = string_check(ours), ours.min or 0
    for candidate in CANDIDATES:
        repeated = candidate * (1 + least // len(candidate))
        for text in (candidate, repeated, repeated[: max(least, 1)]):
            if not check(text):
                return text
    raise AssertionError(f"no candidate satisfies {shape.name}: {ours.pattern}")


def value_for(shape: Shape, service: str, *, full: bool, size: int = 2) -> object:
    if isinstance(shape, StructureShape):
        # A form cannot carry a structure without members, so one that requires none gets its first.
        first = list(shape.members)[:1]
        names = list(shape.members) if full else shape.required_members or first
        names = first if shape.is_tagged_union else names
        return {name: value_for(shape.members[name], service, full=full) for name in names}
    if isinstance(shape, ListShape):
        count = max(shape.metadata.get("min", 0), size)
        return [value_for(shape.member, service, full=full) for _ in range(count)]
    if isinstance(shape, MapShape):
        return {text_for(shape.key, service): value_for(shape.value, service, full=full)}
    if shape.type_name == "boolean":
        return True
    if shape.type_name == "integer":
        return shape.metadata.get("min", 7)
    if shape.type_name == "blob":
        return b"\x00\xff+/&<"
    return 1767225600 if shape.type_name == "timestamp" else text_for(shape, service)


def serialised(operation: OperationModel, parameters: object) -> bytes:
    """The body that botocore sends for a call."""
    serializer = create_serializer("query", include_validation=True)
    request = serializer.serialize_to_request(parameters, operation)
    body = AWSRequest("POST", "http://localhost/", data=request["body"]).prepare().body
    return body if isinstance(body, bytes) else body.encode()


def parsed(status: int, body: bytes, shape: Shape | None) -> dict[str, object]:
    factory = ResponseParserFactory()
    factory.set_parser_defaults(timestamp_parser=lambda text: text)
    parser = factory.create_parser("query")
    return parser.parse({"status_code": status, "headers": {}, "body": body}, shape)


def undo_percent_encoding(value: object, shape: Shape) -> object:
    if isinstance(shape, StructureShape):
        return {name: undo_percent_encoding(item, shape.members[name]) for name, item in value.items()}
    if isinstance(shape, ListShape):
        return [undo_percent_encoding(item, shape.member) for item in value]
    if isinstance(shape, MapShape):
        return {key: undo_percent_encoding(item, shape.value) for key, item in value.items()}
    if shape.type_name == "timestamp":
        assert value in ("2026-01-01T00:00:00Z", datetime(2026, 1, 1, tzinfo=UTC))
        return 1767225600
    return unquote(value) if shape.name in PERCENT_ENCODED else value


def without_empty(value: object) -> object:
    """Lists and maps without members left out: the model does not say which of them are rendered."""
    if isinstance(value, dict):
        return {key: without_empty(item) for key, item in value.items() if item not in ([], {})}
    return [without_empty(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("full", [True, False], ids=["every member", "required members"])
@pytest.mark.parametrize(("service", "name"), OPERATIONS)
def test_a_request_that_botocore_serialises_is_read_equal(service: str, name: str, full: bool) -> None:
    operation = MODELS[service].operation_model(name)
    if operation.input_shape is None:
        assert read_request(SERVICES[service], name, {"Action": name}) is None
        return
    parameters = value_for(operation.input_shape, service, full=full)
    request = read_request(SERVICES[service], name, parse_form(serialised(operation, parameters)))
    struct = SERVICES[service].structs[operation.input_shape.name]
    assert request == msgspec.convert(parameters, struct)
    assert struct.__struct_fields__ == tuple(xform_name(member) for member in operation.input_shape.members)


@pytest.mark.parametrize("full", [True, False], ids=["every member", "required members"])
@pytest.mark.parametrize(("service", "name"), OPERATIONS)
def test_an_answer_is_read_equal_by_botocore(service: str, name: str, full: bool) -> None:
    shape = MODELS[service].operation_model(name).output_shape
    if shape is None:
        answer = parsed(200, render_result(SERVICES[service], name, None, "request-1"), None)
        assert answer["ResponseMetadata"]["RequestId"] == "request-1"
        return
    values = value_for(shape, service, full=full)
    result = msgspec.convert(values, SERVICES[service].structs[shape.name])
    answer = parsed(200, render_result(SERVICES[service], name, result, "request-1"), shape)
    assert answer.pop("ResponseMetadata")["RequestId"] == "request-1"
    assert without_empty(undo_percent_encoding(answer, shape)) == without_empty(values)


@pytest.mark.parametrize("full", [True, False], ids=["every member", "required members"])
@pytest.mark.parametrize(("service", "name"), OPERATIONS)
def test_an_answer_in_json_is_read_equal_by_botocores_reader_of_json(
    service: str, name: str, full: bool
) -> None:
    shape = MODELS[service].operation_model(name).output_shape
    if shape is None:
        answer = json.loads(render_json_result(SERVICES[service], name, None, "request-1"))
        assert answer == {f"{name}Response": {"ResponseMetadata": {"RequestId": "request-1"}}}
        return
    values = value_for(shape, service, full=full)
    result = msgspec.convert(values, SERVICES[service].structs[shape.name])
    (answer,) = json.loads(render_json_result(SERVICES[service], name, result, "request-1")).values()
    assert answer.pop("ResponseMetadata") == {"RequestId": "request-1"}
    ((wrapper, shown),) = answer.items()
    assert wrapper == shape.serialization["resultWrapper"]
    read = (
        ResponseParserFactory()
        .create_parser("json")
        .parse({"status_code": 200, "headers": {}, "body": json.dumps(shown).encode()}, shape)
    )
    read.pop("ResponseMetadata")
    assert without_empty(undo_percent_encoding(read, shape)) == without_empty(values)


def without_marks(value: object) -> object:
    """The same with texts in which no character needs an escape."""
    if isinstance(value, dict):
        return {
            without_marks(key) if isinstance(key, str) else key: without_marks(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [without_marks(item) for item in value]
    return "".join(filter(str.isalnum, value.replace("ä", "a"))) if isinstance(value, str) else value


@pytest.mark.parametrize(("service", "name"), OPERATIONS)
def test_an_answer_is_the_same_whether_or_not_one_text_has_to_be_escaped(service: str, name: str) -> None:
    shape = MODELS[service].operation_model(name).output_shape
    result = None
    if shape is not None:
        values = {
            member: without_marks(value) for member, value in value_for(shape, service, full=True).items()
        }
        result = msgspec.convert(values, SERVICES[service].structs[shape.name])
    plain = render_result(SERVICES[service], name, result, "request-1")
    escaped = render_result(SERVICES[service], name, result, "<&>")
    assert escaped == plain.replace(b">request-1<", b">&lt;&amp;&gt;<")


@pytest.mark.parametrize(("service", "name"), OPERATIONS)
def test_modelled_errors_are_read_equal_by_botocore(service: str, name: str) -> None:
    operation = MODELS[service].operation_model(name)
    for shape in operation.error_shapes:
        code = shape.error_code
        status, body = render_refusal(SERVICES[service], Refusal(code, "No <such> & thing\r\n"), "request-1")
        answer = parsed(status, body, operation.output_shape)
        assert status == shape.metadata.get("error", {}).get("httpStatusCode", 400)
        assert answer["Error"]["Code"] == code
        assert answer["Error"]["Message"] == "No <such> & thing\r\n"
        assert answer["Error"]["Type"] == ("Sender" if status < 500 else "Receiver")
        assert answer["ResponseMetadata"]["RequestId"] == "request-1"


# Proofs that the models do not call sensitive; the shapes are spelled out here, apart from the code's own table.
PROOFS = ("authenticationCodeType", "tokenCodeType", "contextAssertionType")


def sensitive_values(value: object, shape: Shape) -> list[object]:
    if shape.metadata.get("sensitive") or shape.name in PROOFS:
        return [value]
    if isinstance(shape, StructureShape):
        return [
            found for name, item in value.items() for found in sensitive_values(item, shape.members[name])
        ]
    if isinstance(shape, ListShape):
        return [found for item in value for found in sensitive_values(item, shape.member)]
    return []


@pytest.mark.parametrize(("service", "name"), OPERATIONS)
def test_the_journal_sees_every_parameter_and_no_secret(service: str, name: str) -> None:
    shape = MODELS[service].operation_model(name).input_shape
    if shape is None:
        assert audit_parameters(SERVICES[service], name, None) is None
        return
    values = value_for(shape, service, full=True)
    request = msgspec.convert(values, SERVICES[service].structs[shape.name])
    shown = audit_parameters(SERVICES[service], name, request)
    assert {key.lower() for key in shown} == {key.lower() for key in values}
    assert all(key[0].islower() for key in shown)
    text = msgspec.json.encode(shown).decode()
    assert text.count(HIDDEN) == len(sensitive_values(values, shape))
