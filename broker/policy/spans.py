"""The span of each statement in the text of a policy, computed on demand.

The simulator's positions are those of a parser. A span starts just behind the bracket that opens the list of statements
(or the only statement), or just behind the statement before; it ends just behind the last bracket of this statement
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
    """A position in the policy text; line and column count from 1, as the simulator's do."""

    line: int
    column: int


class StatementSpan(msgspec.Struct, frozen=True):
    """`start` and `end` are what the simulator prints; `line` is the line on which the statement begins."""

    start: Position
    end: Position
    line: int


class StatementSpans(msgspec.Struct, frozen=True):
    """Offsets in a text: `before` the first statement, `starts` and `ends` of each, all ends of lines in `newlines`."""

    before: int
    starts: "array[int]"
    ends: "array[int]"
    newlines: "array[int]"

    def __getitem__(self, number: int) -> StatementSpan:
        """The span of the statement with this number, from 0."""
        begin = self.ends[number - 1] if number else self.before
        start = self._position(self.starts[number])
        return StatementSpan(self._position(begin), self._position(self.ends[number]), start.line)

    def __len__(self) -> int:
        return len(self.starts)

    def _position(self, offset: int) -> Position:
        lines = bisect_left(self.newlines, offset)
        return Position(lines + 1, offset - self.newlines[lines - 1] if lines else offset + 1)


@lru_cache(maxsize=32)
def spans_of(text: str) -> StatementSpans:
    """The spans of the statements of a policy that was parsed before, in the policy's order."""
    before, statements = _offsets(text)
    starts, ends = array("L"), array("L")
    for start, end in statements:
        starts.append(start)
        ends.append(end)
    return StatementSpans(
        before, starts, ends, array("L", (found.start() for found in _NEWLINE.finditer(text)))
    )


def _offsets(text: str) -> tuple[int, list[tuple[int, int]]]:
    """The offset just before the first statement, and the start and end of each."""
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
