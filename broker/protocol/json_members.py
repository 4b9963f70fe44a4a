"""Members of JSON bodies: for each shape a reader that checks a parsed value, and collects violations.

The counterpart of `broker.protocol.members`, for values that have a type already: a number is not taken for a text, nor
a text for a number. A value of the wrong type is refused at once; violations are collected in the model's order.
"""

import base64
from collections.abc import Callable
from typing import Any

import msgspec

from broker.protocol import constraints, scalars
from broker.protocol.constraints import Violations
from broker.protocol.model import PROOFS, ServiceModel, Shape, fields_by_wire_name

_LATEST = 1 << 40  # seconds since 1970; no clock shows later years

ReadJson = Callable[[Any, str, Violations], Any]  # parsed value, its path, violations -> value


def json_reader(service: ServiceModel, name: str) -> ReadJson:
    """The reader of shape `name`; KeyError for a type that no JSON body of a served model has."""
    shape = service.shapes[name]
    if shape.document:
        return _document
    if shape.type == "structure":
        return json_structure_reader(service, name)
    if shape.type == "list":
        return _list(service, shape)
    if shape.type == "map":
        return _map(service, shape)
    if shape.type == "string":
        return _string(shape, is_proof=name in PROOFS)
    if shape.type == "boolean":
        return _boolean
    if shape.type in ("float", "double"):
        return _float
    if shape.type == "timestamp":
        return _timestamp
    if shape.type == "blob":
        return _blob(shape)
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
    read_member, check = _read_later(service, shape.member.shape), constraints.size_check(shape)

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


def _read_later(service: ServiceModel, name: str) -> ReadJson:
    """The reader of shape `name`, made when the first value is read: a shape may contain itself, in a list."""
    made: list[ReadJson] = []

    def read(raw: Any, where: str, violations: Violations) -> Any:
        if not made:
            made.append(json_reader(service, name))
        return made[0](raw, where, violations)

    return read


def _map(service: ServiceModel, shape: Shape) -> ReadJson:
    assert shape.key is not None and shape.value is not None
    read_value, check = _read_later(service, shape.value.shape), constraints.size_check(shape)
    check_key = constraints.string_check(service.shapes[shape.key.shape])

    def read(raw: Any, where: str, violations: Violations) -> dict[str, Any]:
        if type(raw) is not dict:
            raise _wrong_type(where, "an object")
        values = {}
        for key, member in raw.items():
            path = f"{where}.{key[:128]}.member"
            violations.add("", where, check_key(key))
            if member is None:
                violations.add_null(path)
            else:
                values[key] = read_value(member, path, violations)
        violations.add("", where, check(values))
        return values

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


def _float(raw: Any, where: str, violations: Violations) -> float:
    if type(raw) not in (int, float):
        raise _wrong_type(where, "a number")
    return float(raw)


def _timestamp(raw: Any, where: str, violations: Violations) -> float:
    """Seconds since 1970, which may have a fraction."""
    if type(raw) not in (int, float) or not abs(raw) < _LATEST:
        raise _wrong_type(where, "a number of seconds")
    return float(raw)


def _blob(shape: Shape) -> ReadJson:
    check = constraints.size_check(shape)

    def read(raw: Any, where: str, violations: Violations) -> bytes:
        if type(raw) is not str:
            raise _wrong_type(where, "a text in base64")
        try:
            value = base64.b64decode(raw, validate=True)
        except ValueError:
            raise _wrong_type(where, "a text in base64") from None
        violations.add("", where, check(value))
        return value

    return read


def _document(raw: Any, where: str, violations: Violations) -> Any:
    """Whatever JSON has; its operation says what is right."""
    return raw


def _boolean(raw: Any, where: str, violations: Violations) -> bool:
    if type(raw) is not bool:
        raise _wrong_type(where, "true or false")
    return raw


def _wrong_type(where: str, expected: str) -> Exception:
    return scalars.malformed(f"The value at '{where}' is not {expected}." if where else f"Not {expected}.")
