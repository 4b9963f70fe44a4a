"""Results and refusals -> XML, in the layout of the AWS Query protocol.

One renderer per operation, written as straight-line Python on first use, in which texts stand as they are, and
compiled once more with every text escaped when one needs it.
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
from functools import cache, lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec

from broker.errors import Refusal, status_and_fault
from broker.protocol.model import Renderer, ServiceModel, Shape, fields_by_wire_name
from broker.protocol.straight import compile_function, indented

# The namespace of refusals given before the service was known (measured on AWS STS: InvalidAction).
FAULT_NAMESPACE = "http://webservices.amazon.com/AWSFault/2005-15-09"
PERCENT_ENCODED = frozenset({"policyDocumentType"})

_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#xD;"}
_needs_escape = re.compile("[&<>\r\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
# As it is, an octet that stands for itself; a space for each that has to be escaped.
_MARKED = bytes(octet for octet in range(128) if _needs_escape.match(chr(octet)))
_UNMARKED = bytes.maketrans(_MARKED, b" " * len(_MARKED))


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
    expected = type(None) if output is None else service.structs[output.shape]
    render_plain = _straight(service, operation, is_plain=True)
    render_escaped = cache(lambda: _straight(service, operation, is_plain=False))

    def render(result: msgspec.Struct | None, request_id: str) -> bytes:
        if type(result) is not expected:
            raise TypeError(f"{operation} answers {expected.__name__}, not {type(result).__name__}")
        answer, texts = render_plain(result, request_id)
        if texts.isascii() and (octets := texts.encode()).translate(_UNMARKED) == octets:
            return answer.encode()  # nearly always: one look at all texts together
        return render_escaped()(result, request_id)[0].encode()

    return render


def _straight(service: ServiceModel, operation: str, *, is_plain: bool) -> Callable[..., tuple[str, str]]:
    """A function of result and request id that answers the XML and, where `is_plain`, all texts that it put into
    the XML as they were; else they are escaped."""
    output = service.operations[operation].output
    head, body = f'<{operation}Response xmlns="{service.namespace}">', []
    middle = "<ResponseMetadata><RequestId>"
    if output is not None:
        wrapper = output.result_wrapper or f"{operation}Result"
        head, middle = f"{head}<{wrapper}>", f"</{wrapper}>{middle}"
        body = _structure(_Place(service, is_plain), output.shape)
    lines = [
        f"answer, texts = [{head!r}], []",
        *body,
        "v1 = request_id",
        *_text(middle, "v1", f"</RequestId></ResponseMetadata></{operation}Response>", is_plain),
        "return ''.join(answer), ''.join(texts)",
    ]
    return compile_function(operation, "v0, request_id", lines, {**_SCALARS, "escape": escape})


class _Place(NamedTuple):
    """Where lines are written for: the value at `depth` is the variable v0, v1, ..."""

    service: ServiceModel
    is_plain: bool
    depth: int = 0

    @property
    def value(self) -> str:
        return f"v{self.depth}"

    def below(self) -> "_Place":
        return self._replace(depth=self.depth + 1)


def _structure(place: _Place, name: str) -> list[str]:
    """Lines that write the members of the structure at `place`."""
    fields, lines = fields_by_wire_name(place.service.structs[name]), []
    for wire_name, reference in place.service.shapes[name].members.items():
        member = place.below()
        lines.append(f"{member.value} = {place.value}.{fields[wire_name]}")
        lines += _member(member, reference.shape, reference.location_name or wire_name)
    return lines


def _member(place: _Place, name: str, tag: str) -> list[str]:
    """Lines that write a member of a structure, if it has a value."""
    shape = place.service.shapes[name]
    if shape.flattened:
        return [f"if {place.value}:", *indented(_members(place, shape, tag))]
    if shape.type not in ("list", "map"):
        return [f"if {place.value} is not None:", *indented(_element(place, name, tag))]
    lines = [f"if {place.value}:", *indented(_element(place, name, tag))]
    if tag != "Tags" or place.depth == 1:
        lines += [f"elif {place.value} is not None:", f"    answer.append('<{tag}/>')"]
    return lines


def _element(place: _Place, name: str, tag: str) -> list[str]:
    """Lines that write a value which is there, and its tags."""
    shape = place.service.shapes[name]
    opening, closing = f"<{tag}>", f"</{tag}>"
    if shape.type == "structure":
        content = _structure(place, name)
    elif shape.type in ("list", "map"):
        content = _members(place, shape, "member" if shape.type == "list" else "entry")
    elif name in PERCENT_ENCODED:
        return [f"answer.append(f'{opening}{{percent({place.value})}}{closing}')"]
    elif shape.type in _SCALARS:
        return [f"answer.append(f'{opening}{{{shape.type}({place.value})}}{closing}')"]
    else:
        return _text(opening, place.value, closing, place.is_plain)
    return [f"answer.append('{opening}')", *content, f"answer.append('{closing}')"]


def _text(before: str, value: str, behind: str, is_plain: bool) -> list[str]:
    if is_plain:
        return [f"answer.append(f'{before}{{{value}}}{behind}')", f"texts.append({value})"]
    return [f"answer.append(f'{before}{{escape({value})}}{behind}')"]


def _members(place: _Place, shape: Shape, tag: str) -> list[str]:
    """Lines that write the members of the list, or the entries of the map, at `place`."""
    member = place.below()
    if shape.member is not None:
        lines = _element(member, shape.member.shape, shape.member.location_name or tag)
        return [f"for {member.value} in {place.value}:", *indented(lines)]
    assert shape.key is not None and shape.value is not None
    value, key = member.below(), shape.key.location_name or "key"
    lines = [
        *_text(f"<{tag}><{key}>", member.value, f"</{key}>", place.is_plain),
        *_element(value, shape.value.shape, shape.value.location_name or "value"),
        f"answer.append('</{tag}>')",
    ]
    return [f"for {member.value}, {value.value} in {place.value}.items():", *indented(lines)]


@lru_cache(maxsize=256)
def format_timestamp(seconds: float) -> str:
    """ISO 8601 in UTC, to the second, as every query service prints it."""
    return datetime.fromtimestamp(int(seconds), UTC).isoformat()[:19] + "Z"


_SCALARS: dict[str, Callable[[Any], str]] = {
    "boolean": lambda value: "true" if value else "false",
    "integer": str,
    "long": str,
    "float": repr,
    "double": repr,
    "blob": lambda value: base64.b64encode(value).decode(),
    "timestamp": format_timestamp,
    "percent": lambda value: quote(value, safe=""),
}
