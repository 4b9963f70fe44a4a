"""Members of requests: for each shape a reader that converts and checks a raw value, and collects violations.

A failed conversion is refused at once (MalformedInput); violations are collected in the model's order.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from broker.protocol import constraints, form, scalars
from broker.protocol.constraints import Violations
from broker.protocol.form import Tree
from broker.protocol.model import PROOFS, ServiceModel, Shape, fields_by_wire_name, label_of

Read = Callable[[str | Tree, str, Violations], Any]  # raw value, its path, violations -> value


def member_reader(service: ServiceModel, name: str) -> Read:
    shape = service.shapes[name]
    if shape.type == "structure":
        return structure_reader(service, name, ".")
    if shape.type == "list":
        return _list(service, shape)
    if shape.type == "map":
        return _map(service, shape)
    if shape.type == "string":
        return _string(service, shape, is_proof=name in PROOFS)
    return _scalar(shape, _echo_of(service, shape))


def _shows_values(service: ServiceModel) -> bool:
    return service.name not in constraints.SHOWS_NO_VALUES


def _echo_of(service: ServiceModel, shape: Shape) -> Callable[[Any], str]:
    is_shown = _shows_values(service) and not shape.sensitive
    return constraints.echo if is_shown else constraints.echo_sensitive


def structure_reader(service: ServiceModel, name: str, separator: str) -> Read:
    shape, struct = service.shapes[name], service.structs[name]
    fields = fields_by_wire_name(struct)
    members = [
        (
            reference.location_name or wire_name,
            fields[wire_name],
            separator + label_of(wire_name),
            wire_name in shape.required,
            member_reader(service, reference.shape),
        )
        for wire_name, reference in shape.members.items()
    ]

    def read(raw: str | Tree, where: str, violations: Violations) -> msgspec.Struct | None:
        if isinstance(raw, str):
            raise scalars.malformed("Value found where not expected")
        values = {}
        for wire_name, field, label, is_required, read_member in members:
            text = raw.get(wire_name)
            if text is not None:
                values[field] = read_member(text, where + label, violations)
            elif is_required:
                violations.add_null(where + label)
        if shape.union and len(values) != 1:
            raise scalars.malformed(reason=f"{where} is a union and needs exactly one member")
        return None if violations.sentences else struct(**values)

    return read


def _list(service: ServiceModel, shape: Shape) -> Read:
    assert shape.member is not None
    member_shape = service.shapes[shape.member.shape]
    if member_shape.type == "string" and not _shows_values(service):
        return _texts(shape, member_shape)
    read_member = member_reader(service, shape.member.shape)
    wrapper = None if shape.flattened else shape.member.location_name or "member"
    check, show = constraints.size_check(shape), _list_echo(service, member_shape)

    def read(raw: str | Tree, where: str, violations: Violations) -> tuple[Any, ...]:
        values = []
        for index, member in form.in_order(form.members_of(raw, wrapper)):
            path = f"{where}.{index}.member"
            if member is None:
                violations.add_null(path)
            else:
                values.append(read_member(member, path, violations))
        broken = check(values)
        if broken:
            violations.add(show(values), where, broken)
        return tuple(values)

    return read


def _texts(shape: Shape, member: Shape) -> Read:
    """A list of texts of a service that shows no values: one violation, of the list, for whatever texts break it."""
    assert shape.member is not None
    wrapper = None if shape.flattened else shape.member.location_name or "member"
    accepts, broken_member = constraints.acceptance(member), (constraints.of_each_member(member),)
    check = constraints.size_check(shape)

    def read(raw: str | Tree, where: str, violations: Violations) -> tuple[Any, ...]:
        values: list[str] = []
        is_broken = False
        for _index, text in form.in_order(form.members_of(raw, wrapper)):
            if isinstance(text, dict):
                raise scalars.malformed("Start of structure or map found where not expected.")
            is_broken = is_broken or text is None or not accepts(text)
            values.append(text or "")
        violations.add("", where, check(values) + (broken_member if is_broken else ()))
        return tuple(values)

    return read


def _list_echo(service: ServiceModel, member: Shape) -> Callable[[list[Any]], str]:
    """AWS prints a list as Java does, `[a, b]`; here, members that are structures or sensitive are not shown."""
    if not _shows_values(service):
        return lambda _values: ""
    if member.sensitive or member.type in ("structure", "list", "map", "blob"):
        return lambda values: "" if values else " '[]'"
    return lambda values: constraints.echo(f"[{', '.join(map(str, values))}]")


def _map(service: ServiceModel, shape: Shape) -> Read:
    assert shape.key is not None and shape.value is not None
    read_value = member_reader(service, shape.value.shape)
    key_name, value_name = shape.key.location_name or "key", shape.value.location_name or "value"
    check_key, check = (
        constraints.string_check(service.shapes[shape.key.shape]),
        constraints.size_check(shape),
    )

    def read(raw: str | Tree, where: str, violations: Violations) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for index, entry in form.in_order(form.members_of(raw, None if shape.flattened else "entry")):
            key, value = _entry(entry, key_name, value_name)
            if key is None or value is None:
                violations.add_null(f"{where}.{index}.{'key' if key is None else 'value'}")
            elif key not in values:
                broken_key = check_key(key)
                if broken_key:
                    keys = f"Map keys must satisfy constraint: [{', '.join(broken_key)}]"
                    violations.add("", where, (keys,))
                values[key] = read_value(value, f"{where}.{key[:128]}.member", violations)
        violations.add("", where, check(values))
        return values

    return read


def _entry(entry: str | Tree | None, key_name: str, value_name: str) -> tuple[str | None, str | Tree | None]:
    if isinstance(entry, str):
        raise scalars.malformed("Value found where not expected")
    if entry is None:
        return None, None
    key = entry.get(key_name)
    if isinstance(key, dict):
        raise scalars.malformed("Start of structure or map found where not expected.")
    return key, entry.get(value_name)


def _string(service: ServiceModel, shape: Shape, *, is_proof: bool) -> Read:
    own_rules: Mapping[str, str] = constraints.OWN_RULES.get(service.name, {})
    accepts, show = constraints.acceptance(shape), _echo_of(service, shape)
    check = constraints.string_check(shape, shows_values=_shows_values(service))

    def read(raw: str | Tree, where: str, violations: Violations) -> str:
        if not isinstance(raw, str):
            raise scalars.malformed("Start of structure or map found where not expected.")
        if not accepts(raw):
            broken = check(raw)
            violations.add(show(raw), where, broken, is_proof=is_proof)
            if raw and where in own_rules and constraints.breaks_pattern(broken):
                violations.add_own(where, own_rules[where])
        return raw

    return read


def _scalar(shape: Shape, show: Callable[[Any], str]) -> Read:
    convert, check = _conversion(shape)

    def read(raw: str | Tree, where: str, violations: Violations) -> Any:
        if not isinstance(raw, str):
            raise scalars.malformed("Start of structure or map found where not expected.")
        value = raw if convert is None else convert(raw)
        broken = check(value)
        if broken:
            violations.add(show(value), where, broken)
        return value

    return read


def _conversion(shape: Shape) -> tuple[Callable[[str], Any] | None, Callable[[Any], tuple[str, ...]]]:
    """The conversion of text to a scalar of `shape` (None: it stays text), and the check of the scalar."""
    kind = shape.type
    if kind in scalars.BITS:
        bits = scalars.BITS[kind]
        return lambda text: scalars.parse_integer(text, bits), constraints.number_check(shape)
    if kind in ("float", "double"):
        return scalars.parse_float, constraints.number_check(shape)
    if kind == "boolean":
        return scalars.parse_boolean, lambda _value: constraints.NONE_BROKEN
    if kind == "blob":
        return scalars.parse_blob, constraints.size_check(shape)
    if kind == "timestamp":
        return scalars.parse_timestamp, lambda _value: constraints.NONE_BROKEN
    return None, constraints.string_check(shape)
