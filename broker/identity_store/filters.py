"""Filters of SCIM (RFC 7644, 3.4.2.2): read, and asked about one resource. Pure.

    FILTER  = FILTER "or" FILTER / FILTER "and" FILTER / ["not"] "(" FILTER ")" / PATH "[" FILTER "]" / PATH "pr"
              / PATH OPERATOR VALUE

Length and depth are bounded, and a path that no resource has is refused. Nothing of a filter is ever code.
"""

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from broker.identity_store.attributes import BOOLEAN, COMPLEX, Attribute, find_part
from broker.identity_store.refusals import invalid_filter

LONGEST = 2048  # characters
_DEEPEST = 10
_TOKEN = re.compile(r'\s*(?:([()\[\]])|("(?:[^"\\]|\\.)*")|([^\s()\[\]"]+))')
# How two texts are compared, found and wanted.
_TEXTS: Mapping[str, Callable[[str, str], bool]] = {
    "eq": operator.eq,
    "co": operator.contains,
    "sw": str.startswith,
    "ew": str.endswith,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}
_OPERATORS = frozenset({*_TEXTS, "ne"})


class Path(msgspec.Struct, frozen=True):
    """An attribute of a resource, and the sub-attribute of it that is meant; "" for the attribute itself."""

    attribute: Attribute
    part: Attribute | None = None
    extension: str = ""

    @property
    def compared(self) -> Attribute:
        """What is compared: of an attribute with values, their `value`."""
        return self.part or find_part(self.attribute, "value") or self.attribute


class Comparison(msgspec.Struct, frozen=True, tag=True):
    path: Path
    operator: str
    value: Any = None


class Values(msgspec.Struct, frozen=True, tag=True):
    """Some value of the attribute matches."""

    path: Path
    filter: "Filter"


class Not(msgspec.Struct, frozen=True, tag=True):
    filter: "Filter"


class And(msgspec.Struct, frozen=True, tag=True):
    first: "Filter"
    second: "Filter"


class Or(msgspec.Struct, frozen=True, tag=True):
    first: "Filter"
    second: "Filter"


Filter = Comparison | Values | Not | And | Or


def read_filter(unverified_text: str, of: Attribute) -> Filter:
    """Raises invalidFilter."""
    if len(unverified_text) > LONGEST:
        raise invalid_filter(f"A filter has at most {LONGEST} characters.")
    reading = _Reading(list(_tokens(unverified_text)), of)
    found = reading.alternatives(0)
    if reading.rest:
        raise invalid_filter(f"{reading.rest[0]!r} is not expected in the filter.")
    return found


def _tokens(text: str) -> Iterator[str]:
    position, text = 0, text.rstrip()
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            raise invalid_filter("A text of the filter does not end.")
        yield token[token.lastindex or 0]
        position = token.end()


class _Reading:
    """Tokens from left to right; `rest` are those that are not read yet."""

    def __init__(self, tokens: list[str], of: Attribute) -> None:
        self.rest = tokens
        self._of = of

    def alternatives(self, depth: int) -> Filter:
        if depth > _DEEPEST:
            raise invalid_filter(f"A filter is at most {_DEEPEST} deep.")
        found = self._together(depth)
        while self._takes("or"):
            found = Or(found, self._together(depth))
        return found

    def _together(self, depth: int) -> Filter:
        found = self._single(depth)
        while self._takes("and"):
            found = And(found, self._single(depth))
        return found

    def _single(self, depth: int) -> Filter:
        if self._takes("not"):
            self._require("(")
            return Not(self._closed(")", depth))
        if self._takes("("):
            return self._closed(")", depth)
        path = read_path(self._next(), self._of)
        if self._takes("["):
            if path.part is not None or path.attribute.type != COMPLEX:
                raise invalid_filter("Only an attribute with sub-attributes is filtered by [ ].")
            outer, self._of = self._of, path.attribute
            inner = self._closed("]", depth)
            self._of = outer
            return Values(path, inner)
        name = self._next().lower()
        if name == "pr":
            return Comparison(path, name)
        if name not in _OPERATORS:
            raise invalid_filter(f"{name[:64]!r} is no operator of a filter.")
        return Comparison(path, name, _value_of(self._next(), path.compared))

    def _closed(self, end: str, depth: int) -> Filter:
        found = self.alternatives(depth + 1)
        self._require(end)
        return found

    def _takes(self, word: str) -> bool:
        if self.rest and self.rest[0].lower() == word:
            del self.rest[0]
            return True
        return False

    def _next(self) -> str:
        if not self.rest:
            raise invalid_filter("The filter is not whole.")
        return self.rest.pop(0)

    def _require(self, token: str) -> None:
        if not self._takes(token):
            raise invalid_filter(f"{token} is missing in the filter.")


