"""Checks of policy variables: their syntax, and where they are not replaced."""

import re
from collections.abc import Iterator

from broker.policy.elements import VERSION
from broker.policy.validation.findings import Issue
from broker.policy.validation.nodes import JsonNode
from broker.policy.validation.operators import OPERATORS
from broker.policy.validation.subject import StatementNode, Subject

_OPEN = re.compile(r"\$\{([^{}]*)(\})?")
_ESCAPES = frozenset("*?$")
_WITH_VARIABLES = ("String", "Arn")


def _condition_values(statement: StatementNode) -> Iterator[JsonNode]:
    for condition in statement.conditions:
        yield from condition.values


def _texts(subject: Subject) -> Iterator[JsonNode]:
    """Where variables are replaced."""
    for statement in subject.statements:
        yield from statement.resources + statement.not_resources
        yield from _condition_values(statement)


def _names(node: JsonNode) -> Iterator[str]:
    """The text in braces that are closed; the escapes ${*}, ${?} and ${$} are left out."""
    for found in _OPEN.finditer(node.text):
        if found[2] and found[1] not in _ESCAPES:
            yield found[1]


def missing_braces(subject: Subject) -> Iterator[Issue]:
    for node in _texts(subject):
        if any(not found[2] for found in _OPEN.finditer(node.text)):
            yield Issue(node, "A variable is not closed: } is missing.")


def missing_quotes(subject: Subject) -> Iterator[Issue]:
    for node in _texts(subject):
        if any(name.count("'") % 2 for name in _names(node)):
            yield Issue(node, "The default value of a variable is not closed: ' is missing.")


def spaces(subject: Subject) -> Iterator[Issue]:
    for node in _texts(subject):
        if any(" " in name.partition(",")[0].strip() or name[:1] == " " for name in _names(node)):
            yield Issue(node, "The name of a variable has a space.")


def empty_variables(subject: Subject) -> Iterator[Issue]:
    for node in _texts(subject):
        if any(not name.partition(",")[0].strip() for name in _names(node)):
            yield Issue(node, "A variable has no name.")


def in_other_elements(subject: Subject) -> Iterator[Issue]:
    for statement in subject.statements:
        sid = statement.find("Sid")
        named = (one.node for one in statement.principals + statement.not_principals)
        keys = (one.key for one in statement.conditions)
        others = (
            *statement.actions,
            *statement.not_actions,
            *named,
            *keys,
            *((sid,) if sid is not None else ()),
        )
        for node in others:
            if any(_names(node)):
                yield Issue(node, "Variables are replaced in resources and in values of conditions only.")


def in_old_version(subject: Subject) -> Iterator[Issue]:
    for node in _texts(subject) if subject.version != VERSION else ():
        if any(_names(node)):
            yield Issue(node, f"Variables are replaced in Version {VERSION} only; here they are literal.")


def of_other_operators(subject: Subject) -> Iterator[Issue]:
    for statement in subject.statements:
        for condition in statement.conditions:
            known = OPERATORS.get(condition.name)
            if known is None or known.family in _WITH_VARIABLES:
                continue
            for node in condition.values:
                if any(_names(node)):
                    yield Issue(
                        node, f"{condition.operator.text} takes no variables; String and Arn operators do."
                    )
