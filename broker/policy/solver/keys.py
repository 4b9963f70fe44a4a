"""Condition keys as variables: the values, and numbers of values, that the conditions on a key can tell apart.

A key of a request is missing, or has one value that is empty, or one that is not, or several. One value stands for all
that compare alike with every operand of the two policies; whether a condition is met is asked of the engine's own
functions. Of a key with several values it is decided only which classes they are of.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from broker.policy.comparisons import Operand
from broker.policy.conditions import (
    FOR_ALL,
    FOR_ANY,
    NULL,
    OPERATORS,
    Spelling,
    Test,
    compile_condition,
    spell,
)
from broker.policy.elements import Condition
from broker.policy.operands import read_bytes, read_date, read_network, read_number
from broker.policy.patterns import Glob
from broker.policy.solver.automata import Language, texts_of
from broker.policy.solver.budget import Budget, Undecided
from broker.policy.solver.languages import (
    arn_language,
    boolean_languages,
    casefold_language,
    glob_language,
    is_literal,
)
from broker.policy.solver.representatives import address_texts, bytes_texts, date_texts, number_texts
from broker.policy.validation.reference import find_key_type
from broker.policy.variables import Template, is_static, parse_template, static_glob

TEXTS, NUMBERS, DATES, ADDRESSES, BYTES = "texts", "numbers", "dates", "addresses", "bytes"
_LIKE = frozenset({"StringLike", "StringNotLike"})
_ARNS = frozenset({"ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike"})
_CASELESS = frozenset({"StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase"})
_EXACT = frozenset({"StringEquals", "StringNotEquals"})
_ORDERS = ("Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals")
# How each operator compares. What is not here cannot be decided, so a new operator of the engine is no hole.
FAMILIES: dict[str, str] = {
    **dict.fromkeys((*_EXACT, *_CASELESS, *_LIKE, *_ARNS, "Bool"), TEXTS),
    **{f"Numeric{order}": NUMBERS for order in _ORDERS},
    **{f"Date{order}": DATES for order in _ORDERS},
    "BinaryEquals": BYTES,
    "IpAddress": ADDRESSES,
    "NotIpAddress": ADDRESSES,
}
_ORDINARY = "x"


class KeyCondition(msgspec.Struct, frozen=True):
    """A condition as it stands in an Allow or a Deny of a policy that knows variables, or does not."""

    condition: Condition
    denies: bool
    knows_variables: bool

    @property
    def key(self) -> str:
        return self.condition.key.lower()

    @property
    def spelling(self) -> Spelling:
        """Raises Undecided."""
        found = spell(self.condition.operator)
        if found is None or (found.name != NULL and found.name not in FAMILIES):
            raise Undecided(f"the condition operator {self.condition.operator} is not known")
        return found

    @property
    def family(self) -> str:
        """Empty for Null, which compares no values."""
        return FAMILIES.get(self.spelling.name, "")

    @property
    def has_variables(self) -> bool:
        return self.knows_variables and not all(
            is_static(self._template(one)) for one in self.condition.values
        )

    def _template(self, value: str) -> Template:
        wildcards = self.spelling.name in _LIKE | _ARNS
        return parse_template(value, wildcards=wildcards, variables=self.knows_variables)

    def templates(self) -> list[Template]:
        return [self._template(one) for one in self.condition.values]

    def globs(self) -> list[Glob]:
        """The values without variables."""
        return [static_glob(one) for one in self.templates() if is_static(one)]

    def test(self) -> Test:
        """The engine's function."""
        return compile_condition(self.condition, variables=self.knows_variables, unknown=self.denies)

    def operand(self, values: Sequence[str] | None = None) -> Operand:
        """The engine's comparison with one value."""
        row = OPERATORS[self.spelling.name]
        return row.compile_operand(self.condition.values if values is None else values, self.knows_variables)


class KeyVariable(msgspec.Struct, frozen=True):
    """`values` are texts, one for each class; `may_be_missing` and `may_be_many` say what else the key may be."""

    key: str
    values: tuple[str, ...]
    may_be_missing: bool = True
    may_be_many: bool = True


