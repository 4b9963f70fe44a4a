"""Where each statement stands in the text of a policy; worked out only when somebody asks, which is seldom.

The simulator's positions are those of a reader. It starts just behind the bracket that opens the list of statements (or
the lone statement), or just behind the statement before; it ends just behind the last bracket of this statement
(measured; IAM API reference, SimulateCustomPolicy, its example).
"""

import re
from functools import lru_cache

import msgspec

from broker.policy.reading import DECODER

_SPACE = re.compile(r"[ \t\r\n]*")


class Position(msgspec.Struct, frozen=True):
    """A place in the policy text; line and column count from 1, as the simulator's do."""

    line: int
    column: int


class Place(msgspec.Struct, frozen=True):
    """`start` and `end` are what the simulator prints; `line` is where a reader finds the statement."""

    start: Position
    end: Position
    line: int


@lru_cache(maxsize=32)
def places_of(text: str) -> tuple[Place, ...]:
    """A place for each statement of a policy that has been parsed, in the policy's order."""
    begin, statements = _offsets(text)
    places = []
    for start, end in statements:
        places.append(Place(_position(text, begin), _position(text, end), _position(text, start).line))
        begin = end
    return tuple(places)


def _offsets(text: str) -> tuple[int, list[tuple[int, int]]]:
    """Where the reader stands before the first statement, and between which offsets each one stands."""
    at = _skip(text, 0) + 1
    while True:
        key, at = DECODER.raw_decode(text, _skip(text, at))
        start = _skip(text, _skip(text, at) + 1)
        value, end = DECODER.raw_decode(text, start)
        if key == "Statement":
            return start + 1, _items(text, start) if isinstance(value, list) else [(start, end)]
        at = _skip(text, end) + 1


def _items(text: str, start: int) -> list[tuple[int, int]]:
    at = _skip(text, start + 1)
    items = []
    while text[at] != "]":
        _, end = DECODER.raw_decode(text, at)
        items.append((at, end))
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return items


def _skip(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at


def _position(text: str, offset: int) -> Position:
    line_start = text.rfind("\n", 0, offset) + 1
    return Position(text.count("\n", 0, offset) + 1, offset - line_start + 1)
