"""Which actions of some services a document allows on anything, and which it denies on everything: for findings alone.

Conditions and resources of an Allow are not looked at: what it allows somewhere is allowed. A Deny counts where it has
no conditions and names all resources.
"""

from collections.abc import Iterator
from functools import lru_cache

import msgspec

from broker.policy.document import parse_policy
from broker.policy.elements import Effect, MalformedPolicy, PolicyKind, Statement
from broker.policy.patterns import compile_glob, parse_glob
from broker.policy.validation.reference import find_service


class GrantedActions(msgspec.Struct, frozen=True):
    """Actions as the reference spells them, `iam:GetUser`."""

    allowed: frozenset[str] = frozenset()
    denied: frozenset[str] = frozenset()


_NONE = GrantedActions()


@lru_cache(maxsize=2048)
def granted_actions(text: str, services: tuple[str, ...]) -> GrantedActions:
    """Of `services`, by the prefixes of their actions. A text that cannot be read grants nothing."""
    try:
        policy = parse_policy(text, PolicyKind.IDENTITY)
    except MalformedPolicy:
        return _NONE
    allowed: set[str] = set()
    denied: set[str] = set()
    for one in policy.statements:
        if one.effect is Effect.ALLOW:
            allowed.update(_covered(one, services))
        elif not one.conditions and _is_of_everything(one):
            denied.update(_covered(one, services))
    return GrantedActions(frozenset(allowed), frozenset(denied))


def actions_of_service(service: str) -> Iterator[str]:
    found = find_service(service)
    if found is not None:
        yield from (f"{service}:{one.name}" for one in found.actions.values())


def _is_of_everything(statement: Statement) -> bool:
    return any("*" in one and not one.strip("*:") for one in statement.resources or ())


def _covered(statement: Statement, services: tuple[str, ...]) -> Iterator[str]:
    for service in services:
        if statement.actions is not None:
            yield from _matching(statement.actions, service)
        else:
            spared = set(_matching(statement.not_actions or (), service))
            yield from (one for one in actions_of_service(service) if one not in spared)


def _matching(patterns: tuple[str, ...], service: str) -> Iterator[str]:
    near = [one.lower() for one in patterns if _may_be_of(one.lower(), service)]
    if not near:
        return
    matchers = [compile_glob(parse_glob(one)) for one in near]
    for action in actions_of_service(service):
        lowered = action.lower()
        if any(matches(lowered) for matches in matchers):
            yield action


def _may_be_of(pattern: str, service: str) -> bool:
    prefix = pattern.partition(":")[0]
    return prefix == service or "*" in prefix or "?" in prefix
