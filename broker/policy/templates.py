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
    Matcher,
    Wild,
    is_segmented,
    match_arn,
    match_segments,
    piece_of,
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
    return partial(_fill_shaped, _shaped(template, _arn))


def compile_resource_template(template: Template) -> Fill:
    """As `compile_resource_glob`."""
    return partial(_fill_shaped, _shaped(template, _resource))


class _Shaped(msgspec.Struct, frozen=True):
    """A template that has the form of an ARN, with `compiled` as it is by its own colons (None: not at all).

    Colons in the values of `shaping` would make other parts of it: `shape` is what compiles those.
    """

    template: Template
    shape: Callable[[Parts], Fill]
    shaping: tuple[Variable, ...]
    compiled: Fill | None


def _shaped(template: Template, shape: Callable[[Parts], Fill]) -> _Shaped:
    parts: Parts = split_arn_glob(template)
    # The sixth part keeps its colons.
    shaping = tuple(variable for part in parts[: ARN_PARTS - 1] for variable in variables_of(part))
    try:
        compiled = shape(parts)
    except ValueError:
        compiled = None
    return _Shaped(template, shape, shaping, compiled)


def _fill_shaped(shaped: _Shaped, by_key: ByKey) -> Matcher | None:
    for variable in shaped.shaping:
        if ":" in (value_of(variable, by_key) or ""):
            glob = resolve(shaped.template, by_key)
            return None if glob is None else shaped.shape(split_arn_glob(glob))(by_key)
    if shaped.compiled is not None:
        return shaped.compiled(by_key)
    if resolve(shaped.template, by_key) is None:
        return None
    raise ValueError("not in ARN form")


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
