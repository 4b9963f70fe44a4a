"""XML answers as code: the lines of a function that renders an operation's answer, generated from its model.

A member that is None has no element, even where the model requires it: AWS shows an account's root as a User without a
UserName. A list without members is rendered as an empty element, as on AWS (`AttachedPolicies`), because botocore gives
a caller no key for a missing element; only an empty `Tags` is mostly left out, and an empty `EvalDecisionDetails` of
one resource, as on AWS (`_empty_until`). Policy documents in IAM's answers are percent-encoded (RFC 3986) JSON: the
model does not say so, but AWS encodes and every SDK decodes.
"""

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote

from broker.protocol.codegen import indented
from broker.protocol.model import ServiceModel, Shape, fields_by_wire_name

PERCENT_ENCODED = frozenset({"policyDocumentType"})


@lru_cache(maxsize=4096)  # more than the dates of one page of AWS's policies
def format_timestamp(seconds: float) -> str:
    """ISO 8601 in UTC, to the second, as every query service prints it."""
    return datetime.fromtimestamp(int(seconds), UTC).isoformat()[:19] + "Z"


_ENCODED = [quote(chr(code), safe="") for code in range(128)]


def percent_encoded(text: str) -> str:
    """As `quote` with nothing safe, in a quarter of its time where the text is ASCII: a page has many policies."""
    return text.translate(_ENCODED) if text.isascii() else quote(text, safe="")


CONVERSIONS: dict[str, Callable[[Any], str]] = {
    "boolean": lambda value: "true" if value else "false",
    "integer": str,
    "long": str,
    "float": repr,
    "double": repr,
    "blob": lambda value: base64.b64encode(value).decode(),
    "timestamp": format_timestamp,
    "percent": percent_encoded,
}


class _Markup(NamedTuple):
    """A step of an answer: text that is written unchanged."""

    text: str


class _Text(NamedTuple):
    """A step of an answer: an expression whose value is written, escaped."""

    expression: str


_Steps = list[_Markup | _Text | str]  # a str is a line of code


def _lines(steps: _Steps) -> list[str]:
    """The code of `steps`; adjacent markup and texts become one statement."""
    lines, markup, pieces = [], "", ""
    for step in (*steps, ""):
        if isinstance(step, _Markup):
            markup += step.text
        elif isinstance(step, _Text):
            markup, pieces = "", f"{pieces}{markup!r}, {step.expression}, "
        else:
            pieces += f"{markup!r}, ''" if markup else ""
            lines += [f"pieces += ({pieces})"] if pieces else []
            lines += [step] if step else []
            markup = pieces = ""
    return lines


class _Answer(NamedTuple):
    """What all steps of one answer need. `empty_until`: the depth until which an empty list or map is written, by its
    tag, where there is one; 1 is the top level.
    """

    service: ServiceModel
    empty_until: Mapping[str, int]


# These show an empty `Tags` of the entity that was asked for; GetUser and GetRole do not. Recorded of AWS in 2026.
_WITH_EMPTY_TAGS = frozenset({"GetPolicy", "GetInstanceProfile", "GetServerCertificate"})


def _empty_until(operation: str) -> Mapping[str, int]:
    """A simulation's result has its details even where they are empty, the result on one resource has not."""
    if operation in _WITH_EMPTY_TAGS:
        return {"Tags": 2}
    return {"Tags": 1 if operation.startswith(("Get", "List")) else 0, "EvalDecisionDetails": 3}


def answer_lines(service: ServiceModel, operation: str) -> list[str]:
    """The lines of a function that returns the pieces of an answer: markup and text alternately."""
    output = service.operations[operation].output
    head, middle = f'<{operation}Response xmlns="{service.namespace}">', "<ResponseMetadata><RequestId>"
    members: _Steps = []
    if output is not None:
        wrapper = output.result_wrapper or f"{operation}Result"
        head, middle = f"{head}<{wrapper}>", f"</{wrapper}>{middle}"
        members = _structure(_Answer(service, _empty_until(operation)), output.shape, 0)
    tail = _Markup(f"</RequestId></ResponseMetadata></{operation}Response>")
    steps = [_Markup(head), *members, _Markup(middle), _Text("request_id"), tail]
    return ["pieces = []", *_lines(steps), "return pieces"]


def _structure(answer: _Answer, name: str, depth: int) -> _Steps:
    """Steps that write the members of the structure in the variable v`depth`."""
    shape, fields = answer.service.shapes[name], fields_by_wire_name(answer.service.structs[name])
    steps: _Steps = []
    for wire_name, reference in shape.members.items():
        tag, member = reference.location_name or wire_name, f"v{depth}.{fields[wire_name]}"
        steps += [f"v{depth + 1} = {member}", *_member(answer, reference.shape, tag, depth + 1)]
    return steps


def _member(answer: _Answer, name: str, tag: str, depth: int) -> list[str]:
    """Lines that write the value in v`depth`, if there is one."""
    shape, value = answer.service.shapes[name], f"v{depth}"
    if shape.flattened:
        return [f"if {value}:", *indented(_lines(_members(answer, shape, tag, depth)))]
    lines = indented(_lines(_element(answer, name, tag, value, depth)))
    if shape.type not in ("list", "map"):
        return [f"if {value} is not None:", *lines]
    if depth > answer.empty_until.get(tag, depth):
        return [f"if {value}:", *lines]
    return [f"if {value}:", *lines, f"elif {value} is not None:", *indented(_lines([_Markup(f"<{tag}/>")]))]


def _element(answer: _Answer, name: str, tag: str, value: str, depth: int) -> _Steps:
    """Steps that write a value and its tags; a structure, list or map is in v`depth`."""
    shape = answer.service.shapes[name]
    content: _Steps = []
    if shape.type == "structure":
        content = _structure(answer, name, depth)
    elif shape.type in ("list", "map"):
        content = _members(answer, shape, "member" if shape.type == "list" else "entry", depth)
    elif name in PERCENT_ENCODED:
        content = [_Text(f"percent({value})")]
    else:
        content = [_Text(f"{shape.type}({value})" if shape.type in CONVERSIONS else value)]
    return [_Markup(f"<{tag}>"), *content, _Markup(f"</{tag}>")]


def _members(answer: _Answer, shape: Shape, tag: str, depth: int) -> _Steps:
    """Steps that write the members of the list, or the entries of the map, in v`depth`."""
    value = f"v{depth + 1}"
    if shape.member is not None:
        steps = _element(answer, shape.member.shape, shape.member.location_name or tag, value, depth + 1)
        return [f"for {value} in v{depth}:", *indented(_lines(steps))]
    assert shape.key is not None and shape.value is not None
    key_tag, value_tag = shape.key.location_name or "key", shape.value.location_name or "value"
    steps = [
        *(_Markup(f"<{tag}><{key_tag}>"), _Text(f"key{depth}"), _Markup(f"</{key_tag}>")),
        *_element(answer, shape.value.shape, value_tag, value, depth + 1),
        _Markup(f"</{tag}>"),
    ]
    return [f"for key{depth}, {value} in v{depth}.items():", *indented(_lines(steps))]
