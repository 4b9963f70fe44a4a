"""A policy in words: for each service what kind of access, on which resources, under which conditions.

Access levels are those of the Service Authorization Reference: List, Read, Write, Tagging, Permissions management. An
action of two levels counts for the narrower one: what tags is no mere Write. A level is *full* where every action of
the service that has it is named. What is shown says what statements name, and decides nothing: a Deny is a line of its
own.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final

import msgspec

from broker.policy.elements import Policy, Statement
from broker.policy.patterns import compile_glob, parse_glob
from broker.policy.services import access_levels, service_title

ALL_SERVICES: Final = "*"
# Of two levels the later one is the narrower.
LEVELS: Final = ("List", "Read", "Write", "Tagging", "Permissions management")


class LevelSummary(msgspec.Struct, frozen=True):
    """`is_full`: every action of the service that has this level is named."""

    level: str
    is_full: bool


class ServiceSummary(msgspec.Struct, frozen=True):
    """What statements of one effect say of one service; `service` is `*` where they name all of them.

    `levels` is empty where everything is named (`is_everything`), or nothing that the reference knows. `title` is the
    service's name. `excepted` are the actions that a NotAction leaves out. `resources` are as written, those of a
    NotResource with `not ` before them; `conditions` are keys.
    """

    effect: str
    service: str
    title: str
    is_everything: bool
    levels: tuple[LevelSummary, ...]
    excepted: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: tuple[str, ...]


def summarize(policy: Policy) -> tuple[ServiceSummary, ...]:
    """One for each effect, service and circumstances, in the order of the policy."""
    grouped: dict[tuple[str, str, tuple[str, ...], tuple[str, ...], tuple[str, ...]], dict[str, None]] = {}
    for statement in policy.statements:
        circumstances = (_resources(statement), _conditions(statement))
        for service, names, excepted in _by_service(statement):
            key = (statement.effect.value, service, excepted, *circumstances)
            grouped.setdefault(key, {}).update(dict.fromkeys(names))
    return tuple(
        _summary(effect, service, excepted, resources, conditions, names)
        for (effect, service, excepted, resources, conditions), names in grouped.items()
    )


def _summary(
    effect: str,
    service: str,
    excepted: tuple[str, ...],
    resources: tuple[str, ...],
    conditions: tuple[str, ...],
    patterns: Iterable[str],
) -> ServiceSummary:
    everything = "*" in patterns
    return ServiceSummary(
        effect,
        service,
        service_title(service) if service != ALL_SERVICES else "",
        everything,
        () if everything else tuple(_levels(service, patterns)),
        excepted,
        resources,
        conditions,
    )


def _by_service(statement: Statement) -> Iterator[tuple[str, list[str], tuple[str, ...]]]:
    """Service, patterns of its actions (lower-case), and what is excepted."""
    if statement.actions is None:
        yield ALL_SERVICES, ["*"], tuple(statement.not_actions or ())
        return
    named: dict[str, list[str]] = {}
    for action in statement.actions:
        service, _, name = action.lower().partition(":")
        named.setdefault(service, []).append(name or "*")
    for service, names in named.items():
        yield service, names, ()


def _levels(service: str, patterns: Iterable[str]) -> Iterator[LevelSummary]:
    by_level = _actions_by_level(service)
    matchers = [compile_glob(parse_glob(pattern)) for pattern in patterns]
    for level in LEVELS:
        actions = by_level.get(level, ())
        found = sum(any(matches(action) for matches in matchers) for action in actions)
        if found:
            yield LevelSummary(level, found == len(actions))


@lru_cache(maxsize=32)
def _actions_by_level(service: str) -> dict[str, tuple[str, ...]]:
    grouped: dict[str, list[str]] = {}
    for action, level in access_levels(service).items():
        narrowest = max((one for one in LEVELS if one in level.split(", ")), key=LEVELS.index, default="")
        grouped.setdefault(narrowest, []).append(action)
    return {level: tuple(actions) for level, actions in grouped.items()}


def _resources(statement: Statement) -> tuple[str, ...]:
    if statement.not_resources is not None:
        return tuple(f"not {one}" for one in statement.not_resources)
    return statement.resources or ()


def _conditions(statement: Statement) -> tuple[str, ...]:
    return tuple(dict.fromkeys(condition.key for condition in statement.conditions))
