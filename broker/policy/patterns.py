"""Globs for actions, ARNs and strings: anchored, compiled once, never exponential.

A pattern is a sequence of literal text, `STAR` (any characters) and `ONE` (exactly one). A matcher searches for the
pieces between stars from left to right without backtracking, so a thousand wildcards cost a thousand searches. Regular
expressions are not used: compiling them would cost more than all matching.
"""

import enum
import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TypeVar

from broker.policy.pieces import Piece, begins_with, make_piece, match_pieces

Matcher = Callable[[str], bool]


class Wild(enum.Enum):
    """The wildcards of a policy."""

    STAR = "*"
    ONE = "?"


STAR, ONE = Wild.STAR, Wild.ONE
Glob = tuple[str | Wild, ...]
Item = TypeVar("Item")
ARN_PARTS = 6
_WILDCARDS = re.compile(r"([*?])")
_WILDS: dict[str, str | Wild] = {"*": STAR, "?": ONE}


def parse_glob(text: str) -> Glob:
    """`*` and `?` as wildcards, everything else literal."""
    return tuple([_WILDS.get(piece, piece) for piece in _WILDCARDS.split(text) if piece])


def compile_glob(glob: Glob) -> Matcher:
    """A function that says whether a whole text matches; `*` matches any characters."""
    if STAR not in glob and ONE not in glob:
        return "".join(map(str, glob)).__eq__
    if ONE in glob:
        return partial(match_pieces, pieces_of(glob))
    texts = ["".join(map(str, part)) for part in split_at_stars(glob)]
    if len(texts) == 2 and not texts[1]:
        prefix = texts[0]
        return lambda text: text.startswith(prefix)
    return _texts_in_order(texts)


def split_at_stars(items: Iterable[Item]) -> list[list[Item]]:
    parts: list[list[Item]] = [[]]
    for item in items:
        if item is STAR:
            parts.append([])
        else:
            parts[-1].append(item)
    return parts


def pieces_of(glob: Glob) -> tuple[Piece, ...]:
    return tuple(piece_of(part) for part in split_at_stars(glob))


def piece_of(items: Iterable[str | Wild]) -> Piece:
    """The piece between two stars. Its texts are not joined, because values of variables may be long."""
    fragments: list[tuple[int, str]] = []
    length = 0
    for item in items:
        if isinstance(item, str):
            if item:
                fragments.append((length, item))
            length += len(item)
        else:
            length += 1
    return make_piece(fragments, length)


def _texts_in_order(texts: list[str]) -> Matcher:
    first, last = texts[0], texts[-1]
    middle = tuple(text for text in texts[1:-1] if text)
    shortest = len(first) + len(last)

    def matches(text: str) -> bool:
        if len(text) < shortest or not text.startswith(first) or not text.endswith(last):
            return False
        at, end = len(first), len(text) - len(last)
        for piece in middle:
            found = text.find(piece, at, end)
            if found < 0:
                return False
            at = found + len(piece)
        return True

    return matches


def split_arn_glob(glob: Sequence[str | Item]) -> list[tuple[str | Item, ...]]:
    """The parts between the colons of literal texts, at most six; the sixth may contain colons."""
    parts: list[list[str | Item]] = [[]]
    for item in glob:
        if not isinstance(item, str):
            parts[-1].append(item)
            continue
        first, *rest = item.split(":", ARN_PARTS - len(parts))
        if first:
            parts[-1].append(first)
        parts.extend([piece] if piece else [] for piece in rest)
    return [tuple(part) for part in parts]


def whole_arn_parts(parts: Sequence[tuple[str | Item | Wild, ...]]) -> list[tuple[str | Item | Wild, ...]]:
    """All six parts for ArnLike; raises ValueError where `parts` are not those of an ARN.

    A shorter pattern that ends in `*` stands for all the parts that it leaves out.
    """
    if len(parts) < ARN_PARTS and (not parts[-1] or parts[-1][-1] is not STAR):
        raise ValueError("not in ARN form")
    return [*parts, *[(STAR,)] * (ARN_PARTS - len(parts))]


def compile_arn_glob(glob: Glob) -> Matcher:
    """For ArnLike: each of the six parts by itself; raises ValueError where `glob` is not in ARN form."""
    parts = whole_arn_parts(split_arn_glob(glob))
    checks = tuple((index, compile_glob(part)) for index, part in enumerate(parts) if part != (STAR,))
    return partial(match_arn, checks)


def match_arn(checks: Iterable[tuple[int, Matcher]], text: str) -> bool:
    segments = text.split(":", ARN_PARTS - 1)
    return len(segments) == ARN_PARTS and all(check(segments[index]) for index, check in checks)


def is_segmented(parts: Sequence[tuple[object, ...]]) -> bool:
    """Whether a Resource with these parts must be matched by segments: see `compile_resource_glob`."""
    front = parts[: ARN_PARTS - 1]
    return len(parts) == ARN_PARTS and any(ONE in part or STAR in part[:-1] for part in front)


def compile_resource_glob(glob: Glob) -> Matcher:
    """For Resource: a `*` at the end of a segment also matches colons, one inside a segment does not.

    IAM User Guide, "IAM JSON policy elements: Resource", section on wildcards. The sixth part of an ARN, the
    resource itself, is one segment here: its own colons are ordinary characters.
    """
    parts = split_arn_glob(glob)
    if not is_segmented(parts):
        return compile_glob(glob)
    *front, last = parts
    return partial(match_segments, [segment_of(part, compile_glob(part)) for part in front], pieces_of(last))


Segment = tuple[Matcher, bool]  # the matcher of one part, and whether its last star also matches colons


def segment_of(part: Sequence[object], matches: Matcher) -> Segment:
    return matches, bool(part) and part[-1] is STAR


def match_segments(front: Sequence[Segment], last: Sequence[Piece], text: str) -> bool:
    """Whether the first five parts match segments of `text` and the last one all of the rest."""
    segments = text.split(":")
    number = 0
    for matches, goes_on in front:
        if number + 1 >= len(segments) or not matches(segments[number]):
            return False
        number += 1
        if goes_on:
            starts = _starts_after(front[number:], segments, range(number, len(segments)))
            return _ends_with(last, text, _offsets(segments, starts))
    return _ends_with(last, text, _offsets(segments, (number,)))


def _starts_after(front: Iterable[Segment], segments: Sequence[str], starts: Sequence[int]) -> Sequence[int]:
    """The segments at which the last part may begin, if `front` may begin at any of `starts` (numbers of segments).

    A star that also matches colons may end before any later colon.
    """
    for matches, goes_on in front:
        if goes_on:
            found = next((start for start in starts if matches(segments[start])), len(segments))
            starts = range(found + 1, len(segments))
        else:
            starts = [start + 1 for start in starts if matches(segments[start])]
            if starts and starts[-1] == len(segments):
                starts.pop()
    return starts


def _offsets(segments: Sequence[str], starts: Iterable[int]) -> Iterable[int]:
    """The offsets of the segments with these ascending numbers."""
    offset = number = 0
    for start in starts:
        offset += sum(map(len, segments[number:start])) + start - number
        number = start
        yield offset


def _ends_with(last: Sequence[Piece], text: str, offsets: Iterable[int]) -> bool:
    """Whether `last` matches the rest of `text` from one of the offsets.

    The first offset that its first piece matches is enough: its first star matches whatever a later one would skip.
    """
    first = last[0]
    if len(last) == 1:
        at = len(text) - first.length
        return at in offsets and begins_with(first, text, at)
    found = next((offset for offset in offsets if begins_with(first, text, offset)), None)
    return found is not None and match_pieces(last, text[found:])
