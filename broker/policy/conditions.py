"""Conditions: one row for each operator, combinators for everything that goes around it.

A row says whether one value of the request matches the values of the policy: True, False, or None where that
cannot be evaluated (a malformed operand on either side). Negation, IfExists, ForAllValues, ForAnyValue and
missing keys are handled once, for all rows (IAM User Guide, "Condition operators" and "Single-valued vs.
multivalued context keys"):

- A missing key does not match; so a negated operator is true, as is any IfExists. Null asks for just this.
- ForAllValues is true of no value at all, ForAnyValue is not; an empty string is no value to them.
- Several values without a set operator cannot be compared: AWS requires the set operator.

# INVARIANT: what cannot be evaluated counts as met in a Deny and as not met in an Allow (`unknown`).
"""

from collections.abc import Callable, Sequence
from operator import eq, ge, gt, le, lt
from typing import Any

import msgspec

from broker.policy.elements import Condition
from broker.policy.operands import (
    read_address,
    read_boolean,
    read_bytes,
    read_date,
    read_network,
    read_number,
)
from broker.policy.patterns import Matcher, compile_arn_glob, compile_glob
from broker.policy.variables import (
    ByKey,
    Template,
    Variable,
    is_static,
    parse_template,
    resolve,
    resolve_text,
    static_glob,
    variables_of,
)

Test = Callable[[ByKey], bool]
ValueTest = Callable[[str, ByKey], bool | None]
CompileValues = Callable[[Sequence[str], bool], ValueTest]

FOR_ALL, FOR_ANY, IF_EXISTS, NULL = "ForAllValues:", "ForAnyValue:", "IfExists", "Null"


def _strings(normal: Callable[[str], str] = str) -> CompileValues:
    """Equality after `normal`; `*` and `?` are ordinary characters."""

    def compile_values(values: Sequence[str], variables: bool) -> ValueTest:
        templates = [parse_template(value, wildcards=False, variables=variables) for value in values]
        literals = frozenset(normal("".join(map(str, item))) for item in templates if is_static(item))
        dynamic = tuple(item for item in templates if not is_static(item))
        if not dynamic:
            return lambda value, by_key: normal(value) in literals

        def matches(value: str, by_key: ByKey) -> bool | None:
            value = normal(value)
            if value in literals:
                return True
            texts = (resolve_text(item, by_key) for item in dynamic)
            return any(text is not None and normal(text) == value for text in texts)

        return matches

    return compile_values


def _case_folded(text: str) -> str:
    return text.casefold()


def _exact_strings(values: Sequence[str], variables: bool) -> ValueTest:
    if variables and any("${" in value for value in values):
        return _strings()(values, variables)
    literals = frozenset(values)
    return lambda value, by_key: value in literals


def _globs(compiled: Callable[..., Matcher]) -> CompileValues:
    """Patterns; one that `compiled` refuses cannot be evaluated."""

    def compile_values(values: Sequence[str], variables: bool) -> ValueTest:
        templates = [parse_template(value, wildcards=True, variables=variables) for value in values]
        fixed = [_pattern(compiled, item) for item in templates if is_static(item)]
        dynamic = tuple(item for item in templates if not is_static(item))
        patterns = tuple(pattern for pattern in fixed if pattern is not None)
        otherwise = None if None in fixed else False

        def matches(value: str, by_key: ByKey) -> bool | None:
            for pattern in patterns:
                if pattern(value):
                    return True
            for item in dynamic:
                glob = resolve(item, by_key)
                found = None if glob is None else _pattern(compiled, glob)
                if found is not None and found(value):
                    return True
            return otherwise

        return matches

    return compile_values


def _pattern(compiled: Callable[..., Matcher], template: Template) -> Matcher | None:
    try:
        return compiled(static_glob(template))
    except ValueError:
        return None


def _read(
    read_wanted: Callable[[str], Any], read_had: Callable[[str], Any], compare: Callable[[Any, Any], bool]
) -> CompileValues:
    """Operands that must be read before `compare(had, wanted)`; unreadable ones cannot be evaluated."""

    def compile_values(values: Sequence[str], variables: bool) -> ValueTest:
        templates = [parse_template(value, wildcards=False, variables=variables) for value in values]
        static = [read_wanted("".join(map(str, item))) for item in templates if is_static(item)]
        fixed = tuple(item for item in static if item is not None)
        otherwise = None if None in static else False
        dynamic = tuple(item for item in templates if not is_static(item))

        def matches(value: str, by_key: ByKey) -> bool | None:
            had = read_had(value)
            if had is None:
                return None
            for item in fixed:
                if compare(had, item):
                    return True
            return resolved(had, by_key) if dynamic else otherwise

        def resolved(had: Any, by_key: ByKey) -> bool | None:
            texts = [resolve_text(item, by_key) for item in dynamic]
            wanted = [read_wanted(text) for text in texts if text is not None]
            if any(item is not None and compare(had, item) for item in wanted):
                return True
            return None if None in wanted else otherwise

        return matches

    return compile_values


def _inside(address: Any, network: Any) -> bool:
    return bool(address.version == network.version and address in network)


class Operator(msgspec.Struct, frozen=True):
    """A row: how values are compared, and whether the operator asks for the opposite."""

    compile_values: CompileValues
    negated: bool = False


