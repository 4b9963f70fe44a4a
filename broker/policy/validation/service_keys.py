"""Checks of condition keys of single services that are easily written so that they protect nothing."""

import re
from collections.abc import Iterator

from broker.policy.elements import quoted
from broker.policy.validation.findings import Issue
from broker.policy.validation.nodes import JsonNode
from broker.policy.validation.operators import OPERATORS
from broker.policy.validation.reference import find_key_type, keys_of, matching_actions, may_match_both
from broker.policy.validation.subject import StatementNode, Subject

_ATTRIBUTES, _SELECT, _SPECIFIC = "dynamodb:attributes", "dynamodb:select", "SPECIFIC_ATTRIBUTES"
_PREFIX = "s3:prefix"
_KMS_KEY = re.compile(r"arn:[a-z0-9-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+")


def attributes_without_select(subject: Subject) -> Iterator[Issue]:
    """A read that names no attributes returns them all, and has no value of dynamodb:Attributes."""
    mend = '"StringEqualsIfExists": {"dynamodb:Select": "SPECIFIC_ATTRIBUTES"}'
    for statement in subject.statements:
        is_open = statement.is_allow and statement.has_key(_ATTRIBUTES) and not _selects(statement)
        if not is_open or not _reads(statement):
            continue
        for condition in statement.conditions:
            if condition.key.text.lower() == _ATTRIBUTES and condition.name != "null":
                message = "A read that names no attributes returns them all: require that it names some."
                yield Issue(condition.key, message, mend)


def _selects(statement: StatementNode) -> bool:
    return any(
        one.key.text.lower() == _SELECT
        and one.name in ("stringequals", "stringlike", "stringequalsignorecase")
        and [node.text for node in one.values] == [_SPECIFIC]
        for one in statement.conditions
    )


def _reads(statement: StatementNode) -> bool:
    """Whether an action of the statement has dynamodb:Select; NotAction and `*` are taken to have one."""
    if statement.not_actions or any(node.text.strip("*") == "" for node in statement.actions):
        return True
    return any(
        name.lower() == _SELECT
        for node in statement.actions
        for service, action in matching_actions(node.text)
        for name in keys_of(service, action)
    )


def prefixes_denied(subject: Subject) -> Iterator[Issue]:
    """Who asks for a shorter prefix, or none, sees what is below the longer ones, too."""
    for statement in subject.statements:
        for condition in statement.conditions:
            known = OPERATORS.get(condition.name)
            is_negated = "not" in condition.name
            if condition.key.text.lower() != _PREFIX or known is None or known.family != "String":
                continue
            if statement.effect == ("Allow" if is_negated else "Deny"):
                message = (
                    "A request with a shorter prefix lists the same objects and does not match: say which prefixes "
                    "may be listed."
                )
                yield Issue(condition.operator, message, "StringLike" if is_negated else "StringNotLike")


def kms_key_values(subject: Subject) -> Iterator[Issue]:
    for statement in subject.statements:
        for condition in statement.conditions:
            known = OPERATORS.get(condition.name)
            if known is None or known.family not in ("String", "Arn"):
                continue
            for node in condition.values if _holds_kms_key(condition.key.text) else ():
                if not _is_kms_key(node, is_like=known.is_like):
                    message = f"{quoted(node.text)} is not the ARN of a key of KMS."
                    yield Issue(node, message, "arn:aws:kms:REGION:ACCOUNT:key/KEY-ID")


def _holds_kms_key(key: str) -> bool:
    """By the reference: a key of the type ARN whose name says what it holds."""
    kind = (find_key_type(key) or "").removeprefix("ArrayOf")
    lowered = key.partition(":")[2].lower()
    return kind == "ARN" and "kms" in lowered and "key" in lowered


def _is_kms_key(node: JsonNode, *, is_like: bool) -> bool:
    """True, too, for what is no string, which is another finding, and for a variable."""
    if node.kind != "string" or "${" in node.text:
        return True
    if is_like and ("*" in node.text or "?" in node.text):
        return _may_be_kms_key(node.text.split(":", 5))
    return _KMS_KEY.fullmatch(node.text) is not None


def _may_be_kms_key(fields: list[str]) -> bool:
    """A last `*` matches the fields that are not written."""
    wanted = ("arn", "*", "kms", "*", "*", "key/*")
    is_whole = len(fields) == len(wanted) or fields[-1].endswith("*")
    return is_whole and all(map(may_match_both, fields, wanted))
