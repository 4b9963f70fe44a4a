"""Values for the parameters of a role template: checked, and put in the places that `@{name}` marks.

A document is filled as JSON, never as text, so no value can end a string and become an element of a policy. A list
takes the place of a member of a list, or of a whole value. What AWS permits in a value is not known to us: here none
has a wildcard or a policy variable, so that a value never matches more than itself.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from broker.errors import Refusal
from broker.storage.template_records import RoleTemplateVersion, TemplateParameter

Values = Mapping[str, tuple[str, ...]]

PARAMETER_TYPES = ("String", "StringList", "Number", "NumberList", "Arn", "ArnList")
_placeholder = re.compile(r"@\{([^{}]*)\}")
_FORMS = {
    "String": re.compile(r"[^*?]*"),
    "Number": re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,9})?"),
    "Arn": re.compile(r"arn:aws[a-z-]*:[a-z0-9-]+:[a-z0-9-]*:([0-9]{12}|aws)?:[^*?]+"),
}


def placeholders(text: str) -> Iterator[str]:
    """The names of the parameters that `text` has places for."""
    return (found[1] for found in _placeholder.finditer(text))


def require_values(version: RoleTemplateVersion, supplied: Values) -> Values:
    """The values of all parameters, defaults included; a parameter without any has none. Raises InvalidInput."""
    known = {parameter.name: parameter for parameter in version.parameters}
    for name in supplied:
        if name not in known:
            raise _invalid(f"The role template has no parameter {name}.")
    return {name: _values_of(parameter, supplied.get(name)) for name, parameter in known.items()}


def _values_of(parameter: TemplateParameter, supplied: tuple[str, ...] | None) -> tuple[str, ...]:
    if supplied is None and parameter.default_value is not None:
        supplied = (parameter.default_value,)
    if supplied is None:
        if parameter.is_required:
            raise _invalid(f"A value for the parameter {parameter.name} is required.")
        return ()
    is_list = parameter.type.endswith("List")
    if not is_list and len(supplied) != 1:
        raise _invalid(f"The parameter {parameter.name} takes one value.")
    form = _FORMS[parameter.type.removesuffix("List")]
    for value in supplied:
        if form.fullmatch(value) is None or not value.isprintable() or "${" in value or "@{" in value:
            raise _invalid(
                f"A value of the parameter {parameter.name} is no {parameter.type.removesuffix('List')}."
            )
    return supplied


def filled_text(text: str, values: Values) -> str:
    """`text` with one value in each place; raises InvalidInput where a parameter has none or several."""

    def value_of(place: re.Match[str]) -> str:
        found = values.get(place[1], ())
        if len(found) != 1:
            raise _invalid(f"The parameter {place[1]} has to have one value where it is part of a text.")
        return found[0]

    return _placeholder.sub(value_of, text)


def filled_document(document: str, values: Values) -> str:
    """The JSON of a policy with values in its places."""
    return json.dumps(_filled(json.loads(document), values), separators=(",", ":"), ensure_ascii=False)


def _filled(value: Any, values: Values) -> Any:
    if isinstance(value, dict):
        return {key: _filled(one, values) for key, one in value.items()}
    if isinstance(value, list):
        return [filled for one in value for filled in _members(one, values)]
    if not isinstance(value, str):
        return value
    several = _whole(value, values)
    return list(several) if several is not None and len(several) != 1 else filled_text(value, values)


def _members(value: Any, values: Values) -> tuple[Any, ...]:
    several = _whole(value, values) if isinstance(value, str) else None
    return (_filled(value, values),) if several is None else several


def _whole(text: str, values: Values) -> tuple[str, ...] | None:
    """The values of the parameter whose place is all of `text`; None where it is not one place."""
    place = _placeholder.fullmatch(text)
    return None if place is None else values.get(place[1], ())


def _invalid(message: str) -> Refusal:
    return Refusal("InvalidInput", message)
