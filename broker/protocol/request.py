"""Parameters -> a typed request: one reader per operation, compiled on first use and cached in the model.

Parameters that the model does not know are ignored. Nearly every request is valid, so the first pass only checks that
each text is accepted. Where one is not, or a required member is missing, a second pass reads member by member in the
model's order and reports every violation: a failed conversion is refused at once (MalformedInput); violations are
collected and refused together (ValidationError).
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from broker.protocol import constraints, form, scalars
from broker.protocol.constraints import SHOWS_NO_VALUES, Matches, Violations
from broker.protocol.members import Read, member_reader, structure_reader
from broker.protocol.model import Reader, ServiceModel, Shape, fields_by_wire_name, label_of

Plain = tuple[str, Matches, Callable[[str], Any] | None]  # field, acceptance of a text, conversion if any
Other = tuple[str, str, str, Read]  # wire name, field, path, reader


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
    nest, read_all_violations = _nester(service, shape), _violation_reader(service, reference.shape)

    def read(parameters: Mapping[str, str]) -> msgspec.Struct:
        values, is_flat = {}, True
        for name, text in parameters.items():
            member = plain.get(name)
            if member is not None:
                field, accepts, convert = member
                if not accepts(text):
                    return read_all_violations(parameters)
                values[field] = text if convert is None else convert(text)
            elif "." in name or name in other_names:
                is_flat = False
        if not is_flat:
            violations = Violations()
            _read_others(others, nest(parameters), violations, values)
            if violations.sentences:
                return read_all_violations(parameters)
        try:
            return struct(**values)
        except TypeError:  # a required member is missing
            return read_all_violations(parameters)

    return read_all_violations if shape.union else read


def _read_others(
    others: list[Other], tree: Mapping[str, Any], violations: Violations, values: dict[str, Any]
) -> None:
    for wire_name, field, where, read_member in others:
        raw = tree.get(wire_name)
        if raw is not None:
            values[field] = read_member(raw, where, violations)


def _violation_reader(service: ServiceModel, name: str) -> Callable[[Mapping[str, str]], msgspec.Struct]:
    """The reader for the second pass: it finds every violation."""
    nest, read_structure = _nester(service, service.shapes[name]), structure_reader(service, name, "")

    shows_values = service.name not in SHOWS_NO_VALUES

    def read(parameters: Mapping[str, str]) -> msgspec.Struct:
        violations = Violations(shows_values=shows_values)
        request: msgspec.Struct = read_structure(dict(nest(parameters)), "", violations)
        if violations.sentences:
            raise violations.refusal()
        return request

    return read


def _nester(service: ServiceModel, shape: Shape) -> Callable[[Mapping[str, str]], Mapping[str, Any]]:
    kinds = {ref.location_name or name: service.shapes[ref.shape].type for name, ref in shape.members.items()}
    roots = frozenset(name for name, kind in kinds.items() if kind in ("structure", "list", "map"))
    scalar_names = frozenset(kinds) - roots
    return lambda parameters: form.nest(parameters, scalar_names, roots)


def _members(
    service: ServiceModel, shape: Shape, fields: Mapping[str, str]
) -> tuple[dict[str, Plain], list[Other]]:
    """The members that are one text, by wire name, and all others."""
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
