"""Globs for actions, ARNs and strings: anchored, compiled once, never exponential.

A template is a sequence of literal text, `STAR` (any characters) and `ONE` (exactly one). The matcher of a
template looks for its literal pieces from left to right and never goes back, so a thousand wildcards cost a
thousand searches. ARN segments need two kinds of star; those run as a bit-parallel automaton, linear as well.
"""

import enum
import re
from collections.abc import Callable, Sequence
from itertools import pairwise

Matcher = Callable[[str], bool]


class Wild(enum.Enum):
    """The wildcards of a policy."""

    STAR = "*"
    ONE = "?"


STAR, ONE = Wild.STAR, Wild.ONE
Glob = tuple[str | Wild, ...]
ARN_PARTS = 6
_WILDCARDS = re.compile(r"([*?])")


def parse_glob(text: str) -> Glob:
    """`*` and `?` as wildcards, everything else literal."""
    return tuple(Wild(piece) if piece in ("*", "?") else piece for piece in _WILDCARDS.split(text) if piece)


def compile_glob(glob: Glob) -> Matcher:
    """A function that says whether a whole text matches; `*` crosses any character."""
    if STAR not in glob and ONE not in glob:
        return "".join(map(str, glob)).__eq__
    if ONE in glob:
        return _with_single_characters(glob)
    pieces = _split_at_stars(glob)
    if len(pieces) == 2 and not pieces[1]:
        prefix = pieces[0]
        return lambda text: text.startswith(prefix)
    return _pieces_in_order(pieces)


def _split_at_stars(glob: Glob) -> list[str]:
    pieces = [""]
    for part in glob:
        if isinstance(part, str):
            pieces[-1] += part
        else:
            pieces.append("")
    return pieces


def _pieces_in_order(pieces: list[str]) -> Matcher:
    first, last = pieces[0], pieces[-1]
    middle = tuple(piece for piece in pieces[1:-1] if piece)
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


def _with_single_characters(glob: Glob) -> Matcher:
    """The same search by `re`: each piece is an atomic group, so the engine cannot go back into it."""
    pieces: list[list[str | Wild]] = [[]]
    for part in glob:
        if part is STAR:
            pieces.append([])
        else:
            pieces[-1].append(part)
    first = re.compile(_expression(pieces[0]), re.DOTALL)
    if len(pieces) == 1:
        return lambda text: first.fullmatch(text) is not None
    body = "".join(f"(?>.*?{_expression(piece)})" for piece in pieces[1:-1] if piece)
    head = re.compile(_expression(pieces[0]) + body, re.DOTALL)
    tail = re.compile(_expression(pieces[-1]), re.DOTALL)
    length = sum(len(part) if isinstance(part, str) else 1 for part in pieces[-1])

    def matches(text: str) -> bool:
        end = len(text) - length
        return end >= 0 and head.match(text, 0, end) is not None and tail.fullmatch(text, end) is not None

    return matches


def _expression(piece: Sequence[str | Wild]) -> str:
    return "".join(re.escape(part) if isinstance(part, str) else "." for part in piece)


def split_arn_glob(glob: Glob) -> list[Glob]:
    """The parts between colons, at most six: the sixth keeps its colons."""
    parts: list[list[str | Wild]] = [[]]
    for item in glob:
        if isinstance(item, Wild):
            parts[-1].append(item)
            continue
        first, *rest = item.split(":", ARN_PARTS - len(parts))
        if first:
            parts[-1].append(first)
        parts.extend([piece] if piece else [] for piece in rest)
    return [tuple(part) for part in parts]


def compile_arn_glob(glob: Glob) -> Matcher:
    """For ArnLike: each of the six parts by itself; raises ValueError where `glob` is not in ARN form.

    A shorter pattern that ends in `*` stands for all the parts that it leaves out.
    """
    parts = split_arn_glob(glob)
    if len(parts) < ARN_PARTS:
        if not parts[-1] or parts[-1][-1] is not STAR:
            raise ValueError("not in ARN form")
        parts.extend([(STAR,)] * (ARN_PARTS - len(parts)))
    checks = tuple((index, compile_glob(part)) for index, part in enumerate(parts) if part != (STAR,))

    def matches(text: str) -> bool:
        segments = text.split(":", ARN_PARTS - 1)
        return len(segments) == ARN_PARTS and all(check(segments[index]) for index, check in checks)

    return matches


def compile_resource_glob(glob: Glob) -> Matcher:
    """For Resource: a `*` at the end of a segment goes on over colons, one inside a segment does not.

    IAM User Guide, "IAM JSON policy elements: Resource", section on wildcards. The sixth part of an ARN, the
    resource itself, is one segment here: its own colons are ordinary characters.
    """
    *front, _ = parts = split_arn_glob(glob)
    if len(parts) < ARN_PARTS or not any(ONE in part or STAR in part[:-1] for part in front):
        return compile_glob(glob)
    segmented = compile_arn_glob(glob)
    if not any(part and part[-1] is STAR for part in front):
        return segmented
    crossing = _automaton(parts)
    return lambda text: segmented(text) or crossing(text)


def _automaton(parts: list[Glob]) -> Matcher:
    """One bit per position in the pattern; each character of the text moves all of them at once."""
    units = _units(parts)
    accept = 1 << len(units)
    anything = no_colon = star_anything = star_no_colon = stars = 0
    by_character: dict[str, int] = {}
    for position, (unit, crosses) in enumerate(units):
        bit = 1 << position
        if unit is STAR:
            stars |= bit
            star_anything |= bit if crosses else 0
            star_no_colon |= bit
        elif unit is ONE:
            anything |= bit if crosses else 0
            no_colon |= bit
        else:
            by_character[str(unit)] = by_character.get(str(unit), 0) | bit

    def closed(states: int) -> int:
        while (states | (states & stars) << 1) != states:
            states |= (states & stars) << 1
        return states

    def matches(text: str) -> bool:
        states = closed(1)
        for character in text:
            step = by_character.get(character, 0) | (anything if character == ":" else no_colon)
            stay = star_anything if character == ":" else star_no_colon
            states = closed((states & step) << 1 | states & stay)
            if not states:
                return False
        return bool(states & accept)

    return matches


def _units(parts: list[Glob]) -> list[tuple[str | Wild, bool]]:
    """Single characters and wildcards, each wildcard with whether it may stand for a colon."""
    units: list[tuple[str | Wild, bool]] = []
    for number, part in enumerate(parts):
        last = number == ARN_PARTS - 1
        for item, following in pairwise([*part, None]):
            if isinstance(item, Wild):
                units.append((item, last or (item is STAR and following is None)))
            else:
                units.extend((character, True) for character in item or "")
        if not last:
            units.append((":", True))
    return units
