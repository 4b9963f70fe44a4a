"""Checks of Action and NotAction against the Service Authorization Reference."""

import re
from collections.abc import Iterator
from functools import lru_cache

from broker.policy.elements import quoted
from broker.policy.services import BY_ACTION
from broker.policy.validation.findings import Issue
from broker.policy.validation.nodes import JsonNode
from broker.policy.validation.reference import (
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
        for condition in statement.conditions:
            key = condition.key.text
            is_needed = condition.name != "null" and not condition.is_if_exists
            if is_needed and _is_of_service(key.lower()):
                for node in statement.actions:
                    if not _may_have_key(node.text, key.lower()):
                        message = (
                            f"{node.text} has no condition key {key}: the condition decides nothing for it."
                        )
                        yield Issue(node, f"{message} Write it in a statement without this condition.")


def _is_of_service(key: str) -> bool:
    """Tags are not listed with each action, and keys of credentials come with all."""
    return "tag/" not in key and key not in _OF_SESSIONS and _service(key) in known_services()


@lru_cache(maxsize=4096)
def _may_have_key(action: str, key: str) -> bool:
    """True, too, for a pattern, and for an action that the reference does not have."""
    if "*" in action or "?" in action:
        return True
    known = list(matching_actions(action))
    return not known or any(key_matches(name, key) for one in known for name in keys_of(*one))
