"""Requests and answers as the journal may show them: CloudTrail's spelling; sensitive members and proofs hidden."""

import base64
from functools import lru_cache
from typing import Any

import msgspec

from broker.protocol.codegen import compile_function, indented
from broker.protocol.markup import format_timestamp
from broker.protocol.model import PROOFS, Redactor, Reference, ServiceModel, fields_by_wire_name, label_of

HIDDEN = "HIDDEN_DUE_TO_SECURITY_REASONS"

# Operations that only read: CloudTrail's `responseElements` are null. Others that are called so issue credentials.
READING = ("Get", "List", "Describe", "Lookup", "Simulate", "Decode", "Check")
_ISSUING = ("Token", "Credentials")

# What is sensitive in the answers of these services are names and addresses: hidden, but given at any time again.
_PERSONAL = frozenset({"organizations"})

# Lines of code, and the expression whose value is shown after they ran.
Shown = tuple[list[str], str]

_CONVERSIONS = {
    "blob": lambda value: base64.b64encode(value).decode(),
    "timestamp": format_timestamp,
}


def audit_parameters(
    service: ServiceModel, operation: str, request: msgspec.Struct | None
) -> dict[str, Any] | None:
    """`requestParameters` of a CloudTrail record: JSON-able, None where the operation takes no input.

    Keys are the wire names with a small first letter; members that are None have no key.
    """
    redactor = service.redactors.get(operation)
    if redactor is None:
        redactor = service.redactors[operation] = _redactor(service, service.operations[operation].input)
    return redactor(request)


def audit_answer(
    service: ServiceModel, operation: str, answer: msgspec.Struct | None
) -> dict[str, Any] | None:
    """`responseElements` of a CloudTrail record: the answer of an operation, None where it only reads."""
    redactor = service.answer_redactors.get(operation)
    if redactor is None:
        reference = None if is_reading(operation) else service.operations[operation].output
        redactor = service.answer_redactors[operation] = _redactor(service, reference)
    return redactor(answer)


@lru_cache(maxsize=1024)
def is_reading(operation: str) -> bool:
    """Whether `operation` only reads, by AWS's naming of operations."""
    return operation.startswith(READING) and not operation.endswith(_ISSUING)


def _redactor(service: ServiceModel, reference: Reference | None) -> Redactor:
    if reference is None:
        return lambda _request: None
    lines, shown = _structure(service, reference.shape, 0)
    lines = ["if v0 is None:", "    return None", *lines, f"return {shown}"]
    return compile_function(f"record {reference.shape}", "v0", lines, _CONVERSIONS)


def _structure(service: ServiceModel, name: str, depth: int, within: tuple[str, ...] = ()) -> Shown:
    """`within` are the structures around it: one that contains itself is shown once, and hidden inside itself."""
    fields = fields_by_wire_name(service.structs[name])
    value, lines = f"v{depth + 1}", [f"shown{depth} = {{}}"]
    for wire_name, reference in service.shapes[name].members.items():
        is_collection = service.shapes[reference.shape].type in ("list", "map")
        member_lines, shown = _shown(service, reference.shape, depth + 1, (*within, name))
        lines += [
            f"{value} = v{depth}.{fields[wire_name]}",
            f"if {value}:" if is_collection else f"if {value} is not None:",
            *indented([*member_lines, f"shown{depth}[{label_of(wire_name)!r}] = {shown}"]),
        ]
    return lines, f"shown{depth}"


def _shown(service: ServiceModel, name: str, depth: int, within: tuple[str, ...]) -> Shown:
    """Code that shows the value of shape `name` in the variable v`depth`."""
    shape, value = service.shapes[name], f"v{depth}"
    if shape.sensitive or shape.document or name in PROOFS or name in within:
        return [], repr(HIDDEN)
    if shape.type == "structure":
        return _structure(service, name, depth, within)
    if shape.type == "list":
        assert shape.member is not None
        return _members(service, shape.member.shape, depth, within)
    if shape.type == "map":
        assert shape.value is not None
        return _entries(service, shape.value.shape, depth, within)
    return [], f"{shape.type}({value})" if shape.type in _CONVERSIONS else value


def _members(service: ServiceModel, name: str, depth: int, within: tuple[str, ...]) -> Shown:
    member, (lines, shown) = f"v{depth + 1}", _shown(service, name, depth + 1, within)
    if shown == member:
        return [], f"list(v{depth})"
    loop = [f"for {member} in v{depth}:", *indented([*lines, f"shown{depth}.append({shown})"])]
    return [f"shown{depth} = []", *loop], f"shown{depth}"


def _entries(service: ServiceModel, name: str, depth: int, within: tuple[str, ...]) -> Shown:
    key, value, (lines, shown) = f"key{depth}", f"v{depth + 1}", _shown(service, name, depth + 1, within)
    if shown == value:
        return [], f"v{depth}"
    loop = [f"for {key}, {value} in v{depth}.items():", *indented([*lines, f"shown{depth}[{key}] = {shown}"])]
    return [f"shown{depth} = {{}}", *loop], f"shown{depth}"


def gives_secret(service: ServiceModel, operation: str) -> bool:
    """Whether the answer holds a sensitive member: a secret that its caller is given this once."""
    known = service.secret_answers.get(operation)
    if known is None:
        output = service.operations[operation].output
        known = (
            service.name not in _PERSONAL
            and output is not None
            and _has_sensitive(service, output.shape, set())
        )
        service.secret_answers[operation] = known
    return known


def _has_sensitive(service: ServiceModel, name: str, seen: set[str]) -> bool:
    if name in seen:
        return False
    seen.add(name)
    shape = service.shapes[name]
    references = (*shape.members.values(), shape.member, shape.key, shape.value)
    return shape.sensitive or any(
        _has_sensitive(service, reference.shape, seen) for reference in references if reference is not None
    )
