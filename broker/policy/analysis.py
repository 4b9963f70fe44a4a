"""Questions about policies that no request asks."""

from collections.abc import Iterable, Iterator

from broker.policy.conditions import condition_variables
from broker.policy.elements import OLD_VERSION, Effect, Policy, Statement
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


def grants_service(policy: Policy, service_namespace: str) -> bool:
    """Whether some Allow of `policy` reaches an action of the service (ListPoliciesGrantingServiceAccess).

    NotAction reaches every service but one that it excludes whole.
    """
    service = service_namespace.lower()
    allowing = (statement for statement in policy.statements if statement.effect is Effect.ALLOW)
    return any(_reaches(statement, service) for statement in allowing)


def _reaches(statement: Statement, service: str) -> bool:
    if statement.actions is not None:
        return any(_names_service(action, service) for action in statement.actions)
    excluded = (action.lower() for action in statement.not_actions or ())
    return not any(action.endswith("*") and _covers(action, service) for action in excluded)


def _names_service(action: str, service: str) -> bool:
    return compile_glob(parse_glob(action.lower().partition(":")[0]))(service)


def _covers(pattern: str, service: str) -> bool:
    """Whether `pattern` takes in every action of the service."""
    vendor, _, name = pattern.partition(":")
    return name in ("", "*") and compile_glob(parse_glob(vendor))(service)