def read_path(unverified_text: str, of: Attribute) -> Path:
    """`ATTRIBUTE`, `ATTRIBUTE.PART`, or either behind the URN of a schema; raises invalidFilter."""
    text, extension = unverified_text, ""
    if text.lower().startswith("urn:"):
        found = next(
            (
                one
                for one in of.parts
                if one.name.startswith("urn:") and text.lower().startswith(one.name.lower())
            ),
            None,
        )
        if found is not None and len(text) == len(found.name):
            return Path(found)
        if found is not None:
            extension, of = found.name, found
            text = text[len(found.name) + 1 :]
        else:
            text = text.rpartition(":")[2]
            text = text.partition(".")[2] if text.lower().startswith("0:") else text
    name, dot, part_name = text.partition(".")
    attribute = find_part(of, name)
    part = find_part(attribute, part_name) if attribute is not None and dot else None
    if attribute is None or (dot and part is None):
        raise invalid_filter(f"{unverified_text[:256]!r} is no attribute of the resource.")
    return Path(attribute, part, extension)


def _value_of(token: str, compared: Attribute) -> Any:
    try:
        value = msgspec.json.decode(token)
    except msgspec.DecodeError:
        lowered = token.lower()
        if lowered not in ("true", "false"):
            raise invalid_filter(f"{token[:64]!r} is no value: texts are in double quotes.") from None
        value = lowered == "true"
    if compared.type == BOOLEAN and isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    return value


def matches(asked: Filter, resource: Mapping[str, Any]) -> bool:
    match asked:
        case Or():
            return matches(asked.first, resource) or matches(asked.second, resource)
        case And():
            return matches(asked.first, resource) and matches(asked.second, resource)
        case Not():
            return not matches(asked.filter, resource)
        case Values():
            return any(matches(asked.filter, one) for one in _values(resource, asked.path))
        case Comparison():
            found = [one for one in _compared_values(resource, asked.path) if one is not None]
            if asked.operator == "pr":
                return bool(found)
            if asked.operator == "ne":
                return not any(_compare("eq", one, asked.value, asked.path.compared) for one in found)
            return any(_compare(asked.operator, one, asked.value, asked.path.compared) for one in found)


def _values(resource: Mapping[str, Any], path: Path) -> list[Any]:
    holder = resource.get(path.extension, {}) if path.extension else resource
    value = holder.get(path.attribute.name)
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _compared_values(resource: Mapping[str, Any], path: Path) -> list[Any]:
    values = _values(resource, path)
    name = path.compared.name
    return [one.get(name) if isinstance(one, dict) else one for one in values]


def _compare(name: str, found: Any, wanted: Any, of: Attribute) -> bool:
    """Only texts are compared but for equality: times are texts of one form, so their order is that of time."""
    if not isinstance(found, str) or not isinstance(wanted, str):
        return name == "eq" and type(found) is type(wanted) and bool(found == wanted)
    first, second = (found, wanted) if of.is_exact else (found.casefold(), wanted.casefold())
    return _TEXTS[name](first, second)


def named_by(asked: Filter) -> tuple[str, str] | None:
    """The attribute and the text where the filter is `ATTRIBUTE eq TEXT`, or "and" has such a part; else None."""
    if isinstance(asked, And):
        return named_by(asked.first) or named_by(asked.second)
    if not isinstance(asked, Comparison) or asked.operator != "eq" or not isinstance(asked.value, str):
        return None
    if asked.path.part is not None or asked.path.extension or asked.path.attribute.parts:
        return None
    return asked.path.attribute.name, asked.value
