"""Checks of statements that pass roles, or create service-linked roles, more widely than they name."""

from collections.abc import Iterator

from broker.policy.patterns import compile_glob, parse_glob
from broker.policy.validation.findings import Find, Issue
from broker.policy.validation.nodes import JsonNode
from broker.policy.validation.subject import StatementNode, Subject


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


def _star_resource(statement: StatementNode) -> JsonNode | None:
    return next((node for node in statement.resources if node.text.strip("*") == ""), None)


def _not_resource(statement: StatementNode) -> JsonNode | None:
    return statement.find("NotResource")


_BY_ACTION = {"exact": _exact, "star": _by_star, "not": _by_not_action}
_BY_RESOURCE = {"star": _star_resource, "not": _not_resource}


def broad(action: str, guard: str, by_action: str, by_resource: str) -> Find:
    """A check of Allow statements that reach `action` so, and name resources so, without a condition on `guard`."""

    def find(subject: Subject) -> Iterator[Issue]:
        for statement in subject.statements:
            node = _BY_RESOURCE[by_resource](statement)
            reaches = _BY_ACTION[by_action](statement, action.lower())
            is_exact = by_action == "star" and _exact(statement, action.lower())
            guarded = statement.has_key(guard.lower())
            if node is not None and statement.is_allow and reaches and not is_exact and not guarded:
                yield Issue(node, _message(action, by_resource), f"a condition on {guard}")

    return find


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
