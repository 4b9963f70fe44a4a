"""PATCH of SCIM (RFC 7644, 3.5.2): a resource as it is after the operations. Pure.

Clients differ in how they say the same: Entra ID capitalises the operation, sends texts for booleans and paths with
filters (`emails[type eq "work"].value`); Okta sends objects without a path. All forms are understood here.
"""

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import msgspec

from broker.errors import Refusal
from broker.identity_store.attributes import COMPLEX, Attribute, accepted, accepted_value, find_part
from broker.identity_store.filters import (
    And,
    Comparison,
    Filter,
    Path,
    matches,
    read_filter,
    read_path,
)
from broker.identity_store.refusals import invalid_path, invalid_syntax, invalid_value, no_target

MOST_OPERATIONS = 1000
_PATH = re.compile(r"([^\[\]\s]+)(?:\[(.*)\](?:\.([A-Za-z$][\w$-]*))?)?", re.DOTALL)
ADD, REPLACE, REMOVE = "add", "replace", "remove"


class PatchOperation(msgspec.Struct, frozen=True):
    """`op` is in lower case. `has_value` tells a null from none."""

    op: str
    path: str = ""
    value: Any = None
    has_value: bool = False


class PatchTarget(msgspec.Struct, frozen=True):
    """What a path names; `filter` chooses among the values of the attribute."""

    path: Path
    filter: Filter | None = None


def read_operations(body: Mapping[str, Any]) -> tuple[PatchOperation, ...]:
    """Raises invalidSyntax, and invalidValue for too many."""
    members = {name.lower(): value for name, value in body.items()}
    operations = members.get("operations")
    if not isinstance(operations, list) or not operations:
        raise invalid_syntax("The request has a list of Operations.")
    if len(operations) > MOST_OPERATIONS:
        raise invalid_value(f"A request has at most {MOST_OPERATIONS} operations.")
    return tuple(map(_read_operation, operations))


def _read_operation(given: Any) -> PatchOperation:
    if not isinstance(given, dict):
        raise invalid_syntax("An operation is an object.")
    members = {name.lower(): value for name, value in given.items()}
    op, path = members.get("op"), members.get("path") or ""
    if not isinstance(op, str) or op.lower() not in (ADD, REPLACE, REMOVE):
        raise invalid_syntax("The op of an operation is add, replace or remove.")
    if not isinstance(path, str) or len(path) > 1024:
        raise invalid_path("A path is a text of at most 1024 characters.")
    return PatchOperation(op.lower(), path.strip(), members.get("value"), "value" in members)


def read_target(path: str, of: Attribute) -> PatchTarget:
    """Raises invalidPath, or invalidFilter."""
    whole = _PATH.fullmatch(path)
    if whole is None:
        raise invalid_path(f"{path[:256]!r} is no path.")
    try:
        found = read_path(whole[1], of)
    except Refusal:
        raise invalid_path(f"{path[:256]!r} is no attribute of the resource.") from None
    if whole[2] is None:
        return PatchTarget(found)
    if found.part is not None or not found.attribute.has_values:
        raise invalid_path(f"{path[:256]!r} filters an attribute that has no values.")
    chosen = read_filter(whole[2], found.attribute)
    part = find_part(found.attribute, whole[3]) if whole[3] else None
    if whole[3] and part is None:
        raise invalid_path(f"{path[:256]!r} is no attribute of the resource.")
    return PatchTarget(Path(found.attribute, part, found.extension), chosen)


def patched(
    resource: Mapping[str, Any], operations: Sequence[PatchOperation], of: Attribute
) -> dict[str, Any]:
    """The resource after all operations; raises Refusal, where it stays as it is."""
    found = deepcopy(dict(resource))
    for one in operations:
        if one.path:
            _apply(found, one, read_target(one.path, of))
        elif one.op == REMOVE:
            raise no_target("An operation that removes has a path.")
        else:
            _apply_all(found, one, of)
    return found


def _apply_all(resource: dict[str, Any], operation: PatchOperation, of: Attribute) -> None:
    """An operation without a path: its value names attributes, or paths (Entra ID)."""
    if not isinstance(operation.value, dict):
        raise invalid_value("The value of an operation without a path is an object.")
    for name, value in operation.value.items():
        try:
            target = read_target(name, of)
        except Refusal:
            continue  # as what is not known is left out of a resource that is created
        _apply(resource, PatchOperation(operation.op, name, value, has_value=True), target)


