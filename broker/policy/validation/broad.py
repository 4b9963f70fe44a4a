"""Checks of statements that pass roles, or create service-linked roles, more widely than they name."""

import re
from collections.abc import Iterator

from broker.policy.patterns import compile_glob, parse_glob
from broker.policy.validation.findings import Find, Issue
from broker.policy.validation.nodes import JsonNode
from broker.policy.validation.subject import ConditionNode, StatementNode, Subject


def _exact(statement: StatementNode, action: str) -> bool:
    return any(node.text.lower() == action for node in statement.actions)


def _by_star(statement: StatementNode, action: str) -> bool:
    return any(
        {"*", "?"} & set(node.text) and compile_glob(parse_glob(node.text.lower()))(action)
        for node in statement.actions
    )


def _by_not_action(statement: StatementNode, action: str) -> bool:
    excluded = (compile_glob(parse_glob(node.text.lower())) for node in statement.not_actions)
    return bool(statement.not_actions) and not any(matches(action) for matches in excluded)


_ANY_ROLE = re.compile(r"arn:[^:]*:iam::[^:]*:role/\*+")


def _star_resource(statement: StatementNode) -> JsonNode | None:
    return next((node for node in statement.resources if node.text.strip("*") == ""), None)


def _any_role(statement: StatementNode) -> JsonNode | None:
    """Roles of services have names that begin alike, so that a longer pattern may be meant."""
    every = (node for node in statement.resources if _ANY_ROLE.fullmatch(node.text))
    return _star_resource(statement) or next(every, None)


def _not_resource(statement: StatementNode) -> JsonNode | None:
    return statement.find("NotResource")


_BY_ACTION = {"exact": _exact, "star": _by_star, "not": _by_not_action}
_BY_RESOURCE = {"star": _any_role, "not": _not_resource}


def broad(action: str, guard: str, by_action: str, by_resource: str) -> Find:
    """A check of Allow statements that reach `action` so, and name resources so, without a condition on `guard`."""

    def find(subject: Subject) -> Iterator[Issue]:
        for statement in subject.statements:
            node = _BY_RESOURCE[by_resource](statement)
            reaches = _BY_ACTION[by_action](statement, action.lower())
            is_exact = by_action == "star" and _exact(statement, action.lower())
            guarded = _is_guarded(statement, guard.lower())
            if node is not None and statement.is_allow and reaches and not is_exact and not guarded:
                yield Issue(node, _message(action, by_resource), f"a condition on {guard}")

    return find


def _is_guarded(statement: StatementNode, key: str) -> bool:
    return any(one.key.text.lower() == key and _names_services(one) for one in statement.conditions)


def _names_services(condition: ConditionNode) -> bool:
    """IfExists allows what has no such key, a negated operator allows others, and a first `*` matches many names."""
    is_narrow = condition.name in ("stringequals", "stringequalsignorecase", "stringlike")
    is_open = condition.is_if_exists or condition.set_operator == "forallvalues"
    return is_narrow and not is_open and not any(node.text[:1] in ("*", "?") for node in condition.values)


def _message(action: str, by_resource: str) -> str:
    where = "every resource" if by_resource == "star" else "every resource but those named"
    to = "passed to" if action == "iam:PassRole" else "created for"
    return f"This allows {action} on {where}, so roles can be {to} every service. Name the resources."


def allows_everything(subject: Subject) -> Iterator[Issue]:
    for statement in subject.statements:
        node = _star_resource(statement)
        is_every = any(one.text.strip("*") == "" or one.text == "*:*" for one in statement.actions)
        if node is not None and statement.is_allow and is_every and not statement.conditions:
            yield Issue(statement.node, "This allows everything on everything.")


def trusts_everybody(subject: Subject) -> Iterator[Issue]:
    for statement in subject.statements:
        for one in statement.principals if statement.is_allow and not statement.conditions else ():
            if one.type in ("*", "AWS") and one.node.text == "*":
                message = "This trusts everybody, of every account. Name principals, or add a condition."
                yield Issue(one.node, message)
