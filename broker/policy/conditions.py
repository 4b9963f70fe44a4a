"""Conditions: one row for each operator, and combinators for quantifiers, negation, IfExists and missing keys.

A row says whether one value of the request matches the values of the policy: True, False, or None where that
cannot be evaluated (a malformed operand on either side). Negation, IfExists, ForAllValues, ForAnyValue and
missing keys are handled once, for all rows (IAM User Guide, "Condition operators" and "Single-valued vs.
multivalued context keys"):

- A missing key does not match, so a negated operator is true, as is any IfExists. Null tests for a missing key.
- ForAllValues is true without any value, ForAnyValue is not; an empty string counts as no value for them.
- Several values without a set operator cannot be compared: AWS requires the set operator.

# INVARIANT: what cannot be evaluated counts as met in a Deny and as not met in an Allow (`unknown`).
"""

from collections.abc import Callable, Container
from functools import lru_cache, partial
from operator import eq, ge, gt, le, lt
from sys import intern
from typing import Any, Final

import msgspec

from broker.policy.comparisons import (
    CompileOperand,
    Operand,
    Reading,
    compile_patterns,
    compile_readings,
    compile_texts,
)
from broker.policy.context import ByKey
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
from broker.policy.patterns import compile_arn_glob, compile_glob
from broker.policy.templates import compile_arn_template, compile_template
from broker.policy.variables import Variable, variables_in

Test = Callable[[ByKey], bool]
# With more literals than these a set is worth its memory.
MANY_LITERALS: Final = 4
FOR_ALL, FOR_ANY, IF_EXISTS, NULL = "ForAllValues:", "ForAnyValue:", "IfExists", "Null"


class Operator(msgspec.Struct, frozen=True):
    """A row: how values are compared, and whether the result is negated."""

    compile_operand: CompileOperand
    negated: bool = False


def _reading(
    wanted: Callable[[str], Any], had: Callable[[str], Any], compare: Callable[[Any, Any], bool]
) -> CompileOperand:
    return partial(compile_readings, Reading(wanted, had, compare))


def _numeric(compare: Callable[[Any, Any], bool]) -> CompileOperand:
    return _reading(read_number, read_number, compare)


def _date(compare: Callable[[Any, Any], bool]) -> CompileOperand:
    return _reading(read_date, read_date, compare)


_EXACT, _IGNORING_CASE = partial(compile_texts, str), partial(compile_texts, str.casefold)
_LIKE = partial(compile_patterns, compile_glob, compile_template)
_ARN = partial(compile_patterns, compile_arn_glob, compile_arn_template)
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
    """The parts of an operator as a policy writes it, such as `ForAnyValue:StringLikeIfExists`."""

    quantifier: str
    name: str
    if_exists: bool


@lru_cache(maxsize=512)
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
    key = intern(condition.key.lower())
    if spelling is None:
        return partial(_unevaluable, unknown)
    if spelling.name == NULL:
        return partial(_null, key, frozenset(map(read_boolean, condition.values)), unknown)
    row = OPERATORS[spelling.name]
    missing = row.negated or spelling.if_exists
    if row.compile_operand is _EXACT and not spelling.quantifier and "${" not in "".join(condition.values):
        values = condition.values
        literals = frozenset(values) if len(values) > MANY_LITERALS else values
        return partial(_one_of, key, literals, row.negated, unknown, missing)
    operand = row.compile_operand(condition.values, variables)
    if spelling.quantifier == FOR_ALL:
        return partial(_for_all, key, operand, row.negated, unknown)
    if spelling.quantifier == FOR_ANY:
        return partial(_for_any, key, operand, row.negated, unknown, spelling.if_exists)
    return partial(_single, key, operand, row.negated, unknown, missing)


def condition_variables(condition: Condition) -> list[Variable]:
    """The variables that a condition of the current policy version reads."""
    return [variable for value in condition.values for variable in variables_in(value)]


def _unevaluable(unknown: bool, by_key: ByKey) -> bool:
    return unknown


def _null(key: str, wanted: frozenset[bool | None], unknown: bool, by_key: ByKey) -> bool:
    return (not by_key.get(key)) in wanted or (unknown and None in wanted)


def _single(key: str, operand: Operand, negated: bool, unknown: bool, missing: bool, by_key: ByKey) -> bool:
    had = by_key.get(key)
    if not had:
        return missing
    if len(had) != 1:
        return unknown
    matched = operand.matches(had[0], by_key)
    return unknown if matched is None else matched is not negated


def _one_of(
    key: str, literals: Container[str], negated: bool, unknown: bool, missing: bool, by_key: ByKey
) -> bool:
    """`_single` for the commonest operator, StringEquals with plain texts: one membership test."""
    had = by_key.get(key)
    if not had:
        return missing
    if len(had) != 1:
        return unknown
    return (had[0] in literals) is not negated


def _for_all(key: str, operand: Operand, negated: bool, unknown: bool, by_key: ByKey) -> bool:
    had = by_key.get(key, ())
    if had in ((), ("",)):
        return True
    ready = operand.resolved(by_key, max(map(len, had)))
    answers = {ready.matches(value, by_key) for value in had}
    return negated not in answers and (unknown or None not in answers)


def _for_any(
    key: str, operand: Operand, negated: bool, unknown: bool, if_exists: bool, by_key: ByKey
) -> bool:
    had = by_key.get(key, ())
    if had in ((), ("",)):
        return if_exists and not had
    ready = operand.resolved(by_key, max(map(len, had)))
    answers = {ready.matches(value, by_key) for value in had}
    return (not negated) in answers or (unknown and None in answers)
