"""The choice of a caller, and of the values of every condition key that the policies read."""

from collections.abc import Sequence

from broker.names.arn import is_account_id
from broker.policy.conditions import FOR_ALL
from broker.policy.elements import Condition
from broker.policy.patterns import STAR
from broker.policy.solver.actions import widest
from broker.policy.solver.budget import Budget
from broker.policy.solver.callers import RepresentativeCaller, representative_callers
from broker.policy.solver.keys import KeyCondition, KeyVariable, classes_met, is_met, key_variable
from broker.policy.solver.questions import PolicyQuestion, Values
from broker.policy.solver.satisfying import all_of, any_of, not_
from broker.policy.solver.substitution import pattern_text
from broker.policy.solver.writing import FormulaText, any_with, chosen_of
from broker.policy.statement import CompiledStatement

_PRINCIPAL_ACCOUNT = "aws:principalaccount"


class CallerChoice:
    """One caller of each class that the statements tell apart."""

    def __init__(
        self,
        text: FormulaText,
        statements: Sequence[CompiledStatement],
        question: PolicyQuestion,
        accounts: Sequence[str] | None,
        budget: Budget,
    ) -> None:
        """`accounts` are those that conditions tell apart; None where the caller's account does not matter."""
        found: dict[tuple[object, ...], RepresentativeCaller] = {}
        for caller in representative_callers(statements, accounts or ()) if question.is_resource else ():
            budget.spend(1 + len(statements))
            if caller.is_public or not question.is_public:
                granted = (bool(one.grant_to(caller.names)) for one in statements)
                linked = caller.account if accounts is not None else None
                found.setdefault((linked, caller.account is None, *granted), caller)
        self.callers = list(found.values())
        self.names = text.choice("p", len(found)) if question.is_resource else []
        self._granted = [tuple(map(bool, row[2:])) for row in found]
        self._is_resource = question.is_resource

    def grants(self, statement: int) -> str:
        """The statement with this number names the caller."""
        if not self._is_resource:
            return "true"
        return any_with(self.names, [row[statement] for row in self._granted])

    def chosen(self, model: frozenset[str]) -> RepresentativeCaller | None:
        return next(iter(chosen_of(self.names, self.callers, model)), None)


