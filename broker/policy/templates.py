"""Patterns with variables: split once, filled in for each decision, without compiling them again.

Filling in takes one step per variable and copies no text, however long the values are. Values are literal, except that
their colons separate the parts of an ARN: a template is split at its own colons, and where a value that may separate
parts contains a colon, the filled-in pattern is split again.
"""

from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from broker.policy.context import ByKey
from broker.policy.patterns import (
    ARN_PARTS,
    STAR,
    Glob,
    Matcher,
    Wild,
    is_segmented,
    match_arn,
    match_segments,
    piece_of,
    pieces_of,
    split_arn_glob,
    split_at_stars,
    whole_arn_parts,
)
from broker.policy.pieces import Piece, match_pieces
from broker.policy.variables import (
    Template,
    Variable,
    is_static,
    resolve,
    static_glob,
    value_of,
    variables_of,
)

# The pattern for one request, None where a variable has no value: then it matches nothing. Raises ValueError where the
# pattern with these values is malformed.
Fill = Callable[[ByKey], Matcher | None]
# The pieces between stars; a Template becomes one when it is filled in.
Pieces = tuple[Piece | Template, ...]
Parts = Sequence[tuple[str | Wild | Variable, ...]]


def compile_template(template: Template) -> Fill:
    """As `compile_glob`."""
    return partial(_fill_glob, _pieces(template))


def compile_arn_template(template: Template) -> Fill:
    """As `compile_arn_glob`."""
    return partial(_fill_shaped, _shaped(template, _arn, _late_arn))


def compile_resource_template(template: Template) -> Fill:
    """As `compile_resource_glob`."""
    return partial(_fill_shaped, _shaped(template, _resource, _late_resource))


class _Shaped(msgspec.Struct, frozen=True):
    """A template of an ARN: `compiled` is split at its own colons, None where these do not make six parts.

    A colon in the value of one of `shaping` changes the parts: then `late` makes the pattern after filling in.
    """

    template: Template
    shaping: tuple[Variable, ...]
    compiled: Fill | None
    late: Callable[[Glob], Matcher]


def _shaped(
    template: Template, compiled: Callable[[Parts], Fill], late: Callable[[Glob], Matcher]
) -> _Shaped:
    parts: Parts = split_arn_glob(template)
    # The sixth part may contain colons.
    shaping = tuple(variable for part in parts[: ARN_PARTS - 1] for variable in variables_of(part))
    try:
        return _Shaped(template, shaping, compiled(parts), late)
    except ValueError:
        return _Shaped(template, shaping, None, late)


def _fill_shaped(shaped: _Shaped, by_key: ByKey) -> Matcher | None:
    is_as_compiled = shaped.compiled is not None
    for variable in shaped.shaping:
        if ":" in (value_of(variable, by_key) or ""):
            is_as_compiled = False
            break
    if is_as_compiled and shaped.compiled is not None:
        return shaped.compiled(by_key)
    glob = resolve(shaped.template, by_key)
    return None if glob is None else shaped.late(glob)


def _late_arn(glob: Glob) -> Matcher:
    parts = whole_arn_parts(split_arn_glob(glob))
    return partial(match_arn, [(index, partial(_glob_matches, part)) for index, part in enumerate(parts)])


def _late_resource(glob: Glob) -> Matcher:
    parts = split_arn_glob(glob)
    if not is_segmented(parts):
        return partial(_glob_matches, glob)
    *front, last = parts
    segments = [(partial(_glob_matches, part), part[-1:] == (STAR,)) for part in front]
    return partial(match_segments, segments, pieces_of(last))


def _glob_matches(glob: Glob, text: str) -> bool:
    """Match without compiling before: matching stops at the first part that differs, so most parts are never read."""
    return match_pieces(pieces_of(glob), text)


def _arn(parts: Parts) -> Fill:
    whole = enumerate(whole_arn_parts(parts))
    return partial(_fill_arn, [(index, _pieces(part)) for index, part in whole if part != (STAR,)])


def _resource(parts: Parts) -> Fill:
    if not is_segmented(parts):
        return partial(_fill_glob, _pieces(_joined(parts)))
    *front, last = parts
    segments = [(_pieces(part), part[-1:] == (STAR,)) for part in front]
    return partial(_fill_segments, segments, _pieces(last))


def _joined(parts: Parts) -> Template:
    """The template with these parts."""
    return tuple(item for number, part in enumerate(parts) for item in ((":", *part) if number else part))


def _pieces(template: Template) -> Pieces:
    parts = (tuple(part) for part in split_at_stars(template))
    return tuple(piece_of(static_glob(part)) if is_static(part) else part for part in parts)


def _filled(pieces: Pieces, by_key: ByKey) -> tuple[Piece, ...] | None:
    filled = []
    for piece in pieces:
        if not isinstance(piece, Piece):
            glob = resolve(piece, by_key)
            if glob is None:
                return None
            piece = piece_of(glob)
        filled.append(piece)
    return tuple(filled)


def _fill_glob(pieces: Pieces, by_key: ByKey) -> Matcher | None:
    filled = _filled(pieces, by_key)
    return None if filled is None else partial(match_pieces, filled)


def _fill_arn(parts: Sequence[tuple[int, Pieces]], by_key: ByKey) -> Matcher | None:
    checks = [(index, _fill_glob(pieces, by_key)) for index, pieces in parts]
    found = [(index, check) for index, check in checks if check is not None]
    return partial(match_arn, found) if len(found) == len(checks) else None


def _fill_segments(front: Sequence[tuple[Pieces, bool]], last: Pieces, by_key: ByKey) -> Matcher | None:
    segments = [(_fill_glob(pieces, by_key), goes_on) for pieces, goes_on in front]
    found = [(matches, goes_on) for matches, goes_on in segments if matches is not None]
    rest = _filled(last, by_key)
    return partial(match_segments, found, rest) if rest is not None and len(found) == len(front) else None
