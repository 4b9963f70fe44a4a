"""Findings in a policy text, for its author: what is malformed, and what is valid but hardly meant; each at its line.

The warnings are a part of those of Access Analyzer ("Access Analyzer policy check reference"): a missing version, an
action that its service does not have, everything on everything, iam:PassRole on every role, trust in everybody.
"""

import re
from collections.abc import Iterator

import msgspec

from broker.policy.document import parse_policy
from broker.policy.elements import OLD_VERSION, Effect, MalformedPolicy, Policy, PolicyKind, Statement
from broker.policy.services import has_action

_PLACE = re.compile(r"line (\d+)(?:, column (\d+))?: (.*)", re.DOTALL)
_PASSING = frozenset({"*", "iam:*", "iam:passrole"})


class PolicyFinding(msgspec.Struct, frozen=True):
    """`line` and `column` count from 1, and are None where the finding is of no one place."""

    is_error: bool
    message: str
    line: int | None = None
    column: int | None = None


class PolicyReading(msgspec.Struct, frozen=True):
    """What was read of a text: the policy, None where it is malformed, and the findings in the order of the text."""

    policy: Policy | None
    findings: tuple[PolicyFinding, ...]


def read_for_author(text: str, kind: PolicyKind, *, is_managed: bool = False) -> PolicyReading:
    try:
        policy = parse_policy(text, kind, is_managed=is_managed, is_new=True)
    except MalformedPolicy as error:
        return PolicyReading(None, (_fault(error),))
    return PolicyReading(policy, tuple(_warnings(policy)))


def _fault(error: MalformedPolicy) -> PolicyFinding:
    """AWS's message; and behind it what AWS does not say: what is wrong, and where."""
    place = _PLACE.fullmatch(error.fault)
    if place is None:
        return PolicyFinding(True, f"{error.message} {error.fault}".strip())
    line, column, what = place.groups()
    return PolicyFinding(
        True, f"{error.message} {what}", int(line), int(column) if column is not None else None
    )


def _warnings(policy: Policy) -> Iterator[PolicyFinding]:
    if policy.version == OLD_VERSION:
        yield PolicyFinding(
            False, "Without Version 2012-10-17, variables such as ${aws:username} are taken literally."
        )
    for statement in policy.statements:
        for message in (*_unknown_actions(statement), *_breadth(statement)):
            yield PolicyFinding(False, message, statement.span.line)


def _unknown_actions(statement: Statement) -> Iterator[str]:
    for action in (*(statement.actions or ()), *(statement.not_actions or ())):
        if not has_action(action):
            yield f"No action is called {action}: this has no effect."


def _breadth(statement: Statement) -> Iterator[str]:
    if statement.effect is not Effect.ALLOW or statement.conditions:
        return
    if statement.principals is not None and statement.principals.everyone:
        yield "This trusts everybody, of every account. Name principals, or add a condition."
    actions = {action.lower() for action in statement.actions or ()}
    if "*" not in (statement.resources or ()):
        return
    if "*" in actions:
        yield "This allows everything on everything."
    elif actions & _PASSING:
        yield "This allows every role to be passed to every service (iam:PassRole on *). Name the roles."