class KeyChoices:
    """A variable for each key; for each family of operators, where several on one key are taken apart.

    The names of a key begin with its prefix: `missing`, `one` with the number of a class, `many`, and `some` with the
    number of a class of which one of the many is. A condition with variables is a free choice, a name of its own.
    """

    def __init__(
        self, text: FormulaText, conditions: Sequence[KeyCondition], question: PolicyQuestion, budget: Budget
    ) -> None:
        self._text, self._question, self._budget = text, question, budget
        self.is_exact = True
        self._chosen: dict[tuple[str, str], tuple[str, KeyVariable]] = {}
        self._free: dict[tuple[Condition, bool], str] = {}
        by_key: dict[str, list[KeyCondition]] = {}
        for one in dict.fromkeys(conditions):
            plain = self._freed(one) if one.has_variables else one
            if plain is not None:
                by_key.setdefault(plain.key, []).append(plain)
        for key, of_key in by_key.items():
            self._choose(key, of_key)
        self._limit_free()

    def _freed(self, one: KeyCondition) -> KeyCondition | None:
        """Makes it a free choice; the answer is what has to be met with it."""
        self.is_exact = False
        if (one.condition, one.denies) not in self._free:
            self._free[one.condition, one.denies] = self._text.declare(f"o{len(self._free)}")
        return wider(one)

    def _choose(self, key: str, conditions: list[KeyCondition]) -> None:
        families = sorted({one.family for one in conditions if one.family}) or [""]
        if len(families) > 1 and self._question.is_relaxed:
            self.is_exact = False
            for family in families:
                of_family = [one for one in conditions if one.family == family]
                self._chosen[key, family] = self._declared(self._variable(key, of_family))
        else:
            found = self._declared(self._variable(key, conditions))
            self._chosen |= {(key, family): found for family in families}

    def _variable(self, key: str, conditions: list[KeyCondition]) -> KeyVariable:
        if key not in self._question.known:
            return key_variable(key, conditions, self._budget, self._question.is_excluded)
        value = self._question.known[key]
        values = () if value is None else (value,)
        return KeyVariable(key, values, may_be_missing=value is None, may_be_many=False)

    def _declared(self, variable: KeyVariable) -> tuple[str, KeyVariable]:
        prefix, text = f"k{len(self._chosen)}_", self._text
        numbers = range(len(variable.values))
        names = [text.declare(f"{prefix}one{number}") for number in numbers]
        if variable.may_be_missing:
            names.append(text.declare(f"{prefix}missing"))
        if variable.may_be_many:
            names.append(text.declare(f"{prefix}many"))
            some = [text.declare(f"{prefix}some{number}") for number in numbers]
            text.require(any_of([not_(names[-1]), any_of(some)]))
        text.exactly_one(names)
        return prefix, variable

    def is_met(self, one: KeyCondition) -> str:
        if one.has_variables:
            return self._free[one.condition, one.denies]
        prefix, variable = self._chosen.get((one.key, one.family)) or self._first(one.key)
        self._budget.spend(1 + 2 * len(variable.values))
        numbered = enumerate(variable.values)
        parts = [f"{prefix}one{number}" for number, value in numbered if is_met(one, (value,))]
        if variable.may_be_missing and is_met(one, ()):
            parts.append(f"{prefix}missing")
        if variable.may_be_many:
            parts.append(all_of([f"{prefix}many", _is_met_by_many(one, prefix, variable)]))
        return any_of(parts)

    def _first(self, key: str) -> tuple[str, KeyVariable]:
        return next(found for (known, _), found in self._chosen.items() if known == key)

    def _limit_free(self) -> None:
        """What meets a condition of an Allow meets it in a Deny, too; and it meets what is wider."""
        for (condition, denies), name in self._free.items():
            if not denies and (condition, True) in self._free:
                self._text.require(any_of([not_(name), self._free[condition, True]]))
            more = wider(KeyCondition(condition, denies, True))
            if more is not None:
                self._text.require(any_of([not_(name), self.is_met(more)]))

    def link_accounts(self, callers: CallerChoice, conditions: Sequence[KeyCondition]) -> None:
        """The account of the caller is the value of aws:PrincipalAccount: `conditions` are all those on this key."""
        compared = [one for one in conditions if one.family]
        if not compared:
            return
        prefix, variable = self._first(_PRINCIPAL_ACCOUNT)
        operands = [one.operand() for one in compared]
        rows = [tuple(one.matches(value, {}) for one in operands) for value in variable.values]
        of_accounts = _accounts_in(prefix, variable)
        for name, caller in zip(callers.names, callers.callers, strict=True):
            if caller.account is None:
                fitting = not_(any_of(of_accounts))
            else:
                row = tuple(one.matches(caller.account, {}) for one in operands)
                same = (at for at, value in enumerate(variable.values) if value and rows[at] == row)
                fitting = any_of([f"{prefix}one{at}" for at in same])
            self._text.require(any_of([not_(name), fitting]))

    def chosen(self, model: frozenset[str]) -> Values:
        values: Values = {}
        for (key, _), (prefix, variable) in self._chosen.items():
            numbered = list(enumerate(variable.values))
            found = [value for number, value in numbered if f"{prefix}one{number}" in model]
            if f"{prefix}many" in model:
                some = [value for number, value in numbered if f"{prefix}some{number}" in model]
                found = some if len(some) > 1 else some * 2
            if found:
                values.setdefault(key, tuple(found))
        return values


def _is_met_by_many(one: KeyCondition, prefix: str, variable: KeyVariable) -> str:
    quantifier, classes = classes_met(one, variable.values)
    if not quantifier:
        return "true" if is_met(one, (variable.values * 2)[:2]) else "false"
    some = any_of([f"{prefix}some{number}" for number in sorted(classes)])
    return not_(some) if quantifier == FOR_ALL else some


def _accounts_in(prefix: str, variable: KeyVariable) -> list[str]:
    """Who is in no account has no account's number as the value of a key, nor several values."""
    found = [f"{prefix}one{at}" for at, value in enumerate(variable.values) if is_account_id(value)]
    return [*found, f"{prefix}many"] if variable.may_be_many else found


def wider(one: KeyCondition) -> KeyCondition | None:
    """A condition without variables that is met wherever this one is; None where there is none that is simple."""
    spelling = one.spelling
    if spelling.quantifier or spelling.name not in ("StringEquals", "StringLike"):
        return None
    values = tuple(pattern_text(widest(template)) for template in one.templates())
    operator = "StringLikeIfExists" if spelling.if_exists else "StringLike"
    return KeyCondition(Condition(operator, one.condition.key, values), one.denies, True)


def principal_accounts(conditions: Sequence[KeyCondition]) -> list[str] | None:
    """The accounts that conditions on aws:PrincipalAccount name; None where some are patterns or have variables."""
    found: list[str] = []
    for one in conditions_on_account(conditions):
        globs = one.globs() if one.family else []
        if one.has_variables or any(STAR in glob or len(glob) > 1 for glob in globs):
            return None
        found += ["".join(map(str, glob)) for glob in globs]
    return list(filter(is_account_id, found))


def conditions_on_account(conditions: Sequence[KeyCondition]) -> list[KeyCondition]:
    return [one for one in conditions if one.key == _PRINCIPAL_ACCOUNT]
