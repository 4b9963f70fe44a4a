"""Two policies and a question as a formula of propositional logic, which can be met where there is an example.

The formula chooses a caller, an action, a resource and the values of every condition key that the policies read, each
of finitely many classes whose members no element of the policies tells apart. Which of them a statement matches is
asked of the engine's own functions.

Two things are not exact. A text with policy variables becomes a free choice, the same one wherever the same text
stands: with it a resource matches only where it would match with any value of the variables. And the operators of
several families on one key become variables of their own. Both only add requests: where there is no example among
those, there is none at all.
"""

from collections.abc import Iterator

import msgspec

from broker.policy.elements import Policy
from broker.policy.solver.actions import ActionChoice, ResourceChoice
from broker.policy.solver.budget import Budget
from broker.policy.solver.key_choices import (
    CallerChoice,
    KeyChoices,
    conditions_on_account,
    principal_accounts,
)
from broker.policy.solver.keys import KeyCondition
from broker.policy.solver.questions import ExampleRequest, PolicyQuestion
from broker.policy.solver.satisfying import all_of, any_of, not_
from broker.policy.solver.writing import FormulaText
from broker.policy.statement import CompiledStatement, Source, SourceKind, compile_statement

_SOURCE = Source(SourceKind.NONE, "policy")


class _Side(msgspec.Struct, frozen=True):
    """One of the two policies; its statements are those with the numbers from `first` on."""

    first: int
    statements: tuple[CompiledStatement, ...]


class Formula:
    """The text of the formula, and what its names mean. Raises Undecided when it is made.

    `granting` has the name of each Allow of the policy, by its number, that may allow the example. `is_exact` says that
    each model is an example.
    """

    def __init__(self, question: PolicyQuestion, budget: Budget) -> None:
        text = FormulaText()
        sides = list(_sides(question))
        self._statements = [one for side in sides for one in side.statements]
        conditions = _conditions(self._statements)
        self._actions = ActionChoice(text, self._statements, question.actions, budget)
        self._resources = ResourceChoice(text, self._statements, question.resources, budget)
        accounts = principal_accounts(conditions)
        self._callers = CallerChoice(text, self._statements, question, accounts, budget)
        self._keys = KeyChoices(text, conditions, question, budget)
        if question.is_resource and accounts is not None:
            self._keys.link_accounts(self._callers, conditions_on_account(conditions))
        without_resource = self._actions.without_resource()
        text.require(any_of([not_(without_resource), "everything"]))
        if question.resources:
            text.require(any_of([without_resource, self._resources.is_asked()]))
        self.granting = self._require_example(text, sides)
        self.is_exact = self._keys.is_exact and not self._resources.templates
        self.text = str(text)

    def _require_example(self, text: FormulaText, sides: list[_Side]) -> dict[int, str]:
        granting: dict[int, str] = {}
        for side in sides:
            names = [
                text.define(f"s{side.first + at}", self._matches_request(side.first + at))
                for at in range(len(side.statements))
            ]
            pairs = list(enumerate(zip(side.statements, names, strict=True)))
            allows = {at: name for at, (one, name) in pairs if not one.denies}
            denies = [name for _, (one, name) in pairs if one.denies]
            is_allowed = all_of([any_of(list(allows.values())), not_(any_of(denies))])
            text.require(is_allowed if side is sides[0] else not_(is_allowed))
            granting = granting if side is not sides[0] else allows
        return granting

    def _matches_request(self, number: int) -> str:
        one = self._statements[number]
        conditions = [self._keys.is_met(condition) for condition in _conditions([one])]
        return all_of(
            [
                self._actions.names(number),
                self._resources.names(one),
                self._callers.grants(number),
                *conditions,
            ]
        )

    def chosen(self, model: frozenset[str]) -> ExampleRequest:
        """The request that a model of the formula means."""
        return ExampleRequest(
            self._actions.chosen(model),
            self._resources.chosen(model),
            self._callers.chosen(model),
            self._keys.chosen(model),
        )


def _conditions(statements: list[CompiledStatement]) -> list[KeyCondition]:
    return [
        KeyCondition(condition, one.denies, one.knows_variables)
        for one in statements
        for condition in one.statement.conditions
    ]


def _sides(question: PolicyQuestion) -> Iterator[_Side]:
    first = 0
    for policy in (question.policy, question.reference):
        if policy is not None:
            compiled = tuple(_compiled(policy))
            yield _Side(first, compiled)
            first += len(compiled)


def _compiled(policy: Policy) -> Iterator[CompiledStatement]:
    for statement in policy.statements:
        yield compile_statement(_SOURCE, policy, statement, {})
