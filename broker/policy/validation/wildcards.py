"""Checks of wildcards and variables that let a condition match more than it seems to."""

import re
from collections.abc import Iterator

from broker.policy.validation.findings import Issue
from broker.policy.validation.nodes import JsonNode
from broker.policy.validation.operators import OPERATORS
from broker.policy.validation.subject import ConditionNode, Subject

# "AWS global condition context keys", "Sensitive condition keys".
_SENSITIVE = frozenset(
    {"aws:principalaccount", "aws:principalorgid", "aws:resourceaccount", "aws:resourceorgid",
     "aws:sourceaccount", "aws:sourceorgid", "aws:sourcevpc", "aws:sourcevpce", "aws:vpceaccount",
     "aws:vpceorgid"}
)  # fmt: skip
_USER_ID = "aws:userid"
_LEAST_CHARACTERS = 6
_WILDCARD, _VARIABLE = "*", "\0"
_PART = re.compile(r"\$\{([*?$])\}|\$\{([^{},]*)(?:,[^{}]*)?\}|([*?]+)")
_MARK = re.compile(r"[*\0]")


def open_wildcards(subject: Subject) -> Iterator[Issue]:
    for statement in subject.statements:
        for condition in statement.conditions:
            known = OPERATORS.get(condition.name)
            if known is not None and known.is_like:
                yield from _open(condition, _WILDCARD, "A wildcard")


def open_variables(subject: Subject) -> Iterator[Issue]:
    for statement in subject.statements:
        for condition in statement.conditions:
            known = OPERATORS.get(condition.name)
            if known is not None and known.family in ("String", "Arn"):
                yield from _open(condition, _VARIABLE, "A variable")


def _open(condition: ConditionNode, mark: str, what: str) -> Iterator[Issue]:
    key = condition.key.text.lower()
    for node in condition.values:
        marked = _marked(node)
        if mark not in marked:
            continue
        if key in _SENSITIVE:
            yield Issue(node, f"{what} may match any value of {condition.key.text}: write the values.")
        elif key == _USER_ID and _is_open_id(marked, mark):
            message = f"{what} in {condition.key.text} is behind the colon, or is all that is before it."
            yield Issue(node, message, "ROLE-ID:*")
        elif _is_subject(key) and _is_short(marked, mark):
            message = (
                f"{what} in {condition.key.text} follows at least {_LEAST_CHARACTERS} literal characters."
            )
            yield Issue(node, message)


def _marked(node: JsonNode) -> str:
    """The text with one mark for each variable, and one for wildcards that stand together; escapes are literal."""

    def mark(found: re.Match[str]) -> str:
        if found[1]:
            return "-"
        if found[2] is not None:
            # What AWS sets, of the caller or of the resource, has one value: it widens nothing.
            return "-" if found[2].strip().lower() in _SENSITIVE else _VARIABLE
        return _WILDCARD

    return _PART.sub(mark, node.text)


def _is_open_id(marked: str, mark: str) -> bool:
    before, colon, _ = marked.partition(":")
    return mark in before and (not colon or before != mark)


def _is_subject(key: str) -> bool:
    """The claim of a token that says whose it is; its provider is a domain."""
    prefix, _, name = key.rpartition(":")
    return name == "sub" and "." in prefix


def _is_short(marked: str, mark: str) -> bool:
    start = 0
    for found in _MARK.finditer(marked):
        if found[0] == mark and found.start() - start < _LEAST_CHARACTERS:
            return True
        start = found.end()
    return False
