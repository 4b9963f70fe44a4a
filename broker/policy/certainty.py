"""What a decision is whatever the unknown condition keys of a request hold: for requests known in part only.

An Allow never makes a decision stricter, a Deny never more lenient. So there are two extremes: every statement that
reads an unknown key applies if it allows and not if it denies, or the other way round. Where both agree, the answer is
certain.
"""

from collections.abc import Callable, Iterator
from itertools import chain

from msgspec.structs import replace

from broker.policy.conditions import condition_variables
from broker.policy.decision import decide
from broker.policy.elements import OLD_VERSION, Condition, Effect, Policy, Statement
from broker.policy.index import PolicySet, compile_policies
from broker.policy.request import AccessRequest, Layers
from broker.policy.services import facts_of
from broker.policy.statement import resource_variables

IsKnown = Callable[
    [str], bool
]  # of a lower-case key: whether the request is known to have it, or not to have it
_SETS = ("identity", "boundary", "session", "resource", "endpoint")
_LEVELS = ("scps", "rcps", "scopes")


class Extremes:
    """The layers at both extremes, compiled once for many requests of which the same keys are known."""

    def __init__(self, layers: Layers, is_known: IsKnown) -> None:
        self._lenient = _extreme(layers, is_known, Effect.ALLOW)
        self._strict = _extreme(layers, is_known, Effect.DENY)

    def is_allowed(self, request: AccessRequest) -> bool | None:
        """None where that depends on what is not known."""
        lenient = decide(request, self._lenient).allowed
        return lenient if lenient == decide(request, self._strict).allowed else None


def supports_resources(action: str) -> bool:
    """Whether the resource of a request of `action` matters."""
    return facts_of(action).supports_resources


def _extreme(layers: Layers, is_known: IsKnown, applying: Effect) -> Layers:
    changed: dict[str, object] = {}
    for name in _SETS:
        policies = getattr(layers, name)
        changed[name] = None if policies is None else _set_at(policies, is_known, applying)
    for name in _LEVELS:
        changed[name] = tuple(_set_at(one, is_known, applying) for one in getattr(layers, name))
    return replace(layers, **changed)


def _set_at(policies: PolicySet, is_known: IsKnown, applying: Effect) -> PolicySet:
    """The same set where no statement reads an unknown key."""
    changed = [
        (source, policy, _policy_at(policy, is_known, applying)) for source, policy in policies.policies
    ]
    if all(before is after for _, before, after in changed):
        return policies
    return compile_policies((source, after) for source, _, after in changed)


def _policy_at(policy: Policy, is_known: IsKnown, applying: Effect) -> Policy:
    has_variables = policy.version != OLD_VERSION
    statements = tuple(
        chain.from_iterable(
            _statement_at(one, is_known, applying, has_variables=has_variables) for one in policy.statements
        )
    )
    same = len(statements) == len(policy.statements) and all(
        before is after for before, after in zip(policy.statements, statements, strict=True)
    )
    return policy if same else replace(policy, statements=statements)


def _statement_at(
    statement: Statement, is_known: IsKnown, applying: Effect, *, has_variables: bool
) -> Iterator[Statement]:
    """Without what it reads of unknown keys, or, where its effect is the other one, nothing."""
    known = tuple(
        one for one in statement.conditions if _reads_known(one, is_known, has_variables=has_variables)
    )
    is_resource_known = not has_variables or all(
        is_known(one.name.lower()) for one in resource_variables(statement)
    )
    if known == statement.conditions and is_resource_known:
        yield statement
    elif statement.effect is applying:
        everything: dict[str, object] = (
            {} if is_resource_known else {"resources": ("*",), "not_resources": None}
        )
        yield replace(statement, conditions=known, **everything)


def _reads_known(condition: Condition, is_known: IsKnown, *, has_variables: bool) -> bool:
    variables = condition_variables(condition) if has_variables else ()
    return is_known(condition.key.lower()) and all(is_known(one.name.lower()) for one in variables)
