"""Properties of policies, without a request: the condition keys that they read, the services that they allow."""

from collections.abc import Callable, Iterable, Iterator

from broker.policy.conditions import condition_variables
from broker.policy.elements import OLD_VERSION, Effect, Policy
from broker.policy.patterns import compile_glob, parse_glob
from broker.policy.statement import resource_variables


def context_keys(policies: Iterable[Policy]) -> list[str]:
    """Every condition key that `policies` read, variables included (GetContextKeysForCustomPolicy).

    Each key once, in the spelling and the order of its first appearance.
    """
    found: dict[str, str] = {}
    for policy in policies:
        for key in _keys_of(policy):
            found.setdefault(key.lower(), key)
    return list(found.values())


def _keys_of(policy: Policy) -> Iterator[str]:
    for statement in policy.statements:
        if policy.version != OLD_VERSION:
            yield from (variable.name for variable in resource_variables(statement))
        for condition in statement.conditions:
            yield condition.key
            if policy.version != OLD_VERSION:
                yield from (variable.name for variable in condition_variables(condition))


def named_actions(policy: Policy) -> list[str] | None:
    """The actions, or patterns of them, that `policy` names; None where a statement names those it excludes."""
    if any(statement.not_actions for statement in policy.statements):
        return None
    return [action for statement in policy.statements for action in statement.actions or ()]


def service_grants(policy: Policy) -> Callable[[str], bool]:
    """A function of a service's namespace: whether some Allow of `policy` covers an action of that service.

    A function, because ListPoliciesGrantingServiceAccess asks about many services. NotAction covers every service
    except those that it excludes entirely.
    """
    named: set[str] = set()
    spared: list[Callable[[str], bool]] = []
    for statement in policy.statements:
        if statement.effect is not Effect.ALLOW:
            continue
        if statement.actions is not None:
            named.update(action.lower().partition(":")[0] for action in statement.actions)
        else:
            spared.append(_any_of(set(_excluded(statement.not_actions or ()))))
    is_named = _any_of(named)

    def grants(service_namespace: str) -> bool:
        service = service_namespace.lower()
        return is_named(service) or not all(is_excluded(service) for is_excluded in spared)

    return grants


def _excluded(actions: Iterable[str]) -> Iterator[str]:
    """The services, or patterns of services, all of whose actions are in `actions`."""
    for action in actions:
        service, _, name = action.lower().partition(":")
        if action.endswith("*") and name in ("", "*"):
            yield service


def _any_of(patterns: set[str]) -> Callable[[str], bool]:
    literal = {pattern for pattern in patterns if "*" not in pattern and "?" not in pattern}
    matchers = [compile_glob(parse_glob(pattern)) for pattern in patterns - literal]
    return lambda text: text in literal or any(matches(text) for matches in matchers)
