"""Checks of Action and NotAction against the Service Authorization Reference."""

import re
from collections.abc import Iterator
from functools import lru_cache

import msgspec

from broker.policy.elements import quoted
from broker.policy.services import BY_ACTION
from broker.policy.validation.findings import Issue, some
from broker.policy.validation.nodes import JsonNode
from broker.policy.validation.reference import (
    find_key_type,
    find_service,
    is_known_action,
    key_matches,
    keys_of,
    known_services,
    matching_actions,
    may_match_both,
    nearest_action,
    nearest_service,
)
from broker.policy.validation.subject import StatementNode, Subject

_ACTION = re.compile(r"[a-zA-Z0-9*?_.-]+:[^:\s]+|\*+")
# Keys of the credentials, which come with every action ("AWS global condition context keys", of role sessions).
_OF_SESSIONS = frozenset(
    {"codebuild:buildarn", "codebuild:projectarn", "ec2:roledelivery", "ec2:sourceinstancearn",
     "glue:credentialissuingservice", "glue:roleassumedby", "identitystore:userid",
     "lambda:sourcefunctionarn", "ssm:sourceinstancearn"}
)  # fmt: skip
_ARN_FIELDS = 6
_OWN_SERVICES = frozenset(action.partition(":")[0] for action in BY_ACTION)


def actions_of(statement: StatementNode) -> tuple[JsonNode, ...]:
    return statement.actions + statement.not_actions


def _all_actions(subject: Subject) -> Iterator[JsonNode]:
    for statement in subject.statements:
        yield from actions_of(statement)


def _service(action: str) -> str:
    return action.partition(":")[0].lower()


def invalid_actions(subject: Subject) -> Iterator[Issue]:
    for node in _all_actions(subject):
        if "${" in node.text:
            continue  # a variable, which is another finding
        if _ACTION.fullmatch(node.text) is None:
            yield Issue(node, f"{quoted(node.text)} is no action: SERVICE:ACTION is expected.")
        elif not is_known_action(node.text):
            message = f"No action is called {node.text}: this has no effect."
            yield Issue(node, message, nearest_action(node.text))


def invalid_services(subject: Subject) -> Iterator[Issue]:
    for node in _all_actions(subject):
        service = _service(node.text)
        is_plain = _ACTION.fullmatch(node.text) is not None and "*" not in service and "?" not in service
        if is_plain and not (service in known_services() or service in _OWN_SERVICES):
            near = nearest_service(service)
            if near or subject.as_aws:
                yield Issue(node, f"No service has actions that begin with {quoted(service)}.", near)


def wildcards_in_services(subject: Subject) -> Iterator[Issue]:
    """In ARNs, `*` alone is not the name of a service that others have, too."""
    for node in _all_actions(subject):
        service, colon, _ = node.text.partition(":")
        if colon and ("*" in service or "?" in service):
            yield Issue(node, "The name of the service has a wildcard: name the service.")
    for statement in subject.statements:
        for node in statement.resources + statement.not_resources:
            fields = node.text.split(":", 5)
            is_named = len(fields) == _ARN_FIELDS and fields[2].strip("*?") != ""
            if is_named and ("*" in fields[2] or "?" in fields[2]):
                yield Issue(node, "The name of the service has a wildcard: name the service.")


def resources_of_other_types(subject: Subject) -> Iterator[Issue]:
    """An action that supports none of the statement's resources: the statement can never match it."""
    for statement in subject.statements:
        resources = tuple(node.text for node in statement.resources)
        if not resources or any("${" in one or one.strip("*") == "" for one in resources):
            continue
        for node in statement.actions:
            types = _types_of(node.text)
            if types is not None and not _supports_any(types, resources):
                what = "supports none of these resources" if types else 'matches "*" as resource only'
                yield Issue(
                    node,
                    f"{node.text} {what}: this statement has no effect on it.",
                    _wanted(types, resources[0]),
                )


def _types_of(action: str) -> tuple[str, ...] | None:
    """The ARN patterns of an action's resource types; None for a pattern of actions, and for an unknown action."""
    if "*" in action or "?" in action:
        return None
    for service, found in matching_actions(action):
        types = arns_of(service)
        return tuple(
            types[name] for name in (one.name.lower() for one in found.resource_types) if name in types
        )
    return None


@lru_cache(maxsize=64)
def arns_of(service: str) -> dict[str, str]:
    known = find_service(service)
    types = known.resource_types.items() if known is not None else ()
    return {key.lower(): one.pattern for key, one in types if one.arn}


def _supports_any(types: tuple[str, ...], resources: tuple[str, ...]) -> bool:
    return any(may_match_both(resource, arn) for resource in resources for arn in types)


def _wanted(types: tuple[str, ...], resource: str) -> str:
    """Of the ARN patterns the one that has a region and an account where `resource` has them: most likely meant."""
    given = resource.split(":", 5)

    def alike(pattern: str) -> int:
        return sum(bool(one) == bool(other) for one, other in zip(pattern.split(":", 5), given, strict=False))

    return max(types, key=alike, default="*")


def actions_without_key(subject: Subject) -> Iterator[Issue]:
    """Actions that never have a key of a service that the condition needs; patterns of actions are not looked at."""
    for statement in subject.statements:
        known = _keys_by_action(statement) if statement.conditions else {}
        for condition in statement.conditions:
            key = condition.key.text.lower()
            is_needed = condition.name != "null" and not condition.is_if_exists
            without = _without(key, known) if is_needed and _is_of_service(key) else []
            if without:
                message = f"{some(without)} never has {condition.key.text}, which decides nothing there."
                yield Issue(condition.key, f"{message} Write a statement of its own without this condition.")


def _is_of_service(key: str) -> bool:
    """Tags are not listed with each action, keys of credentials come with all; an unknown key is another finding."""
    is_other = "tag/" in key or key in _OF_SESSIONS
    return not is_other and _service(key) in known_services() and find_key_type(key) is not None


class _KeysOfAction(msgspec.Struct, frozen=True):
    """The condition keys of an action in lower case; `templates` are those with a placeholder."""

    plain: frozenset[str]
    templates: tuple[str, ...]

    def has(self, key: str) -> bool:
        return key in self.plain or any(key_matches(name, key) for name in self.templates)


def _without(key: str, known: dict[str, _KeysOfAction]) -> list[str]:
    return [name for name, keys in known.items() if not keys.has(key)]


def _keys_by_action(statement: StatementNode) -> dict[str, _KeysOfAction]:
    """Of the actions that the statement names and the reference has."""
    found = ((node.text, _keys_of_action(node.text.lower())) for node in statement.actions)
    return {name: keys for name, keys in found if keys is not None}


@lru_cache(maxsize=4096)
def _keys_of_action(action: str) -> _KeysOfAction | None:
    if "*" in action or "?" in action:
        return None
    for service, known in matching_actions(action):
        keys = {key.lower() for key in keys_of(service, known)}
        templates = {key for key in keys if "${" in key or "<" in key}
        return _KeysOfAction(frozenset(keys - templates), tuple(sorted(templates)))
    return None
