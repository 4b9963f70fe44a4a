"""Checks of conditions on tags of resources, where the actions' services do not support these."""

from collections.abc import Iterator
from functools import lru_cache

from broker.policy.validation.findings import Find, Issue, some
from broker.policy.validation.nodes import JsonNode
from broker.policy.validation.reference import keys_of, matching_actions
from broker.policy.validation.subject import Subject

_TAG = "aws:resourcetag/"


def tag_conditions(*, is_allow: bool, is_not_action: bool) -> Find:
    """A check of statements with that effect and element."""

    def find(subject: Subject) -> Iterator[Issue]:
        for statement in subject.statements:
            if statement.effect != ("Allow" if is_allow else "Deny"):
                continue
            actions = statement.not_actions if is_not_action else statement.actions
            services = [] if is_not_action else _without_tags(actions)
            for condition in statement.conditions if actions and (is_not_action or services) else ():
                if condition.key.text.lower().startswith(_TAG):
                    yield Issue(condition.key, _message(condition.key.text, services, is_allow=is_allow))

    return find


def _without_tags(actions: tuple[JsonNode, ...]) -> list[str]:
    """The services of those actions that do not support tags of resources as a condition."""
    without = (node.text.partition(":")[0].lower() for node in actions if _knows_no_tags(node.text))
    return list(dict.fromkeys(without))


@lru_cache(maxsize=4096)
def _knows_no_tags(action: str) -> bool:
    """False for an action that the reference does not have; of several, whether none does."""
    known = list(matching_actions(action))
    return bool(known) and not any(
        key.lower().startswith(_TAG) for service, one in known for key in keys_of(service, one)
    )


def _message(key: str, services: list[str], *, is_allow: bool) -> str:
    effect = "allowed" if is_allow else "denied"
    if not services:
        return f"What NotAction leaves has actions without {key}: they are not {effect} here. Write Action."
    return f"Actions here of {some(services)} look at no {key}: they are not {effect} by this statement."
