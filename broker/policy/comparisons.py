"""Comparison of one value of a request with the values of a policy: as texts, as patterns, or after parsing.

Each returns True, False, or None where the comparison cannot be evaluated. Values with variables are resolved per
request; a variable without a value matches nothing. Only texts and patterns know variables (IAM User Guide, "IAM policy
elements: Variables and tags", section "Condition element").
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from broker.policy.context import ByKey
from broker.policy.patterns import Glob, Matcher
from broker.policy.templates import Fill
from broker.policy.variables import (
    Template,
    is_static,
    parse_template,
    resolve_text,
    static_glob,
)


class Operand(Protocol):
    """The values of a condition, ready to be compared with values of the request."""

    def matches(self, value: str, by_key: ByKey) -> bool | None: ...

    def resolved(self, by_key: ByKey, longest: int) -> "Operand":
        """The same with its variables filled in, for values of one request of at most `longest` characters."""


CompileOperand = Callable[[Sequence[str], bool], Operand]

# The greatest growth of a text by case folding: "ΐ" becomes three characters.
_LONGEST_CASEFOLD = 3


class Texts(msgspec.Struct, frozen=True):
    """Equality after `normal`; `*` and `?` are ordinary characters."""

    normal: Callable[[str], str]
    literals: frozenset[str]
    dynamic: tuple[Template, ...] = ()

    def matches(self, value: str, by_key: ByKey) -> bool | None:
        value = self.normal(value)
        if value in self.literals:
            return True
        return bool(self.dynamic) and value in self._filled(by_key, len(value))

    def resolved(self, by_key: ByKey, longest: int) -> "Texts":
        if not self.dynamic:
            return self
        return Texts(self.normal, self.literals | self._filled(by_key, longest * _LONGEST_CASEFOLD))

    def _filled(self, by_key: ByKey, longest: int) -> set[str]:
        texts = (resolve_text(item, by_key, longest) for item in self.dynamic)
        return {self.normal(text) for text in texts if text is not None}


class Patterns(msgspec.Struct, frozen=True):
    """Globs; `otherwise`, the answer without a match, is None where a glob is malformed and cannot be evaluated."""

    patterns: tuple[Matcher, ...]
    otherwise: bool | None = False
    dynamic: tuple[Fill, ...] = ()

    def matches(self, value: str, by_key: ByKey) -> bool | None:
        for pattern in self.patterns:
            if pattern(value):
                return True
        otherwise = self.otherwise
        for fill in self.dynamic:
            filled = _filled(fill, by_key)
            if filled is None:
                otherwise = None
            elif filled(value):
                return True
        return otherwise

    def resolved(self, by_key: ByKey, longest: int) -> "Patterns":
        if not self.dynamic:
            return self
        found = [_filled(fill, by_key) for fill in self.dynamic]
        return _patterns([*self.patterns, *found], self.otherwise)


def _filled(fill: Fill, by_key: ByKey) -> Matcher | None:
    """The pattern for this request; None where it cannot be evaluated. Without a value it matches nothing."""
    try:
        return fill(by_key) or _nothing
    except ValueError:
        return None


def _nothing(value: str) -> bool:
    return False


def _patterns(
    found: Sequence[Matcher | None], otherwise: bool | None = False, dynamic: tuple[Fill, ...] = ()
) -> Patterns:
    readable = tuple(pattern for pattern in found if pattern is not None)
    return Patterns(readable, None if None in found else otherwise, dynamic)


def _pattern(compiled: Callable[[Glob], Matcher], glob: Glob) -> Matcher | None:
    try:
        return compiled(glob)
    except ValueError:
        return None


class Reading(msgspec.Struct, frozen=True):
    """How both sides are parsed before they are compared as `compare(had, wanted)`."""

    wanted: Callable[[str], Any]
    had: Callable[[str], Any]
    compare: Callable[[Any, Any], bool]


class Readings(msgspec.Struct, frozen=True):
    """Operands that must be parsed first; malformed ones, which those with variables are, cannot be evaluated."""

    reading: Reading
    wanted: tuple[Any, ...]
    otherwise: bool | None = False

    def matches(self, value: str, by_key: ByKey) -> bool | None:
        had = self.reading.had(value)
        if had is None:
            return None
        compare = self.reading.compare
        for item in self.wanted:
            if compare(had, item):
                return True
        return self.otherwise

    def resolved(self, by_key: ByKey, longest: int) -> "Readings":
        return self


def _split(
    values: Sequence[str], variables: bool, wildcards: bool
) -> tuple[list[Glob], tuple[Template, ...]]:
    """The values without variables, and those with."""
    templates = [parse_template(value, wildcards=wildcards, variables=variables) for value in values]
    static = [static_glob(item) for item in templates if is_static(item)]
    return static, tuple(item for item in templates if not is_static(item))


def _text(glob: Glob) -> str:
    return "".join(map(str, glob))


def compile_texts(normal: Callable[[str], str], values: Sequence[str], variables: bool) -> Operand:
    static, dynamic = _split(values, variables, wildcards=False)
    return Texts(normal, frozenset(normal(_text(glob)) for glob in static), dynamic)


def compile_patterns(
    compiled: Callable[[Glob], Matcher],
    template: Callable[[Template], Fill],
    values: Sequence[str],
    variables: bool,
) -> Operand:
    """`compiled` compiles values without variables, `template` those with."""
    static, dynamic = _split(values, variables, wildcards=True)
    return _patterns(
        [_pattern(compiled, glob) for glob in static], dynamic=tuple(template(item) for item in dynamic)
    )


def compile_readings(reading: Reading, values: Sequence[str], variables: bool) -> Operand:
    found = [reading.wanted(value) for value in values]
    readable = tuple(item for item in found if item is not None)
    return Readings(reading, readable, None if None in found else False)
