"""The languages of patterns: the same texts as the matchers of `broker.policy.patterns`, as automata read them."""

from functools import cache

from broker.policy.operands import read_boolean
from broker.policy.patterns import (
    ARN_PARTS,
    STAR,
    Glob,
    Wild,
    is_segmented,
    split_arn_glob,
    whole_arn_parts,
)
from broker.policy.solver.automata import ANY, ANYTHING, Jump, Language, Loop, Step, literal

_COLON = frozenset(":")
_NOT_COLON = Step(_COLON, is_other=True)
_NO_COLONS = Loop(_COLON)
_BOOLEANS = ("true", "false")

Items = tuple[Step | Loop, ...]

# An action has a service, a colon and a name; `*` matches one without a colon, too, but there is none.
ACTION = Language((_NOT_COLON, _NO_COLONS, *literal(":"), ANY, ANYTHING))
# What resources are called. Others are looked at only where no such one is an example.
_PART_OR_NOTHING: Items = (_NO_COLONS, *literal(":"))
_PART: Items = (_NOT_COLON, *_PART_OR_NOTHING)
WHOLE_ARN = Language((*literal("arn:"), *_PART, *_PART, *_PART_OR_NOTHING, *_PART_OR_NOTHING, ANY, ANYTHING))


def is_literal(glob: Glob) -> bool:
    """Only one text matches."""
    return all(isinstance(piece, str) for piece in glob)


def glob_language(glob: Glob) -> Language:
    """As `compile_glob`."""
    return Language(_items(glob, ANY, ANYTHING))


def _items(glob: tuple[str | Wild, ...], one: Step, star: Loop) -> Items:
    items: list[Step | Loop] = []
    for piece in glob:
        if isinstance(piece, str):
            items += literal(piece)
        else:
            items.append(star if piece is STAR else one)
    return tuple(items)


def arn_language(glob: Glob) -> Language | None:
    """As `compile_arn_glob`; None where `glob` is not in ARN form."""
    try:
        *front, last = whole_arn_parts(split_arn_glob(glob))
    except ValueError:
        return None
    items = [(*_items(part, _NOT_COLON, _NO_COLONS), *literal(":")) for part in front]
    return Language((*(item for part in items for item in part), *_items(last, ANY, ANYTHING)))


def resource_language(glob: Glob) -> Language:
    """As `compile_resource_glob`: the star at the end of a segment matches colons, too."""
    parts = split_arn_glob(glob)
    if not is_segmented(parts):
        return glob_language(glob)
    items: list[Step | Loop] = []
    for part in parts[: ARN_PARTS - 1]:
        goes_on = bool(part) and part[-1] is STAR
        items += _items(part[:-1] if goes_on else part, _NOT_COLON, _NO_COLONS)
        items += [ANYTHING] if goes_on else []
        items += literal(":")
    return Language((*items, *_items(parts[-1], ANY, ANYTHING)))


def casefold_language(text: str) -> Language:
    """The texts that are the same as `text` by case folding, by which "SS" and "ß" are the same, too."""
    folded = text.casefold()
    singles, longer = _foldings()
    steps = tuple(Step(frozenset((one, *singles.get(one, ())))) for one in folded)
    jumps = [
        Jump(at, character, len(expansion))
        for expansion, characters in longer.items()
        for at in range(len(folded))
        if folded.startswith(expansion, at)
        for character in characters
    ]
    return Language(steps, tuple(jumps))


@cache
def _foldings() -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """The characters that fold into one other character, and into several."""
    singles: dict[str, list[str]] = {}
    longer: dict[str, list[str]] = {}
    for number in range(0x20000):  # no character beyond them is folded
        character = chr(number)
        folded = character.casefold()
        if folded != character:
            (singles if len(folded) == 1 else longer).setdefault(folded, []).append(character)
    return singles, longer


def boolean_languages() -> tuple[Language, Language]:
    """The texts that are read as true, and as false (`read_boolean`)."""
    both = [
        Language(tuple(Step(frozenset((one, one.upper()))) for one in text))
        for text in _BOOLEANS
        if read_boolean(text) is not None
    ]
    return both[0], both[1]
