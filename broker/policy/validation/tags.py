"""Checks of conditions on tags of resources, where the actions' services do not support these."""

from collections.abc import Iterator

from broker.policy.validation.findings import Find, Issue
from broker.policy.validation.nodes import JsonNode
from broker.policy.validation.reference import find_service
from broker.policy.validation.subject import Subject

_TAG = "aws:resourcetag/"


def tag_conditions(*, is_allow: bool, is_not_action: bool) -> Find:
    """A check of statements with that effect and element."""

    def find(subject: Subject) -> Iterator[Issue]:
        for statement in subject.statements:
            if statement.effect != ("Allow" if is_allow else "Deny"):
                continue
            actions = statement.not_actions if is_not_action else statement.actions
            services = _without_tags(actions)
            for condition in statement.conditions if services else ():
                if condition.key.text.lower().startswith(_TAG):
                    yield Issue(condition.key, _message(condition.key.text, services))

    return find


def _without_tags(actions: tuple[JsonNode, ...]) -> list[str]:
    """The services of actions none of whose actions supports tags as a condition."""
    services = dict.fromkeys(node.text.partition(":")[0].lower() for node in actions)
    return [name for name in services if _knows_no_tags(name)]


def _knows_no_tags(name: str) -> bool:
    service = find_service(name)
    return service is not None and not any(key.startswith(_TAG) for key in service.condition_keys)


def _message(key: str, services: list[str]) -> str:
    return f"{', '.join(services)} has no resources whose tags {key} could look at."
