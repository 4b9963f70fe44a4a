"""Results and refusals -> XML, in the layout of the AWS Query protocol.

One renderer per operation, compiled on first use: for each structure a table of its elements, walked by one loop.
An optional member that is None has no element. A list without members is rendered empty, as AWS does
(`AttachedPolicies`), because botocore gives a caller no key at all for an element that is missing; only an empty
`Tags` below the top is left out, where AWS leaves it out. Policy documents in IAM's answers are percent-encoded
(RFC 3986) JSON: the model does not say so, AWS does it and every SDK undoes it.

Characters that XML 1.0 cannot carry become U+FFFD: requests cannot bring them in (`constraints`), but a message
may quote one back.
"""

import base64
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any, NamedTuple
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


class _Element(NamedTuple):
    """How a member is shown: where it stands, its tags, its text; `empty` stands for a collection without members."""

    get: Callable[[Any], Any]
    opening: str
    text: Text
    closing: str
    empty: str | None = None


def _structure(service: ServiceModel, name: str, *, is_top: bool = False) -> Text:
    shape = service.shapes[name]
    fields = fields_by_wire_name(service.structs[name])
    elements = [
        _element(service, reference.shape, fields[wire_name], reference.location_name or wire_name, is_top)
        for wire_name, reference in shape.members.items()
    ]

    def render(struct: Any) -> str:
        rendered = ""
        for get, opening, text, closing, empty in elements:
            value = get(struct)
            if value is None:
                continue
            if value or empty is None:
                rendered += f"{opening}{text(value)}{closing}"
            else:
                rendered += empty
        return rendered

    return render


def _element(service: ServiceModel, name: str, field: str, tag: str, is_top: bool) -> _Element:
    shape, get = service.shapes[name], attrgetter(field)
    if shape.flattened:
        return _Element(get, "", _flattened(service, shape, tag), "", empty="")
    empty = None
    if shape.type in ("list", "map"):
        empty = "" if tag == "Tags" and not is_top else f"<{tag}/>"
    return _Element(get, f"<{tag}>", _text(service, name), f"</{tag}>", empty)


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
    return _format_second(int(seconds))


@lru_cache(maxsize=256)
def _format_second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat()[:19] + "Z"


_SCALARS: dict[str, Text] = {
    "boolean": lambda value: "true" if value else "false",
    "integer": str,
    "long": str,
    "float": repr,
    "double": repr,
    "blob": lambda value: base64.b64encode(value).decode(),
    "timestamp": format_timestamp,
}
