"""JSON with positions: every value and key of a text, where it begins and ends, and its path.

The text is parsed by `json` first, so the walk over it may trust that it is well-formed.
"""

import json
import re
from typing import NoReturn

import msgspec

from broker.policy.reading import refuse_depth

# A step of a path as Access Analyzer writes it: ("value", key), ("index", number), or, of a key itself, ("key", key).
Step = tuple[str, str | int]
Path = tuple[Step, ...]
_STRINGS = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\r\n]*")
_SCALAR = re.compile(r"[^\s,\]}]+")


class JsonNode(msgspec.Struct, frozen=True):
    """A value. `kind` is object, array, string, number, boolean or null; offsets count characters, `end` exclusive."""

    kind: str
    start: int
    end: int
    path: Path
    text: str = ""  # of a string its value, of another scalar what is written
    items: "tuple[JsonNode, ...]" = ()
    members: "tuple[JsonMember, ...]" = ()

    def find(self, name: str) -> "JsonNode | None":
        return next((member.value for member in self.members if member.key.text == name), None)


class JsonMember(msgspec.Struct, frozen=True):
    """One member of an object."""

    key: JsonNode
    value: JsonNode


class JsonFault(ValueError):
    """Text that is no JSON; `at` is the offset of the fault."""

    def __init__(self, message: str, at: int = 0) -> None:
        super().__init__(message)
        self.at = at


def read_nodes(text: str) -> JsonNode:
    """Raises JsonFault."""
    try:
        refuse_depth(text)
        json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise JsonFault(error.msg, error.pos) from None
    except (ValueError, RecursionError) as error:
        raise JsonFault(str(error)) from None
    return _value(text, _skip(text, 0), ())


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _skip(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at


def _value(text: str, at: int, path: Path) -> JsonNode:
    first = text[at]
    if first == '"':
        value, end = _string(text, at)
        return JsonNode("string", at, end, path, value)
    if first == "{":
        return _object(text, at, path)
    if first == "[":
        return _array(text, at, path)
    found = _SCALAR.match(text, at)
    written = found.group() if found else ""
    kind = {"t": "boolean", "f": "boolean", "n": "null"}.get(first, "number")
    return JsonNode(kind, at, at + len(written), path, written)


def _string(text: str, at: int) -> tuple[str, int]:
    """The text that begins at `at`, and where it ends. Half a character is refused: no answer could show it."""
    value, end = _STRINGS.raw_decode(text, at)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise JsonFault(f"{value[error.start]!a} is half of a character", at) from None
    return value, end


def _array(text: str, start: int, path: Path) -> JsonNode:
    items: list[JsonNode] = []
    at = _skip(text, start + 1)
    while text[at] != "]":
        item = _value(text, at, (*path, ("index", len(items))))
        items.append(item)
        at = _next(text, item.end)
    return JsonNode("array", start, at + 1, path, items=tuple(items))


def _object(text: str, start: int, path: Path) -> JsonNode:
    members: list[JsonMember] = []
    at = _skip(text, start + 1)
    while text[at] != "}":
        name, end = _string(text, at)
        key = JsonNode("string", at, end, (*path, ("key", name)), name)
        at = _skip(text, _skip(text, end) + 1)
        value = _value(text, at, (*path, ("value", name)))
        members.append(JsonMember(key, value))
        at = _next(text, value.end)
    return JsonNode("object", start, at + 1, path, members=tuple(members))


def _next(text: str, at: int) -> int:
    """Behind the comma, if there is one."""
    at = _skip(text, at)
    return _skip(text, at + 1) if text[at] == "," else at