IsExcluded = Callable[[KeyCondition, str], bool]  # of a condition and a value of the request


def key_variable(
    key: str, conditions: Sequence[KeyCondition], budget: Budget, is_excluded: IsExcluded
) -> KeyVariable:
    """For the conditions on this key, none of which has variables. Raises Undecided."""
    comparing = [one for one in conditions if one.family]
    operands = [one.operand() for one in comparing]
    found: dict[tuple[bool | None, ...], str] = {}
    # The quantifiers take one empty value for no value, so it is never in the class of another.
    for value in _candidates(comparing, budget):
        budget.spend(1 + len(operands))
        if not any(is_excluded(one, value) for one in comparing):
            found.setdefault((not value, *(operand.matches(value, {}) for operand in operands)), value)
    return KeyVariable(key, tuple(found.values()), may_be_many=not is_single_valued(key))


def is_single_valued(key: str) -> bool:
    """Of a key that the reference does not know, this is not known."""
    kind = find_key_type(key)
    return kind is not None and not kind.startswith("ArrayOf")


def _candidates(conditions: Sequence[KeyCondition], budget: Budget) -> list[str]:
    """A value of each class, perhaps several. Values that are equal by bytes are one."""
    families = {one.family for one in conditions}
    found: list[str] = []
    for family in sorted(families):
        of_family = [one for one in conditions if one.family == family]
        found += (
            _text_candidates(of_family, budget) if family == TEXTS else _read_candidates(family, of_family)
        )
    return list(dict.fromkeys(["", *found, _ORDINARY]))


def _text_candidates(conditions: Iterable[KeyCondition], budget: Budget) -> list[str]:
    languages: dict[Language, None] = {}
    literals: dict[str, None] = {}
    for one in conditions:
        name = one.spelling.name
        if name == "Bool":
            languages |= dict.fromkeys(boolean_languages())
            continue
        for glob in one.globs():
            if name in _EXACT or (name in _LIKE and is_literal(glob)):
                literals["".join(map(str, glob))] = None
            elif (language := _language(name, glob)) is not None:
                languages[language] = None
    return texts_of(list(languages), literals, budget)


def _language(operator: str, glob: Glob) -> Language | None:
    """None for what is no pattern of ARNs: nothing matches it."""
    if operator in _LIKE:
        return glob_language(glob)
    return arn_language(glob) if operator in _ARNS else casefold_language("".join(map(str, glob)))


def _read_candidates(family: str, conditions: Iterable[KeyCondition]) -> list[str]:
    texts = ["".join(map(str, glob)) for one in conditions for glob in one.globs()]
    if family == NUMBERS:
        return number_texts(_read(read_number, texts))
    if family == DATES:
        return date_texts(_read(read_date, texts))
    if family == ADDRESSES:
        return address_texts(_read(read_network, texts))
    return bytes_texts(_read(read_bytes, texts))


def _read(read: Callable[[str], Any], texts: Iterable[str]) -> list[Any]:
    return [value for text in texts if (value := read(text)) is not None]


def is_met(one: KeyCondition, values: tuple[str, ...]) -> bool:
    """Whether the engine says that a request with these values of the key meets the condition."""
    return one.test()({one.key: values} if values else {})


def classes_met(one: KeyCondition, values: Sequence[str]) -> tuple[str, frozenset[int]]:
    """How a condition is met by a key with several values: the quantifier, and the classes that it is about.

    With ForAllValues none of the values may be of these classes, with ForAnyValue one has to be. Without a quantifier
    several values cannot be compared: a Deny is met and an Allow is not, and there are no classes.
    """
    spelling = one.spelling
    if spelling.name == NULL or not spelling.quantifier:
        return "", frozenset()
    negated, operand = OPERATORS[spelling.name].negated, one.operand()
    answers = [operand.matches(value, {}) for value in values]
    if spelling.quantifier == FOR_ALL:
        spoils = {negated} if one.denies else {negated, None}
        return FOR_ALL, frozenset(number for number, answer in enumerate(answers) if answer in spoils)
    meets = {not negated, None} if one.denies else {not negated}
    return FOR_ANY, frozenset(number for number, answer in enumerate(answers) if answer in meets)
