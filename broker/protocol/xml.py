"""Results and refusals -> XML, in the layout of the AWS Query protocol.

One renderer per operation, compiled on first use: a list of functions that each give one element. An optional
member that is None has no element. A list without members is rendered empty, as AWS does (`AttachedPolicies`),
because botocore gives a caller no key at all for an element that is missing; only an empty `Tags` below the top
is left out, where AWS leaves it out. Policy documents in IAM's answers are percent-encoded (RFC 3986) JSON: the
model does not say so, AWS does it and every SDK undoes it.

Characters that XML 1.0 cannot carry become U+FFFD: requests cannot bring them in (`constraints`), but a message
may quote one back.
"""

import base64
import re
from collections.abc import Callable
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any
from urllib.parse import quote

import msgspec

from broker.errors import Refusal, status_and_fault
from broker.protocol.model import Renderer, ServiceModel, Shape, fields_by_wire_name

# The namespace of refusals given before the service was known (measured on AWS STS: InvalidAction).
FAULT_NAMESPACE = "http://webservices.amazon.com/AWSFault/2005-15-09"
PERCENT_ENCODED = frozenset({"policyDocumentType"})

_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#xD;"}
_needs_escape = re.compile("[&<>\r\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")

Text = Callable[[Any], str]


def escape(text: str) -> str:
    """`text` as the content of an element."""
    if text.isprintable() and "&" not in text and "<" not in text and ">" not in text:
        return text  # nearly always; four times as fast as the expression
    return _needs_escape.sub(lambda match: _ESCAPES.get(match[0], "\ufffd"), text)


def render_result(
    service: ServiceModel, operation: str, result: msgspec.Struct | None, request_id: str
) -> bytes:
    """The answer of `operation`; TypeError where `result` is not the struct that the model names."""
    renderer = service.renderers.get(operation)
    if renderer is None:
        renderer = service.renderers[operation] = _compile(service, operation)
    return renderer(result, request_id)


def render_refusal(service: ServiceModel | None, refusal: Refusal, request_id: str) -> tuple[int, bytes]:
    """HTTP status and body of a refusal; `service` is None where no service was named. An empty message has no
    element, as on AWS."""
    status, fault = status_and_fault(refusal) if service is None else service.status_and_fault(refusal)
    namespace = FAULT_NAMESPACE if service is None else service.namespace
    message = f"<Message>{escape(refusal.message)}</Message>" if refusal.message else ""
    body = (
        f'<ErrorResponse xmlns="{namespace}"><Error><Type>{fault}</Type><Code>{escape(refusal.code)}</Code>'
        f"{message}</Error><RequestId>{escape(request_id)}</RequestId></ErrorResponse>"
    )
    return status, body.encode()


def _compile(service: ServiceModel, operation: str) -> Renderer:
    output = service.operations[operation].output
    head = f'<{operation}Response xmlns="{service.namespace}">'
    middle = "<ResponseMetadata><RequestId>"
    tail = f"</RequestId></ResponseMetadata></{operation}Response>"
    body: Text = lambda _result: ""  # noqa: E731
    expected: type[Any] = type(None)
    if output is not None:
        expected, body = service.structs[output.shape], _structure(service, output.shape, is_top=True)
        wrapper = output.result_wrapper or f"{operation}Result"
        head, middle = f"{head}<{wrapper}>", f"</{wrapper}>{middle}"

    def render(result: msgspec.Struct | None, request_id: str) -> bytes:
        if type(result) is not expected:
            raise TypeError(f"{operation} answers {expected.__name__}, not {type(result).__name__}")
        return f"{head}{body(result)}{middle}{escape(request_id)}{tail}".encode()

    return render


def _structure(service: ServiceModel, name: str, *, is_top: bool = False) -> Text:
    shape = service.shapes[name]
    fields = fields_by_wire_name(service.structs[name])
    elements = [
        _element(service, reference.shape, fields[wire_name], reference.location_name or wire_name, is_top)
        for wire_name, reference in shape.members.items()
    ]
    return lambda struct: "".join([element(struct) for element in elements])


def _element(service: ServiceModel, name: str, field: str, tag: str, is_top: bool) -> Text:
    """A function from the structure that has the member to the member's element, or to nothing."""
    shape, get, text = service.shapes[name], attrgetter(field), _text(service, name)
    opening, closing, empty = f"<{tag}>", f"</{tag}>", f"<{tag}/>"

    def element(struct: Any) -> str:
        value = get(struct)
        return "" if value is None else f"{opening}{text(value)}{closing}"

    def collection(struct: Any) -> str:
        value = get(struct)
        return f"{opening}{text(value)}{closing}" if value else empty

    if shape.type not in ("list", "map"):
        return element
    if shape.flattened:
        members = _flattened(service, shape, tag)
        return lambda struct: members(get(struct))
    if tag == "Tags" and not is_top:
        empty = ""
    return collection


def _text(service: ServiceModel, name: str) -> Text:
    """A function from a value of shape `name` to the content of its element."""
    shape = service.shapes[name]
    if shape.type == "structure":
        return _structure(service, name)
    if shape.type == "list":
        assert shape.member is not None
        return _members(_text(service, shape.member.shape), shape.member.location_name or "member")
    if shape.type == "map":
        return _entries(service, shape, "entry")
    if name in PERCENT_ENCODED:
        return lambda value: quote(value, safe="")
    return _SCALARS.get(shape.type, escape)


def _members(text: Text, tag: str) -> Text:
    opening, closing = f"<{tag}>", f"</{tag}>"
    return lambda values: "".join([f"{opening}{text(value)}{closing}" for value in values])


def _entries(service: ServiceModel, shape: Shape, tag: str) -> Text:
    assert shape.key is not None and shape.value is not None
    key, value = shape.key.location_name or "key", shape.value.location_name or "value"
    text = _text(service, shape.value.shape)
    return lambda entries: "".join(
        [f"<{tag}><{key}>{escape(k)}</{key}><{value}>{text(v)}</{value}></{tag}>" for k, v in entries.items()]
    )


def _flattened(service: ServiceModel, shape: Shape, tag: str) -> Text:
    if shape.type == "map":
        return _entries(service, shape, tag)
    assert shape.member is not None
    return _members(_text(service, shape.member.shape), shape.member.location_name or tag)


def format_timestamp(seconds: float) -> str:
    """ISO 8601 in UTC, to the second, as every query service prints it."""
    return datetime.fromtimestamp(int(seconds), UTC).isoformat()[:19] + "Z"


_SCALARS: dict[str, Text] = {
    "boolean": lambda value: "true" if value else "false",
    "integer": str,
    "long": str,
    "float": repr,
    "double": repr,
    "blob": lambda value: base64.b64encode(value).decode(),
    "timestamp": format_timestamp,
}
