"""How one value of a request is compared with the values of a policy: as texts, as patterns, or after reading.

Each answers True, False, or None where that cannot be evaluated. Values with variables are resolved per request;
a variable without a value matches nothing.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from broker.policy.context import ByKey
from broker.policy.patterns import Glob, Matcher
from broker.policy.variables import (
    Template,
    is_static,
    parse_template,
    resolve,
    resolve_text,
    static_glob,
)


class Operand(Protocol):
    """The values of a condition, ready to be compared with values of the request."""

    def matches(self, value: str, by_key: ByKey) -> bool | None: ...

    def resolved(self, by_key: ByKey) -> "Operand":
        """The same with its variables filled in, for many values of one request."""


CompileOperand = Callable[[Sequence[str], bool], Operand]


class Texts(msgspec.Struct, frozen=True):
    """Equality after `normal`; `*` and `?` are ordinary characters."""

    normal: Callable[[str], str]
    literals: frozenset[str]
    dynamic: tuple[Template, ...] = ()

    def matches(self, value: str, by_key: ByKey) -> bool | None:
        value = self.normal(value)
        if value in self.literals:
            return True
        return bool(self.dynamic) and value in self.resolved(by_key).literals

    def resolved(self, by_key: ByKey) -> "Texts":
        if not self.dynamic:
            return self
        texts = (resolve_text(item, by_key) for item in self.dynamic)
        return Texts(self.normal, self.literals | {self.normal(text) for text in texts if text is not None})


class Patterns(msgspec.Struct, frozen=True):
    """Globs; one that `compiled` refuses cannot be evaluated, then `otherwise` is None."""

    compiled: Callable[[Glob], Matcher]
    patterns: tuple[Matcher, ...]
    otherwise: bool | None = False
    dynamic: tuple[Template, ...] = ()

    def matches(self, value: str, by_key: ByKey) -> bool | None:
        for pattern in self.patterns:
            if pattern(value):
                return True
        return self.resolved(by_key).matches(value, by_key) if self.dynamic else self.otherwise

    def resolved(self, by_key: ByKey) -> "Patterns":
        if not self.dynamic:
            return self
        globs = (resolve(item, by_key) for item in self.dynamic)
        found = [_pattern(self.compiled, glob) for glob in globs if glob is not None]
        return _patterns(self.compiled, [*self.patterns, *found], self.otherwise)


def _patterns(
    compiled: Callable[[Glob], Matcher],
    found: Sequence[Matcher | None],
    otherwise: bool | None = False,
    dynamic: tuple[Template, ...] = (),
) -> Patterns:
    readable = tuple(pattern for pattern in found if pattern is not None)
    return Patterns(compiled, readable, None if None in found else otherwise, dynamic)


def _pattern(compiled: Callable[[Glob], Matcher], glob: Glob) -> Matcher | None:
    try:
        return compiled(glob)
    except ValueError:
        return None


class Reading(msgspec.Struct, frozen=True):
    """How operands are read before they are compared as `compare(had, wanted)`."""

    wanted: Callable[[str], Any]
    had: Callable[[str], Any]
    compare: Callable[[Any, Any], bool]


class Readings(msgspec.Struct, frozen=True):
    """Operands that must be read first; those that cannot be read cannot be evaluated."""

    reading: Reading
    wanted: tuple[Any, ...]
    otherwise: bool | None = False
    dynamic: tuple[Template, ...] = ()

    def matches(self, value: str, by_key: ByKey) -> bool | None:
        had = self.reading.had(value)
        if had is None:
            return None
        compare = self.reading.compare
        for item in self.wanted:
            if compare(had, item):
                return True
        return self.resolved(by_key).matches(value, by_key) if self.dynamic else self.otherwise

    def resolved(self, by_key: ByKey) -> "Readings":
        if not self.dynamic:
            return self
        texts = (resolve_text(item, by_key) for item in self.dynamic)
        found = [self.reading.wanted(text) for text in texts if text is not None]
        return _readings(self.reading, [*self.wanted, *found], self.otherwise)


def _readings(
    reading: Reading,
    found: Sequence[Any],
    otherwise: bool | None = False,
    dynamic: tuple[Template, ...] = (),
) -> Readings:
    readable = tuple(item for item in found if item is not None)
    return Readings(reading, readable, None if None in found else otherwise, dynamic)


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


def compile_patterns(compiled: Callable[[Glob], Matcher], values: Sequence[str], variables: bool) -> Operand:
    static, dynamic = _split(values, variables, wildcards=True)
    return _patterns(compiled, [_pattern(compiled, glob) for glob in static], dynamic=dynamic)


def compile_readings(reading: Reading, values: Sequence[str], variables: bool) -> Operand:
    static, dynamic = _split(values, variables, wildcards=False)
    return _readings(reading, [reading.wanted(_text(glob)) for glob in static], dynamic=dynamic)
