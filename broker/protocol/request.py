"""Parameters -> a typed request: one reader per operation, compiled on first use and then kept.

What the model does not know has no way in: parameters are looked up among the model's members. Nearly every request
breaks nothing, so the first reading asks of each text only whether it is accepted. Where one is not, or a required
member is missing, the request is read once more, member by member in the model's order, and every violation is told:
conversions refuse at once (MalformedInput); constraints are gathered and refused together (ValidationError).
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from broker.protocol import constraints, form, scalars
from broker.protocol.constraints import Matches, Violations
from broker.protocol.members import Read, member_reader, structure_reader
from broker.protocol.model import Reader, ServiceModel, Shape, fields_by_wire_name, label_of

Plain = tuple[str, Matches, Callable[[str], Any] | None]  # field, acceptance of a text, conversion if any
Other = tuple[str, str, str, Read]  # wire name, field, where it stands, reader


def read_request(
    service: ServiceModel, operation: str, parameters: Mapping[str, str]
) -> msgspec.Struct | None:
    """The request struct of `operation` (None where it takes no input), or a Refusal in AWS's words."""
    reader = service.readers.get(operation)
    if reader is None:
        reader = service.readers[operation] = _compile(service, operation)
    return reader(parameters)


def _compile(service: ServiceModel, operation: str) -> Reader:
    reference = service.operations[operation].input
    if reference is None:
        return lambda _parameters: None
    shape, struct = service.shapes[reference.shape], service.structs[reference.shape]
    if not shape.members:
        request = struct()
        return lambda _parameters: request
    plain, others = _members(service, shape, fields_by_wire_name(struct))
    other_names = frozenset(wire_name for wire_name, *_ in others)
    grow, read_carefully = _growth(service, shape), _careful(service, reference.shape)

    def read(parameters: Mapping[str, str]) -> msgspec.Struct:
        values, is_flat = {}, True
        for name, text in parameters.items():
            member = plain.get(name)
            if member is not None:
                field, accepts, convert = member
                if not accepts(text):
                    return read_carefully(parameters)
                values[field] = text if convert is None else convert(text)
            elif "." in name or name in other_names:
                is_flat = False
        if not is_flat:
            violations = Violations()
            _read_others(others, grow(parameters), violations, values)
            if violations.sentences:
                return read_carefully(parameters)
        try:
            return struct(**values)
        except TypeError:  # a required member is missing
            return read_carefully(parameters)

    return read_carefully if shape.union else read


def _read_others(
    others: list[Other], tree: Mapping[str, Any], violations: Violations, values: dict[str, Any]
) -> None:
    for wire_name, field, where, read_member in others:
        raw = tree.get(wire_name)
        if raw is not None:
            values[field] = read_member(raw, where, violations)


def _careful(service: ServiceModel, name: str) -> Callable[[Mapping[str, str]], msgspec.Struct]:
    """A reader of requests that are to be refused: it finds every violation."""
    grow, read_structure = _growth(service, service.shapes[name]), structure_reader(service, name, "")

    def read(parameters: Mapping[str, str]) -> msgspec.Struct:
        violations = Violations()
        request: msgspec.Struct = read_structure(dict(grow(parameters)), "", violations)
        if violations.sentences:
            raise violations.refusal()
        return request

    return read


def _growth(service: ServiceModel, shape: Shape) -> Callable[[Mapping[str, str]], Mapping[str, Any]]:
    kinds = {ref.location_name or name: service.shapes[ref.shape].type for name, ref in shape.members.items()}
    roots = frozenset(name for name, kind in kinds.items() if kind in ("structure", "list", "map"))
    scalar_names = frozenset(kinds) - roots
    return lambda parameters: form.grow(parameters, scalar_names, roots)


def _members(
    service: ServiceModel, shape: Shape, fields: Mapping[str, str]
) -> tuple[dict[str, Plain], list[Other]]:
    """The members whose text can be accepted by itself, by wire name, and all others."""
    plain: dict[str, Plain] = {}
    others: list[Other] = []
    for wire_name, reference in shape.members.items():
        name, field = reference.location_name or wire_name, fields[wire_name]
        member = service.shapes[reference.shape]
        if member.type == "string":
            plain[name] = field, constraints.acceptance(member), None
        elif member.type == "boolean":
            plain[name] = field, scalars.BOOLEANS.__contains__, scalars.BOOLEANS.__getitem__
        elif member.type in scalars.BITS:
            plain[name] = field, constraints.number_acceptance(member, scalars.BITS[member.type]), int
        else:
            others.append((name, field, label_of(wire_name), member_reader(service, reference.shape)))
    return plain, others
