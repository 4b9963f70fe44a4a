"""A policy as English sentences, one for each statement and service, in the order of the policy: the same every time.

For people who approve what they did not write. A sentence names the actions as they are written, too: levels of access
say less than they do, and an action that the reference does not know has no level.
"""

from collections.abc import Iterable

import msgspec

from broker.policy.elements import Policy, Statement
from broker.policy.summary import ALL_SERVICES, LevelSummary, ServiceSummary, summarize


def policy_sentences(policy: Policy) -> tuple[str, ...]:
    return tuple(
        _sentence(statement, one)
        for statement in policy.statements
        for one in summarize(msgspec.structs.replace(policy, statements=(statement,)))
    )


def _sentence(statement: Statement, summary: ServiceSummary) -> str:
    verb = "Allows" if summary.effect == "Allow" else "Denies"
    return f"{verb} {_actions(statement, summary)}{_resources(summary.resources)}{_conditions(summary.conditions)}."


def _actions(statement: Statement, summary: ServiceSummary) -> str:
    if summary.service == ALL_SERVICES:
        return f"everything{_listed(' except ', summary.excepted)} in all services"
    if summary.is_everything:
        return f"everything in {summary.title}"
    named = (one for one in statement.actions or () if one.lower().startswith(f"{summary.service}:"))
    return f"{_listed('', map(_level, summary.levels)) or 'actions'} in {summary.title} ({', '.join(named)})"


def _level(level: LevelSummary) -> str:
    return f"{'all' if level.is_full else 'some'} {level.level}"


def _resources(resources: tuple[str, ...]) -> str:
    if resources == ("*",):
        return " on all resources"
    excepted = [one.removeprefix("not ") for one in resources if one.startswith("not ")]
    return _listed(" on all resources except " if excepted else " on ", excepted or resources)


def _conditions(keys: tuple[str, ...]) -> str:
    return _listed(" where conditions are met on ", keys)


def _listed(before: str, words: Iterable[str]) -> str:
    """`before` and the words, or nothing where there are none."""
    text = ", ".join(words)
    return f"{before}{text}" if text else ""