def _numeric(compare: Callable[[Any, Any], bool]) -> CompileValues:
    return _read(read_number, read_number, compare)


def _date(compare: Callable[[Any, Any], bool]) -> CompileValues:
    return _read(read_date, read_date, compare)


_LIKE, _ARN = _globs(compile_glob), _globs(compile_arn_glob)
_IGNORING_CASE, _ADDRESS = _strings(_case_folded), _read(read_network, read_address, _inside)

# "IAM JSON policy elements: Condition operators", in the page's order.
OPERATORS: dict[str, Operator] = {
    "StringEquals": Operator(_exact_strings),
    "StringNotEquals": Operator(_exact_strings, negated=True),
    "StringEqualsIgnoreCase": Operator(_IGNORING_CASE),
    "StringNotEqualsIgnoreCase": Operator(_IGNORING_CASE, negated=True),
    "StringLike": Operator(_LIKE),
    "StringNotLike": Operator(_LIKE, negated=True),
    "NumericEquals": Operator(_numeric(eq)),
    "NumericNotEquals": Operator(_numeric(eq), negated=True),
    "NumericLessThan": Operator(_numeric(lt)),
    "NumericLessThanEquals": Operator(_numeric(le)),
    "NumericGreaterThan": Operator(_numeric(gt)),
    "NumericGreaterThanEquals": Operator(_numeric(ge)),
    "DateEquals": Operator(_date(eq)),
    "DateNotEquals": Operator(_date(eq), negated=True),
    "DateLessThan": Operator(_date(lt)),
    "DateLessThanEquals": Operator(_date(le)),
    "DateGreaterThan": Operator(_date(gt)),
    "DateGreaterThanEquals": Operator(_date(ge)),
    "Bool": Operator(_read(read_boolean, read_boolean, eq)),
    "BinaryEquals": Operator(_read(read_bytes, read_bytes, eq)),
    "IpAddress": Operator(_ADDRESS),
    "NotIpAddress": Operator(_ADDRESS, negated=True),
    "ArnEquals": Operator(_ARN),
    "ArnLike": Operator(_ARN),
    "ArnNotEquals": Operator(_ARN, negated=True),
    "ArnNotLike": Operator(_ARN, negated=True),
}


class Spelling(msgspec.Struct, frozen=True):
    """An operator as a policy writes it, taken apart: `ForAnyValue:StringLikeIfExists`."""

    quantifier: str
    name: str
    if_exists: bool


def spell(operator: str) -> Spelling | None:
    """The parts of `operator`, or None where AWS knows no such operator (Null takes no IfExists)."""
    quantifier = next((prefix for prefix in (FOR_ALL, FOR_ANY) if operator.startswith(prefix)), "")
    name = operator[len(quantifier) :]
    if name == NULL:
        return Spelling(quantifier, NULL, if_exists=False)
    plain = name.removesuffix(IF_EXISTS)
    return Spelling(quantifier, plain, plain != name) if plain in OPERATORS else None


def compile_condition(condition: Condition, *, variables: bool, unknown: bool) -> Test:
    """A function of the context; `unknown` is its answer where the condition cannot be evaluated."""
    spelling = spell(condition.operator)
    key = condition.key.lower()
    if spelling is None:
        return lambda by_key: unknown
    if spelling.name == NULL:
        return _null(key, condition.values, unknown)
    row = OPERATORS[spelling.name]
    test = row.compile_values(condition.values, variables)
    if spelling.quantifier == FOR_ALL:
        return _for_all(key, test, row.negated, unknown)
    if spelling.quantifier == FOR_ANY:
        return _for_any(key, test, row.negated, unknown, spelling.if_exists)
    return _single(key, test, row.negated, unknown, row.negated or spelling.if_exists)


def condition_variables(condition: Condition) -> list[Variable]:
    """The variables that a condition of the current policy version reads."""
    return [
        variable
        for value in condition.values
        for variable in variables_of(parse_template(value, wildcards=False, variables=True))
    ]


def _null(key: str, values: Sequence[str], unknown: bool) -> Test:
    wanted = {read_boolean(value) for value in values}

    def holds(by_key: ByKey) -> bool:
        return (not by_key.get(key)) in wanted or (unknown and None in wanted)

    return holds


def _single(key: str, test: ValueTest, negated: bool, unknown: bool, missing: bool) -> Test:
    def holds(by_key: ByKey) -> bool:
        had = by_key.get(key)
        if not had:
            return missing
        if len(had) != 1:
            return unknown
        matched = test(had[0], by_key)
        return unknown if matched is None else matched is not negated

    return holds


def _for_all(key: str, test: ValueTest, negated: bool, unknown: bool) -> Test:
    def holds(by_key: ByKey) -> bool:
        had = by_key.get(key, ())
        if had in ((), ("",)):
            return True
        answers = {test(value, by_key) for value in had}
        return negated not in answers and (unknown or None not in answers)

    return holds


def _for_any(key: str, test: ValueTest, negated: bool, unknown: bool, if_exists: bool) -> Test:
    def holds(by_key: ByKey) -> bool:
        had = by_key.get(key, ())
        if had in ((), ("",)):
            return if_exists and not had
        answers = {test(value, by_key) for value in had}
        return (not negated) in answers or (unknown and None in answers)

    return holds
