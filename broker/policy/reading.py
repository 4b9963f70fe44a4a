"""JSON as a policy may be written: no key twice, no NaN, bounded nesting; where each statement stands.

Nesting is bounded twice: by `DEEPEST`, counted before anything is parsed, and by the decoder's own limit.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

import msgspec

DEEPEST = 32
LONGEST = 1_000_000  # characters; the wire's own limit is 131,072
_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)  # an open one ends with the text: no second try
_NESTING = re.compile(r"[\[{\]}]")
_SPACE = re.compile(r"[ \t\r\n]*")


class Placed(msgspec.Struct, frozen=True):
    """A JSON value and the offsets between which it stands in the text."""

    value: Any
    start: int
    end: int


def _object_without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_object_without_duplicates, parse_constant=_no_constant)


def read_document(text: str) -> dict[str, Placed]:
    """The members of the one object that `text` holds; raises ValueError where it holds anything else."""
    _refuse_depth(text)
    members: dict[str, Placed] = {}
    try:
        for key, member in _members(text):
            if key in members:
                raise ValueError("a key stands twice in one object")
            members[key] = member
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return members


def read_items(text: str, placed: Placed) -> list[Placed]:
    """The elements of the list that stands at `placed`, each with its own place."""
    at = _skip(text, placed.start + 1)
    items: list[Placed] = []
    while text[at] != "]":
        value, end = _DECODER.raw_decode(text, at)
        items.append(Placed(value, at, end))
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return items


def _members(text: str) -> Iterator[tuple[str, Placed]]:
    at = _expect(text, _skip(text, 0), "{")
    while True:
        key, at = _DECODER.raw_decode(text, _skip(text, at))
        if not isinstance(key, str):
            raise ValueError("a key is a string")
        start = _skip(text, _expect(text, _skip(text, at), ":"))
        value, end = _DECODER.raw_decode(text, start)
        yield key, Placed(value, start, end)
        at = _skip(text, end)
        if text[at : at + 1] != ",":
            break
        at += 1
    if _skip(text, _expect(text, at, "}")) != len(text):
        raise ValueError("more than one document")


def _skip(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at


def _expect(text: str, at: int, character: str) -> int:
    if text[at : at + 1] != character:
        raise ValueError(f"{character} expected")
    return at + 1


def _refuse_depth(text: str) -> None:
    if len(text) > LONGEST:
        raise ValueError("too long")
    # So few brackets cannot nest deeper, wherever they stand.
    if text.count("{") + text.count("[") <= DEEPEST:
        return
    depth = 0
    for bracket in _NESTING.findall(_STRINGS.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > DEEPEST:
            raise ValueError("nested too deeply")
