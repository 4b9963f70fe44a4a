"""Checks of the trust policies of roles."""

import re
from collections.abc import Iterator

from broker.names.arn import PARTITION
from broker.policy.elements import quoted
from broker.policy.patterns import compile_glob, parse_glob
from broker.policy.validation.findings import Issue
from broker.policy.validation.nodes import JsonNode
from broker.policy.validation.principals import principals_of
from broker.policy.validation.subject import ConditionNode, StatementNode, Subject

_GITHUB = "token.actions.githubusercontent.com"
# Providers built into AWS.
_BUILT_IN = ("accounts.google.com", "cognito-identity.amazonaws.com", "graph.facebook.com", "www.amazon.com")
_SAML = re.compile(rf"arn:(?:{PARTITION}|aws[a-z-]*):iam::[0-9]{{12}}:saml-provider/[\w.-]{{1,128}}")
_OIDC = re.compile(rf"arn:(?:{PARTITION}|aws[a-z-]*):iam::[0-9]{{12}}:oidc-provider/([^*?\s]+)")
_DOMAIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]+")
_ROLES_ANYWHERE = "rolesanywhere.amazonaws.com"
_ROLES_ANYWHERE_ACTIONS = ("sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity")
_FEDERATED_ACTIONS = {"saml": "sts:assumerolewithsaml", "oidc": "sts:assumerolewithwebidentity"}
_ROLE = re.compile(r"arn:[a-z-]+:iam::([0-9]{12}):role/(?:.+/)?([^/]+)")
_SESSION = re.compile(r"arn:[a-z-]+:(?:sts|iam)::([0-9]{12}):assumed-role/([^/]+)/.+")
_REPOSITORY = re.compile(r"repo:[^/:*?]+/[^:*?]+:.*")
_BRANCH = re.compile(r"repo:[^/:*?]+/[^:*?]+:.*[^*].*")


def not_principals(subject: Subject) -> Iterator[Issue]:
    for statement in subject.statements:
        node = statement.find("NotPrincipal")
        if node is not None:
            message = (
                "A trust policy has no NotPrincipal: write Principal, and a condition on aws:PrincipalArn."
            )
            yield Issue(node, message)


def resources(subject: Subject) -> Iterator[Issue]:
    for statement in subject.statements:
        for name in ("Resource", "NotResource"):
            node = statement.find(name)
            if node is not None:
                yield Issue(node, f"A trust policy has no {name}: it is attached to the role.")


def other_actions(subject: Subject) -> Iterator[Issue]:
    for statement in subject.statements:
        for node in statement.actions + statement.not_actions:
            if node.text != "*" and not node.text.lower().startswith("sts:"):
                yield Issue(node, f"A trust policy has actions of sts only, not {quoted(node.text)}.")


def federated_formats(subject: Subject) -> Iterator[Issue]:
    for one in principals_of(subject, "Federated"):
        if not any(form.fullmatch(one.node.text) for form in (_SAML, _OIDC, _DOMAIN)):
            message = f"{quoted(one.node.text)} is neither the ARN of a provider nor one built into AWS."
            yield Issue(one.node, message)


def _reaches(statement: StatementNode, action: str) -> bool:
    return any(compile_glob(parse_glob(node.text.lower()))(action) for node in statement.actions)


def _kind(name: str) -> str:
    if _SAML.fullmatch(name):
        return "saml"
    return "oidc" if _OIDC.fullmatch(name) or name in _BUILT_IN else ""


def mismatched_actions(subject: Subject) -> Iterator[Issue]:
    """Each action that none of the statement's principals can call."""
    for statement in subject.statements:
        kinds = {_kind(one.node.text) if one.type == "Federated" else "aws" for one in statement.principals}
        if not statement.is_allow or not kinds or "" in kinds:
            continue
        callable_ = {_FEDERATED_ACTIONS.get(kind, "sts:assumerole") for kind in kinds}
        for node in statement.actions:
            lowered = node.text.lower()
            is_assuming = lowered in {"sts:assumerole", *_FEDERATED_ACTIONS.values()}
            if is_assuming and lowered not in callable_:
                yield Issue(node, f"None of these principals can call {node.text}.", _named(callable_))


_NAMES = {
    "sts:assumerole": "sts:AssumeRole",
    "sts:assumerolewithsaml": "sts:AssumeRoleWithSAML",
    "sts:assumerolewithwebidentity": "sts:AssumeRoleWithWebIdentity",
}


def _named(actions: set[str]) -> str:
    return " or ".join(sorted(_NAMES[action] for action in actions))