def _apply(resource: dict[str, Any], operation: PatchOperation, target: PatchTarget) -> None:
    attribute = target.path.attribute
    if attribute.is_read_only:
        if operation.path.lower() in ("id", "schemas", "meta") and operation.op != REMOVE:
            return  # repeated by clients that send the whole resource
        raise Refusal("mutability", f"{attribute.name} cannot be changed.", status=400)
    if target.path.extension:
        holder = resource.setdefault(target.path.extension, {})
        _change(holder, operation, target)
        if not holder:
            del resource[target.path.extension]
        return
    _change(resource, operation, target)


def _change(holder: dict[str, Any], operation: PatchOperation, target: PatchTarget) -> None:
    if operation.op != REMOVE and not operation.has_value:
        raise invalid_value("An operation that adds or replaces has a value.")
    attribute, part = target.path.attribute, target.path.part
    if target.filter is not None:
        changed = _change_values(holder.get(attribute.name, []), operation, target)
        _put(holder, attribute, changed)
    elif part is not None and attribute.has_values:
        raise invalid_path(f"{operation.path!r} does not say which value of {attribute.name} is meant.")
    elif part is not None:
        inner = dict(holder.get(attribute.name, {}))
        _put(inner, part, None if operation.op == REMOVE else accepted_value(part, operation.value))
        _put(holder, attribute, inner)
    elif operation.op == REMOVE:
        _remove(holder, operation, attribute)
    else:
        _put(holder, attribute, _together(holder.get(attribute.name), operation, attribute))


def _remove(holder: dict[str, Any], operation: PatchOperation, attribute: Attribute) -> None:
    """With a value, those values alone (as Entra ID removes members)."""
    if not operation.has_value or operation.value is None or not attribute.has_values:
        holder.pop(attribute.name, None)
        return
    gone = accepted_value(attribute, operation.value) or []
    values = {one.get("value") for one in gone}
    left = [one for one in holder.get(attribute.name, []) if one.get("value") not in values]
    _put(holder, attribute, left)


def _together(present: Any, operation: PatchOperation, attribute: Attribute) -> Any:
    given = accepted_value(attribute, operation.value)
    if attribute.type != COMPLEX or given is None:
        return given
    if not attribute.has_values:
        return {**(present or {}), **given}  # what is not named stays (RFC 7644, 3.5.2.3)
    if operation.op == REPLACE:
        return given
    kept = [one for one in present or [] if one not in given]
    if any(one.get("primary") is True for one in given):
        kept = [{**one, "primary": False} if one.get("primary") is True else one for one in kept]
    return accepted_value(attribute, kept + given)


def _change_values(
    present: Sequence[dict[str, Any]], operation: PatchOperation, target: PatchTarget
) -> list[dict[str, Any]]:
    """The values of an attribute after an operation on those that the filter chooses."""
    assert target.filter is not None
    chosen = [matches(target.filter, one) for one in present]
    if operation.op == REMOVE:
        return [
            kept
            for one, is_chosen in zip(present, chosen, strict=True)
            if (kept := _without(one, target.path.part) if is_chosen else one)
        ]
    if not any(chosen):
        # Entra ID replaces what is not there yet; the filter says what the new value is.
        return [*present, _changed(_described(target.filter), operation, target)]
    return [
        _changed(one, operation, target) if is_chosen else one
        for one, is_chosen in zip(present, chosen, strict=True)
    ]


def _without(value: dict[str, Any], part: Attribute | None) -> dict[str, Any]:
    return {} if part is None else {name: of for name, of in value.items() if name != part.name}


def _changed(value: Mapping[str, Any], operation: PatchOperation, target: PatchTarget) -> dict[str, Any]:
    part = target.path.part
    if part is not None:
        changed = dict(value)
        _put(changed, part, accepted_value(part, operation.value))
        return changed
    if not isinstance(operation.value, dict):
        raise invalid_value(f"A value of {target.path.attribute.name} is an object.")
    return {**value, **accepted(target.path.attribute, operation.value)}


def _described(asked: Filter) -> dict[str, Any]:
    """The value that a filter of equalities describes; raises noTarget for any other."""
    match asked:
        case And():
            return {**_described(asked.first), **_described(asked.second)}
        case Comparison(operator="eq", path=Path(part=None, attribute=attribute)):
            return accepted(Attribute("", COMPLEX, (attribute,)), {attribute.name: asked.value})
    raise no_target("No value matches the filter of the path.")


def _put(holder: dict[str, Any], attribute: Attribute, value: Any) -> None:
    if value is None or value in ({}, []):
        holder.pop(attribute.name, None)
    else:
        holder[attribute.name] = accepted_value(attribute, value)
