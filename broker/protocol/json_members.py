"""Members of JSON bodies: for each shape a reader that checks a parsed value, and collects violations.

The counterpart of `broker.protocol.members`, for values that have a type already: a number is not taken for a text, nor
a text for a number. A value of the wrong type is refused at once; violations are collected in the model's order.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from broker.protocol import constraints, scalars
from broker.protocol.constraints import Violations
from broker.protocol.model import PROOFS, ServiceModel, Shape, fields_by_wire_name

ReadJson = Callable[[Any, str, Violations], Any]  # parsed value, its path, violations -> value


def json_reader(service: ServiceModel, name: str) -> ReadJson:
    """The reader of shape `name`; KeyError for a type that no JSON body of a served model has."""
    shape = service.shapes[name]
    if shape.type == "structure":
        return json_structure_reader(service, name)
    if shape.type == "list":
        return _list(service, shape)
    if shape.type == "string":
        return _string(shape, is_proof=name in PROOFS)
    if shape.type == "boolean":
        return _boolean
    return _integer(shape, scalars.BITS[shape.type])


def json_structure_reader(service: ServiceModel, name: str) -> ReadJson:
    """Members that the model does not know are ignored, as are those that have another place than the body."""
    shape, struct = service.shapes[name], service.structs[name]
    fields = fields_by_wire_name(struct)
    members = [
        (
            reference.location_name or wire_name,
            fields[wire_name],
            wire_name in shape.required,
            json_reader(service, reference.shape),
        )
        for wire_name, reference in shape.members.items()
        if reference.location is None
    ]

    def read(raw: Any, where: str, violations: Violations) -> msgspec.Struct | None:
        if type(raw) is not dict:
            raise _wrong_type(where, "an object")
        values = {}
        for wire_name, field, is_required, read_member in members:
            path = f"{where}.{wire_name}" if where else wire_name
            value = raw.get(wire_name)
            if value is not None:
                values[field] = read_member(value, path, violations)
            elif is_required:
                violations.add_null(path)
        return None if violations.sentences else struct(**values)

    return read


def _list(service: ServiceModel, shape: Shape) -> ReadJson:
    assert shape.member is not None
    read_member, check = json_reader(service, shape.member.shape), constraints.size_check(shape)

    def read(raw: Any, where: str, violations: Violations) -> tuple[Any, ...]:
        if type(raw) is not list:
            raise _wrong_type(where, "an array")
        values = []
        for index, member in enumerate(raw, 1):
            path = f"{where}.{index}.member"
            if member is None:
                violations.add_null(path)
            else:
                values.append(read_member(member, path, violations))
        violations.add("", where, check(values))
        return tuple(values)

    return read


def _string(shape: Shape, *, is_proof: bool) -> ReadJson:
    check = constraints.string_check(shape)
    show = constraints.echo_sensitive if shape.sensitive else constraints.echo

    def read(raw: Any, where: str, violations: Violations) -> str:
        if type(raw) is not str:
            raise _wrong_type(where, "a string")
        broken = check(raw)
        if broken:
            violations.add(show(raw), where, broken, is_proof=is_proof)
        return raw

    return read


def _integer(shape: Shape, bits: int) -> ReadJson:
    check = constraints.number_check(shape)

    def read(raw: Any, where: str, violations: Violations) -> int:
        if type(raw) is not int or not -(1 << bits) <= raw < 1 << bits:
            raise _wrong_type(where, "an integer")
        violations.add(constraints.echo(raw), where, check(raw))
        return raw

    return read


def _boolean(raw: Any, where: str, violations: Violations) -> bool:
    if type(raw) is not bool:
        raise _wrong_type(where, "true or false")
    return raw


def _wrong_type(where: str, expected: str) -> Exception:
    return scalars.malformed(f"The value at '{where}' is not {expected}." if where else f"Not {expected}.")