def missing_roles_anywhere_actions(subject: Subject) -> Iterator[Issue]:
    for statement in subject.statements:
        is_for = any(one.node.text == _ROLES_ANYWHERE for one in statement.principals)
        missing = [one for one in _ROLES_ANYWHERE_ACTIONS if not _reaches(statement, one.lower())]
        if is_for and statement.is_allow and statement.actions and missing:
            node = statement.find("Action") or statement.node
            yield Issue(node, f"IAM Roles Anywhere calls {', '.join(missing)}, too.", ", ".join(missing))


def missing_actions_for_keys(subject: Subject) -> Iterator[Issue]:
    """Who may not set a value cannot meet a condition on it."""
    for statement in subject.statements:
        for condition in statement.conditions if statement.is_allow and statement.actions else ():
            action = _setting_action(condition.key.text.lower())
            if action and condition.name != "null" and not _reaches(statement, action.lower()):
                message = f"{condition.key.text} is set by {action}, which this statement does not allow."
                yield Issue(condition.key, message, action)


def _setting_action(key: str) -> str:
    if key == "sts:sourceidentity":
        return "sts:SetSourceIdentity"
    is_of_tags = key in ("sts:transitivetagkeys", "aws:tagkeys") or key.startswith("aws:requesttag/")
    return "sts:TagSession" if is_of_tags else ""


def _issuers(statement: StatementNode) -> Iterator[tuple[str, JsonNode]]:
    for one in statement.principals:
        found = _OIDC.fullmatch(one.node.text) if one.type == "Federated" else None
        if found is not None:
            yield found[1], one.node


def missing_provider_conditions(subject: Subject) -> Iterator[Issue]:
    """Without a condition, everybody with a token of the provider may take the role."""
    for statement in subject.statements:
        if not statement.is_allow or not _reaches(statement, "sts:assumerolewithwebidentity"):
            continue
        keys = [one.key.text.lower() for one in statement.conditions]
        for name, node in _issuers(statement):
            if name != _GITHUB and not any(key.startswith(f"{name.lower()}:") for key in keys):
                message = (
                    f"Everybody with a token of {name} may take this role: name the audience of the token."
                )
                yield Issue(node, message, f"a condition on {name}:aud or {name}:sub")


def missing_github_conditions(subject: Subject) -> Iterator[Issue]:
    for statement in subject.statements:
        for name, node in _issuers(statement):
            is_narrowed = statement.has_key(
                f"{_GITHUB}:sub", f"{_GITHUB}:repository", f"{_GITHUB}:job_workflow_ref"
            )
            if name == _GITHUB and statement.is_allow and not is_narrowed:
                message = "Workflows of every repository on GitHub may take this role."
                yield Issue(node, message, f"a condition on {_GITHUB}:sub")


def broad_github_conditions(subject: Subject) -> Iterator[Issue]:
    for statement in subject.statements:
        for condition in statement.conditions if statement.is_allow else ():
            if condition.key.text.lower() == f"{_GITHUB}:sub" and "not" not in condition.name:
                for node in condition.values:
                    form = _REPOSITORY if statement.has_key(f"{_GITHUB}:ref") else _BRANCH
                    if "*" in node.text and form.fullmatch(node.text) is None:
                        message = "This matches several repositories, or every branch of one."
                        yield Issue(node, message, "repo:OWNER/REPOSITORY:ref:refs/heads/BRANCH")


def set_operators_on_audience(subject: Subject) -> Iterator[Issue]:
    for statement in subject.statements:
        for condition in statement.conditions:
            if condition.set_operator and _is_audience(condition):
                message = (
                    f"{condition.key.text} has one value in most tokens, where no set operator is needed."
                )
                yield Issue(condition.operator, message, condition.operator.text.partition(":")[2])


def any_value_of_audience(subject: Subject) -> Iterator[Issue]:
    """A token is for one audience; of several that a key has, ForAnyValue asks for one only."""
    for statement in subject.statements:
        for condition in statement.conditions:
            if condition.set_operator == "foranyvalue" and _is_audience(condition):
                message = f"{condition.key.text} has one value: ForAnyValue is met by one of several."
                yield Issue(condition.operator, message, condition.operator.text.partition(":")[2])


def _is_audience(condition: ConditionNode) -> bool:
    prefix, _, name = condition.key.text.lower().rpartition(":")
    return name == "aud" and "." in prefix


def redundant_principals(subject: Subject) -> Iterator[Issue]:
    """A role includes all its sessions. The ARN of a session has no path."""
    for statement in subject.statements:
        named = [one.node for one in statement.principals if one.type == "AWS"]
        roles = {(found[1], found[2]) for node in named if (found := _ROLE.fullmatch(node.text))}
        for node in named:
            session = _SESSION.fullmatch(node.text)
            if session is not None and (session[1], session[2]) in roles:
                yield Issue(node, f"Role {session[2]} is trusted, this session of it with it.")
