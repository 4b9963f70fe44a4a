"""The text of generated policies: the actions that were used, by service and by the resources that they need."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

_EVERYTHING = "*"
# IAM's quota of a managed policy, which a generated one should be (without white space).
LARGEST = 6144
_ENVELOPE = len('{"Version":"2012-10-17","Statement":[]}')
_MOST_ACTIONS = 100  # of one statement: so that each fits into a policy

Used = Mapping[str, tuple[str, ...]]  # forms of ARNs by action


def policy_texts(
    used: Used, services: Iterable[str] = (), *, has_placeholders: bool = True, largest: int = LARGEST
) -> tuple[str, ...]:
    """Each may be attached once its placeholders are replaced. Without what was used there is none.

    `services` were used without a record of an action: the person has to name the actions (`${Action}`).
    """
    statements = [*_statements(used, has_placeholders), *_of_services(services)]
    return tuple(_text(part) for part in _parts(statements, largest))


def _statements(used: Used, has_placeholders: bool) -> Iterator[dict[str, Any]]:
    together: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for action, forms in sorted(used.items()):
        resources = forms if has_placeholders else (_EVERYTHING,)
        together.setdefault((action.partition(":")[0], resources), []).append(action)
    for (_, resources), actions in sorted(together.items()):
        for start in range(0, len(actions), _MOST_ACTIONS):
            yield _statement(actions[start : start + _MOST_ACTIONS], resources)


def _of_services(services: Iterable[str]) -> Iterator[dict[str, Any]]:
    for service in sorted(services):
        yield _statement([f"{service}:${{Action}}"], (_EVERYTHING,))


def _statement(actions: list[str], resources: tuple[str, ...]) -> dict[str, Any]:
    resource = resources[0] if len(resources) == 1 else list(resources)
    return {"Effect": "Allow", "Action": actions, "Resource": resource}


def _parts(statements: list[dict[str, Any]], largest: int) -> Iterator[list[dict[str, Any]]]:
    part: list[dict[str, Any]] = []
    size = _ENVELOPE
    for one in statements:
        own = len(msgspec.json.encode(one)) + 1
        if part and size + own > largest:
            yield part
            part, size = [], _ENVELOPE
        part.append(one)
        size += own
    if part:
        yield part


def _text(statements: list[dict[str, Any]]) -> str:
    document = {"Version": "2012-10-17", "Statement": statements}
    return msgspec.json.encode(document).decode()
