"""Where each statement stands in the text of a policy; worked out only when somebody asks, which is seldom.

The simulator's positions are those of a reader. It starts just behind the bracket that opens the list of statements (or
the lone statement), or just behind the statement before; it ends just behind the last bracket of this statement
(measured; IAM API reference, SimulateCustomPolicy, its example).
"""

import re
from array import array
from bisect import bisect_left
from functools import lru_cache

import msgspec

from broker.policy.reading import DECODER

_NEWLINE = re.compile("\n")
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


class Places(msgspec.Struct, frozen=True):
    """Offsets in a text: `before` the first statement, `starts` and `ends` of each, all ends of lines in `newlines`."""

    before: int
    starts: "array[int]"
    ends: "array[int]"
    newlines: "array[int]"

    def __getitem__(self, number: int) -> Place:
        """That of the statement with this number, from 0."""
        begin = self.ends[number - 1] if number else self.before
        start = self._position(self.starts[number])
        return Place(self._position(begin), self._position(self.ends[number]), start.line)

    def __len__(self) -> int:
        return len(self.starts)

    def _position(self, offset: int) -> Position:
        lines = bisect_left(self.newlines, offset)
        return Position(lines + 1, offset - self.newlines[lines - 1] if lines else offset + 1)


@lru_cache(maxsize=32)
def places_of(text: str) -> Places:
    """A place for each statement of a policy that has been parsed, in the policy's order."""
    before, statements = _offsets(text)
    starts, ends = array("L"), array("L")
    for start, end in statements:
        starts.append(start)
        ends.append(end)
    return Places(before, starts, ends, array("L", (found.start() for found in _NEWLINE.finditer(text))))


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
