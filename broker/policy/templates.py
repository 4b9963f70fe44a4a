"""Patterns with variables: taken apart once, filled in at each decision, and never compiled then.

Filling in costs a step per variable and copies no text, however long the values are. What a variable brings in is
literal, but for the colons that make parts of an ARN: a template is taken apart at its own colons, and once more, with
its values, where one of those that could make parts of it has colons itself.
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
# pattern with these values has not the form that it must have.
Fill = Callable[[ByKey], Matcher | None]
Pieces = tuple[
    Piece | Template, ...
]  # what stands between two stars: a piece, or what makes one when it is filled in
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
    """A template that has the form of an ARN: `compiled` by its own colons, None where these do not make one.

    Colons in the values of `shaping` would make other parts of it: `late` makes a pattern of such a one.
    """

    template: Template
    shaping: tuple[Variable, ...]
    compiled: Fill | None
    late: Callable[[Glob], Matcher]


def _shaped(
    template: Template, compiled: Callable[[Parts], Fill], late: Callable[[Glob], Matcher]
) -> _Shaped:
    parts: Parts = split_arn_glob(template)
    # The sixth part keeps its colons.
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
    """What is not compiled, for most of it is never looked at: the first part that differs is the last to be read."""
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
    """The template of which these are the parts."""
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
