"""Questions answered: whether there is such a request, and an example of one for each statement that allows it.

INVARIANT: an example is shown only where the engine, asked about that very request, allows it by the policy and does
not by the reference. And there is none only where the solver has shown that none can be; whatever else happens, the
question is undecided.
"""

from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec.structs import replace

from broker.policy.conditions import spell
from broker.policy.context import Context
from broker.policy.elements import Effect, Policy, Statement
from broker.policy.index import PolicySet, compile_policies
from broker.policy.patterns import compile_resource_glob, parse_glob
from broker.policy.principals import DIRECT, NONE
from broker.policy.services import facts_of
from broker.policy.solver.budget import Budget, Undecided
from broker.policy.solver.formula import Formula
from broker.policy.solver.questions import ExampleRequest, Known, PolicyQuestion
from broker.policy.solver.readable import readable
from broker.policy.solver.satisfying import Satisfying
from broker.policy.solver.substitution import filled_in, trials
from broker.policy.statement import Source, SourceKind, action_matcher

MOST_EXAMPLES: Final = 20
_SOURCE = Source(SourceKind.NONE, "policy")


class Example(msgspec.Struct, frozen=True):
    """A request by a statement, with the number `statement`; None where a request was not found, but may exist."""

    statement: int
    request: ExampleRequest | None


class Examination(msgspec.Struct, frozen=True):
    """`is_impossible`: there is no such request. `undecided` says why that is not known, "" where it is."""

    is_impossible: bool
    examples: tuple[Example, ...] = ()
    undecided: str = ""


class ComparedPolicies:
    """What the two policies of a question allow, by the compiled policies that decide requests, too."""

    def __init__(self, question: PolicyQuestion) -> None:
        self._is_resource = question.is_resource
        self._policy = _compiled(question.policy)
        self._reference = None if question.reference is None else _compiled(question.reference)
        self._actions = [action_matcher(one) for one in question.actions]
        self._named = {action.lower() for action in (*question.actions, *_actions_of(question.policy))}
        self._resources = [compile_resource_glob(parse_glob(one)) for one in question.resources]

    def is_example(self, request: ExampleRequest) -> bool:
        """It is asked about, the policy allows it, and the reference does not."""
        return (
            self._is_asked(request)
            and self._allows(self._policy, request)
            and not (self._reference is not None and self._allows(self._reference, request))
        )

    def _is_asked(self, request: ExampleRequest) -> bool:
        action = request.action.lower()
        if self._actions and not any(matches(action) for matches in self._actions):
            return False
        if not self._resources:
            return True
        if not facts_of(action).supports_resources:
            return action in self._named  # on no resource at all: only where somebody names it
        return any(matches(request.resource) for matches in self._resources)

    def _allows(self, policies: PolicySet, request: ExampleRequest) -> bool:
        """As far as this policy goes: all others are thought to allow."""
        facts = facts_of(request.action)
        resource = request.resource if facts.supports_resources else "*"
        index, context = policies.by_action[facts.action], Context(request.values)
        if not self._is_resource:
            return index.verdict(resource, context) is True
        if request.caller is None:
            return False
        grant = index.grant(resource, context, request.caller.names)
        if grant is None:
            return False
        return grant > NONE if request.caller.account is not None else grant is DIRECT


def _actions_of(policy: Policy) -> Iterator[str]:
    for statement in policy.statements:
        yield from statement.actions or statement.not_actions or ()


def _compiled(policy: Policy) -> PolicySet:
    return compile_policies([(_SOURCE, policy)])


def examine(question: PolicyQuestion) -> Examination:
    """Total: what cannot be decided is said to be undecided. It may take seconds: never on the event loop."""
    if question.reference is not None and _is_part_of(question.policy, question.reference):
        return Examination(is_impossible=True)
    budget = Budget()
    try:
        formula = Formula(question, budget)
        solver = Satisfying(formula.text)
        if solver.find() is None:
            return Examination(is_impossible=True)
        granting = list(_granting(formula, solver))
    except Undecided as undecided:
        return Examination(is_impossible=False, undecided=str(undecided))
    compared = ComparedPolicies(question)
    found = dict(_examples(question, compared, budget, granting))
    examples = tuple(Example(number, found.get(number)) for number, _ in granting)
    why = "" if found else "no example was found, and it was not shown that there is none"
    return Examination(False, examples, why)


def _is_part_of(policy: Policy, reference: Policy) -> bool:
    """Every Allow stands in the reference, too, and every Deny of the reference in the policy: no work for a solver."""
    if policy.version != reference.version or not (_knows_operators(policy) and _knows_operators(reference)):
        return False
    allows, others = _contents(policy, Effect.ALLOW), _contents(reference, Effect.ALLOW)
    return allows <= others and _contents(reference, Effect.DENY) <= _contents(policy, Effect.DENY)


def _knows_operators(policy: Policy) -> bool:
    return all(spell(one.operator) for statement in policy.statements for one in statement.conditions)


def _contents(policy: Policy, effect: Effect) -> set[Statement]:
    return {replace(one, sid="", text="", number=0) for one in policy.statements if one.effect is effect}


def _granting(formula: Formula, solver: Satisfying) -> Iterator[tuple[int, ExampleRequest]]:
    """The statements by which there may be an example, with it."""
    for number, name in list(formula.granting.items()):
        model = _find(solver, name)
        if model is not None:
            yield number, formula.chosen(model)


def _find(solver: Satisfying, name: str) -> frozenset[str] | None:
    """With an ARN as the resource, or `*`, where there is such a one."""
    return solver.find(name, "whole") or solver.find(name, "everything") or solver.find(name)


def _examples(
    question: PolicyQuestion,
    compared: ComparedPolicies,
    budget: Budget,
    granting: list[tuple[int, ExampleRequest]],
) -> Iterator[tuple[int, ExampleRequest]]:
    """Confirmed by the engine, the first of each statement."""
    missing = dict(granting[:MOST_EXAMPLES])
    for number, request in list(missing.items()):
        if compared.is_example(request):
            del missing[number]
            yield number, readable(request, compared.is_example)
    policies = [one for one in (question.policy, question.reference) if one is not None]
    for known in trials(policies):
        if not missing:
            return
        for number, request in _tried(question, known, budget, list(missing)):
            if compared.is_example(request):
                del missing[number]
                yield number, readable(request, compared.is_example)


def _tried(
    question: PolicyQuestion, known: Known, budget: Budget, numbers: list[int]
) -> Iterator[tuple[int, ExampleRequest]]:
    """Examples with these values of the variables."""
    values = {key: (value,) for key, value in {**known, **question.known}.items() if value is not None}
    reference = None if question.reference is None else filled_in(question.reference, known)
    concrete = replace(
        question,
        policy=filled_in(question.policy, known),
        reference=reference,
        known={**known, **question.known},
        is_relaxed=False,
    )
    try:
        formula = Formula(concrete, budget)
        solver = Satisfying(formula.text)
        for number in numbers:
            model = _find(solver, formula.granting[number])
            if model is not None:
                request = formula.chosen(model)
                yield number, replace(request, values={**request.values, **values})
    except Undecided:
        return
