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
from functools import partial
from operator import eq, ge, gt, le, lt
from typing import Any

import msgspec

from broker.policy.elements import Condition
from broker.policy.operands import (
    is_inside,
    read_address,
    read_boolean,
    read_bytes,
    read_date,
    read_network,
    read_number,
)
from broker.policy.patterns import Glob, Matcher, compile_arn_glob, compile_glob
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


def _compile_strings(normal: Callable[[str], str], values: Sequence[str], variables: bool) -> ValueTest:
    """Equality after `normal`; `*` and `?` are ordinary characters."""
    templates = [parse_template(value, wildcards=False, variables=variables) for value in values]
    literals = frozenset(normal("".join(map(str, item))) for item in templates if is_static(item))
    dynamic = tuple(item for item in templates if not is_static(item))
    return partial(_equals_one, normal, literals, dynamic)


def _equals_one(
    normal: Callable[[str], str],
    literals: frozenset[str],
    dynamic: tuple[Template, ...],
    value: str,
    by_key: ByKey,
) -> bool:
    value = normal(value)
    if value in literals:
        return True
    texts = (resolve_text(item, by_key) for item in dynamic)
    return any(text is not None and normal(text) == value for text in texts)


def _compile_patterns(
    compiled: Callable[[Glob], Matcher], values: Sequence[str], variables: bool
) -> ValueTest:
    """Patterns; one that `compiled` refuses cannot be evaluated."""
    templates = [parse_template(value, wildcards=True, variables=variables) for value in values]
    fixed = [_pattern(compiled, static_glob(item)) for item in templates if is_static(item)]
    dynamic = tuple(item for item in templates if not is_static(item))
    patterns = tuple(pattern for pattern in fixed if pattern is not None)
    return partial(_matches_one, compiled, patterns, dynamic, None if None in fixed else False)


def _matches_one(
    compiled: Callable[[Glob], Matcher],
    patterns: tuple[Matcher, ...],
    dynamic: tuple[Template, ...],
    otherwise: bool | None,
    value: str,
    by_key: ByKey,
) -> bool | None:
    for pattern in patterns:
        if pattern(value):
            return True
    for item in dynamic:
        glob = resolve(item, by_key)
        found = None if glob is None else _pattern(compiled, glob)
        if found is not None and found(value):
            return True
    return otherwise


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


def _compile_read(reading: Reading, values: Sequence[str], variables: bool) -> ValueTest:
    """Operands that cannot be read cannot be evaluated."""
    templates = [parse_template(value, wildcards=False, variables=variables) for value in values]
    static = [reading.wanted("".join(map(str, item))) for item in templates if is_static(item)]
    dynamic = tuple(item for item in templates if not is_static(item))
    fixed = tuple(item for item in static if item is not None)
    return partial(_compares_one, reading, fixed, dynamic, None if None in static else False)


def _compares_one(
    reading: Reading,
    fixed: tuple[Any, ...],
    dynamic: tuple[Template, ...],
    otherwise: bool | None,
    value: str,
    by_key: ByKey,
) -> bool | None:
    had = reading.had(value)
    if had is None:
        return None
    for item in fixed:
        if reading.compare(had, item):
            return True
    if not dynamic:
        return otherwise
    texts = [resolve_text(item, by_key) for item in dynamic]
    wanted = [reading.wanted(text) for text in texts if text is not None]
    if any(item is not None and reading.compare(had, item) for item in wanted):
        return True
    return None if None in wanted else otherwise


class Operator(msgspec.Struct, frozen=True):
    """A row: how values are compared, and whether the operator asks for the opposite."""

    compile_values: CompileValues
    negated: bool = False


def _reading(
    wanted: Callable[[str], Any], had: Callable[[str], Any], compare: Callable[[Any, Any], bool]
) -> CompileValues:
    return partial(_compile_read, Reading(wanted, had, compare))


def _numeric(compare: Callable[[Any, Any], bool]) -> CompileValues:
    return _reading(read_number, read_number, compare)


def _date(compare: Callable[[Any, Any], bool]) -> CompileValues:
    return _reading(read_date, read_date, compare)


_EXACT, _IGNORING_CASE = partial(_compile_strings, str), partial(_compile_strings, str.casefold)
_LIKE, _ARN = partial(_compile_patterns, compile_glob), partial(_compile_patterns, compile_arn_glob)
_ADDRESS = _reading(read_network, read_address, is_inside)

# "IAM JSON policy elements: Condition operators", in the page's order.
OPERATORS: dict[str, Operator] = {
    "StringEquals": Operator(_EXACT),
    "StringNotEquals": Operator(_EXACT, negated=True),
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
    "Bool": Operator(_reading(read_boolean, read_boolean, eq)),
    "BinaryEquals": Operator(_reading(read_bytes, read_bytes, eq)),
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
        return partial(_unevaluable, unknown)
    if spelling.name == NULL:
        return partial(_null, key, frozenset(map(read_boolean, condition.values)), unknown)
    row = OPERATORS[spelling.name]
    missing = row.negated or spelling.if_exists
    if row.compile_values is _EXACT and not spelling.quantifier and "${" not in "".join(condition.values):
        return partial(_one_of, key, frozenset(condition.values), row.negated, unknown, missing)
    test = row.compile_values(condition.values, variables)
    if spelling.quantifier == FOR_ALL:
        return partial(_for_all, key, test, row.negated, unknown)
    if spelling.quantifier == FOR_ANY:
        return partial(_for_any, key, test, row.negated, unknown, spelling.if_exists)
    return partial(_single, key, test, row.negated, unknown, missing)


def condition_variables(condition: Condition) -> list[Variable]:
    """The variables that a condition of the current policy version reads."""
    return [
        variable
        for value in condition.values
        for variable in variables_of(parse_template(value, wildcards=False, variables=True))
    ]


def _unevaluable(unknown: bool, by_key: ByKey) -> bool:
    return unknown


def _null(key: str, wanted: frozenset[bool | None], unknown: bool, by_key: ByKey) -> bool:
    return (not by_key.get(key)) in wanted or (unknown and None in wanted)


def _single(key: str, test: ValueTest, negated: bool, unknown: bool, missing: bool, by_key: ByKey) -> bool:
    had = by_key.get(key)
    if not had:
        return missing
    if len(had) != 1:
        return unknown
    matched = test(had[0], by_key)
    return unknown if matched is None else matched is not negated


def _one_of(
    key: str, literals: frozenset[str], negated: bool, unknown: bool, missing: bool, by_key: ByKey
) -> bool:
    """`_single` for the commonest operator, StringEquals with plain texts: a set look-up."""
    had = by_key.get(key)
    if not had:
        return missing
    if len(had) != 1:
        return unknown
    return (had[0] in literals) is not negated


def _for_all(key: str, test: ValueTest, negated: bool, unknown: bool, by_key: ByKey) -> bool:
    had = by_key.get(key, ())
    if had in ((), ("",)):
        return True
    answers = {test(value, by_key) for value in had}
    return negated not in answers and (unknown or None not in answers)


def _for_any(key: str, test: ValueTest, negated: bool, unknown: bool, if_exists: bool, by_key: ByKey) -> bool:
    had = by_key.get(key, ())
    if had in ((), ("",)):
        return if_exists and not had
    answers = {test(value, by_key) for value in had}
    return (not negated) in answers or (unknown and None in answers)
