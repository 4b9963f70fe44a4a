"""A document without actions that nobody needs: for recommendations, never for a decision.

Only what Allow statements name is changed. A pattern that matches unneeded actions is replaced by the other actions
of the reference that it matches; a pattern of all services stays, as there is no list of what else it allows.
"""

import json
from collections.abc import Iterator
from typing import Any

from broker.policy.document import parse_policy
from broker.policy.elements import MalformedPolicy, PolicyKind
from broker.policy.validation.reference import matching_actions

_WILDCARDS = frozenset("*?")


def without_actions(text: str, unneeded: frozenset[str]) -> str | None:
    """The document; None where nothing is left of it, `text` itself where nothing is changed. `iam:GetUser`, …

    A text that cannot be read is not changed.
    """
    try:
        parse_policy(text, PolicyKind.IDENTITY)
    except MalformedPolicy:
        return text
    document: dict[str, Any] = json.loads(text)
    statements = document["Statement"]
    written = statements if isinstance(statements, list) else [statements]
    reduced = [_reduced(one, unneeded) for one in written]
    if reduced == written:
        return text
    left = [one for one in reduced if one is not None]
    return json.dumps({**document, "Statement": left}) if left else None


def _reduced(statement: dict[str, Any], unneeded: frozenset[str]) -> dict[str, Any] | None:
    if statement["Effect"] != "Allow" or "Action" not in statement:
        return statement
    actions = statement["Action"]
    patterns = actions if isinstance(actions, list) else [actions]
    left = list(dict.fromkeys(one for pattern in patterns for one in _needed(pattern, unneeded)))
    if left == patterns:
        return statement
    return {**statement, "Action": left} if left else None


def _needed(pattern: str, unneeded: frozenset[str]) -> Iterator[str]:
    service = pattern.partition(":")[0]
    if _WILDCARDS & set(service):
        yield pattern
        return
    matched = [f"{prefix}:{action.name}" for prefix, action in matching_actions(pattern)]
    needed = [one for one in matched if one not in unneeded]
    if len(needed) == len(matched):
        yield pattern
    else:
        yield from needed
