"""Checks of Principal and NotPrincipal in resource policies and trust policies."""

import re
from collections.abc import Iterator

from broker.names.arn import PARTITION, is_account_id
from broker.policy.elements import quoted
from broker.policy.service_principals import service_fault
from broker.policy.validation.findings import Issue
from broker.policy.validation.subject import PrincipalNode, Subject

_KINDS = ("AWS", "Service", "Federated", "CanonicalUser")
_ARN = re.compile(
    rf"arn:(?:{PARTITION}|aws|aws-cn|aws-us-gov):(?:iam::[0-9]{{12}}:(?:root|(?:user|role)/.+)"
    r"|sts::[0-9]{12}:(?:assumed-role/[^/]+/.+|federated-user/.+|self))"
)
_CLOUDFRONT = re.compile(r"arn:[a-z-]+:iam::cloudfront:user/.+")
_UNIQUE_ID = re.compile(r"A[A-Z]{3}[A-Z0-9]{12,124}(?::.+)?")
_CANONICAL = re.compile(r"[0-9a-f]{64}")
_SERVICE = re.compile(r"[a-zA-Z0-9_-]+(?:\.[a-zA-Z0-9_-]+)+")
# Keys that name the account or resource that a service acts for.
FOR_WHOM = (
    "aws:sourcearn", "aws:sourceaccount", "aws:sourceorgid", "aws:sourceorgpaths",
)  # fmt: skip
_OF_IDENTITIES = (
    "aws:principalarn", "aws:principalaccount", "aws:principalorgid", "aws:principalorgpaths", "aws:username",
)  # fmt: skip


def principals_of(subject: Subject, *kinds: str) -> Iterator[PrincipalNode]:
    for statement in subject.statements:
        for one in statement.principals + statement.not_principals:
            if not kinds or one.type in kinds:
                yield one


def invalid_kinds(subject: Subject) -> Iterator[Issue]:
    for statement in subject.statements:
        for name in ("Principal", "NotPrincipal"):
            node = statement.find(name)
            for member in node.members if node is not None else ():
                if member.key.text not in _KINDS:
                    near = next((one for one in _KINDS if one.lower() == member.key.text.lower()), "")
                    message = f"No type of principal is called {quoted(member.key.text)}."
                    yield Issue(member.key, message, near)


def invalid_formats(subject: Subject) -> Iterator[Issue]:
    for one in principals_of(subject):
        if one.type == "*" and one.node.text != "*":
            yield Issue(one.node, 'A principal without its type is "*", for everyone.')
        elif one.type == "AWS" and not _is_aws(one.node.text):
            message = f"{quoted(one.node.text)} is no account, and no ARN of a user, a role or a session."
            yield Issue(one.node, message)
        elif one.type == "CanonicalUser" and _CANONICAL.fullmatch(one.node.text) is None:
            yield Issue(one.node, "A canonical user id has 64 hexadecimal digits.")


def _is_aws(name: str) -> bool:
    if name == "*" or "*" in name or "?" in name or is_account_id(name):
        return True  # wildcards are another finding
    return any(form.fullmatch(name) for form in (_ARN, _CLOUDFRONT, _UNIQUE_ID))


def wildcards(subject: Subject) -> Iterator[Issue]:
    for one in principals_of(subject, "AWS", "Service", "Federated"):
        if one.node.text != "*" and ("*" in one.node.text or "?" in one.node.text):
            message = "A principal has no wildcards. Name it, or write a condition on aws:PrincipalArn."
            yield Issue(one.node, message)


def wildcards_in_trust(subject: Subject) -> Iterator[Issue]:
    """A trust policy takes everyone as {"AWS": "*"} only."""
    yield from wildcards(subject)
    for one in principals_of(subject, "*"):
        if one.node.text == "*":
            message = "A trust policy does not take * without a type of principals. Name the principals."
            yield Issue(one.node, message)


def service_formats(subject: Subject) -> Iterator[Issue]:
    for one in principals_of(subject, "Service"):
        name = one.node.text
        if "*" in name or name in subject.own_services:
            continue
        if _SERVICE.fullmatch(name) is None:
            yield Issue(one.node, f"{quoted(name)} is no service principal: SERVICE.amazonaws.com.")
            continue
        fault = service_fault(name)
        known = re.search(r"did you mean (\S+)\?", fault)
        if known is not None:
            yield Issue(one.node, f"No service is called {name}.", known[1])


def allows_with_not_principal(subject: Subject) -> Iterator[Issue]:
    for statement in subject.statements:
        node = statement.find("NotPrincipal")
        if node is not None and statement.is_allow:
            yield Issue(node, "This allows everybody but those named, those without credentials among them.")


def user_ids(subject: Subject) -> Iterator[Issue]:
    yield from _unique_ids(subject, "AIDA", "user")


def role_ids(subject: Subject) -> Iterator[Issue]:
    yield from _unique_ids(subject, "AROA", "role")


def _unique_ids(subject: Subject, prefix: str, kind: str) -> Iterator[Issue]:
    """What AWS shows of a principal that was deleted, and stores for one that was not."""
    for one in principals_of(subject, "AWS"):
        if one.node.text.startswith(prefix) and _UNIQUE_ID.fullmatch(one.node.text):
            message = f"This is the unique id of a {kind}, which may be deleted: write the ARN of the {kind}."
            yield Issue(one.node, message)


def federated(subject: Subject) -> Iterator[Issue]:
    """Only trust policies take them, whose actions are of sts."""
    for statement in subject.statements:
        if all(node.text.lower().startswith("sts:") for node in statement.actions):
            continue
        for one in statement.principals + statement.not_principals:
            if one.type == "Federated":
                yield Issue(one.node, "Only trust policies of roles have Federated principals.")


def keys_without_value(subject: Subject) -> Iterator[Issue]:
    """Keys of principals with an identity of their own; a service has none, so that the condition is never met."""
    for statement in subject.statements:
        if not statement.principals or any(one.type != "Service" for one in statement.principals):
            continue
        for condition in statement.conditions if statement.is_allow else ():
            key = condition.key.text.lower()
            if key in _OF_IDENTITIES or key.startswith("aws:principaltag/"):
                message = f"Requests of a service have no {condition.key.text}."
                yield Issue(condition.key, message, "aws:SourceArn, aws:SourceAccount or aws:SourceOrgID")


def unrestricted_services(subject: Subject) -> Iterator[Issue]:
    """A confused deputy: a service that acts for anybody."""
    for statement in subject.statements:
        if not statement.is_allow or statement.has_key(*FOR_WHOM):
            continue
        for one in statement.principals:
            if one.type == "Service":
                message = f"{one.node.text} may act here for any account: say for whose resources."
                yield Issue(one.node, message, "a condition on aws:SourceArn or aws:SourceAccount")
