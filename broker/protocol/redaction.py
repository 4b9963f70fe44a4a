"""Requests and answers as the journal may show them: CloudTrail's spelling; sensitive members and proofs hidden."""

import base64
from collections.abc import Callable
from operator import attrgetter
from typing import Any

import msgspec

from broker.protocol.model import Redactor, Reference, ServiceModel, fields_by_wire_name, label_of
from broker.protocol.xml import format_timestamp

HIDDEN = "HIDDEN_DUE_TO_SECURITY_REASONS"

# Proofs that the models do not call sensitive: one-time codes and context assertions. A code is good until its
# request was granted, and a reader of the journal might be quicker. `tokenType` is the session token in an answer.
PROOFS = frozenset({"tokenCodeType", "authenticationCodeType", "contextAssertionType", "tokenType"})

# What these answer is no event: CloudTrail leaves `responseElements` out. GetSessionToken and its like give something.
READING = ("Get", "List", "Simulate", "Decode")

Show = Callable[[Any], Any]


def audit_parameters(
    service: ServiceModel, operation: str, request: msgspec.Struct | None
) -> dict[str, Any] | None:
    """`requestParameters` of a CloudTrail record: JSON-able, None where the operation takes no input.

    Keys are the wire names with a small first letter; members that were not given have no key.
    """
    redactor = service.redactors.get(operation)
    if redactor is None:
        redactor = service.redactors[operation] = _redactor(service, service.operations[operation].input)
    return redactor(request)


def audit_answer(
    service: ServiceModel, operation: str, answer: msgspec.Struct | None
) -> dict[str, Any] | None:
    """`responseElements` of a CloudTrail record: what an operation made, None where it only reads."""
    redactor = service.answer_redactors.get(operation)
    if redactor is None:
        reference = None if is_reading(operation) else service.operations[operation].output
        redactor = service.answer_redactors[operation] = _redactor(service, reference)
    return redactor(answer)


def is_reading(operation: str) -> bool:
    """Whether `operation` makes nothing, by its name as AWS names things."""
    return operation.startswith(READING) and not operation.endswith("Token")


def _redactor(service: ServiceModel, reference: Reference | None) -> Redactor:
    if reference is None:
        return lambda _request: None
    show = _structure(service, reference.shape)
    return lambda request: None if request is None else show(request)


def _structure(service: ServiceModel, name: str) -> Show:
    fields = fields_by_wire_name(service.structs[name])
    members = [
        (label_of(wire_name), attrgetter(fields[wire_name]), _show(service, reference.shape))
        for wire_name, reference in service.shapes[name].members.items()
    ]

    def show(struct: Any) -> dict[str, Any]:
        shown = {}
        for label, get, show_member in members:
            value = get(struct)
            if value is not None and value != () and value != {}:
                shown[label] = value if show_member is None else show_member(value)
        return shown

    return show


def _show(service: ServiceModel, name: str) -> Show | None:
    """How a value of shape `name` is shown; None: as it is."""
    shape = service.shapes[name]
    if shape.sensitive or name in PROOFS:
        return lambda _value: HIDDEN
    if shape.type == "structure":
        return _structure(service, name)
    if shape.type == "list":
        assert shape.member is not None
        show_member = _show(service, shape.member.shape)
        return list if show_member is None else lambda values: [show_member(value) for value in values]
    if shape.type == "map":
        assert shape.value is not None
        show_value = _show(service, shape.value.shape)
        return None if show_value is None else lambda values: {k: show_value(v) for k, v in values.items()}
    if shape.type == "blob":
        return lambda value: base64.b64encode(value).decode()
    return format_timestamp if shape.type == "timestamp" else None
