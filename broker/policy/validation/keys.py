"""Checks of condition keys that are not for a policy: old ones, those of the caller's choice, those of few services."""

import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

from broker.policy.validation.findings import Issue, some
from broker.policy.validation.principals import FOR_WHOM
from broker.policy.validation.reference import known_services
from broker.policy.validation.subject import ConditionNode, StatementNode, Subject

_ARN_KEY = "aws:arn"
# Headers of the request, which the caller writes ("AWS global condition context keys", the warnings).
_OF_CALLERS_CHOICE = frozenset({"aws:referer", "aws:useragent"})
# What services sent for the account of the resource before there was aws:SourceAccount.
_OLD_SOURCES = frozenset({"aws:referer", "aws:sourceowner"})
_OWNER_KEY = "s3:resourceaccount"
_OF_S3 = frozenset(
    {"AWS::S3::Bucket", "AWS::S3::AccessPoint", "AWS::S3::MultiRegionAccessPoint",
     "AWS::S3ObjectLambda::AccessPoint"}
)  # fmt: skip
_SOURCES = "aws:SourceArn, aws:SourceAccount, aws:SourceOrgID or aws:SourceOrgPaths"


def _conditions(subject: Subject) -> Iterator[tuple[StatementNode, ConditionNode]]:
    for statement in subject.statements:
        for condition in statement.conditions:
            yield statement, condition


def deprecated(subject: Subject) -> Iterator[Issue]:
    for _, condition in _conditions(subject):
        if condition.key.text.lower() == _ARN_KEY:
            message = f"{condition.key.text} is an old name, which no request has."
            yield Issue(condition.key, message, "aws:PrincipalArn")


def of_callers_choice(subject: Subject) -> Iterator[Issue]:
    for _, condition in _conditions(subject):
        if condition.key.text.lower() in _OF_CALLERS_CHOICE:
            message = f"{condition.key.text} is what the caller writes in a header: it proves nothing."
            yield Issue(condition.key, message)


def old_sources(subject: Subject) -> Iterator[Issue]:
    """A service that is told from others by what it sends for something else."""
    for statement, condition in _conditions(subject):
        services = [one.node.text for one in statement.principals if one.type == "Service"]
        is_old = condition.key.text.lower() in _OLD_SOURCES
        if services and is_old and statement.is_allow and not statement.has_key(*FOR_WHOM):
            message = f"{condition.key.text} does not say for whose resources {services[0]} acts."
            yield Issue(condition.key, message, _SOURCES)


def of_owner(subject: Subject) -> Iterator[Issue]:
    """A bucket has one owner, who also owns its policy."""
    for _, condition in _conditions(subject):
        if subject.resource_type in _OF_S3 and condition.key.text.lower() == _OWNER_KEY:
            message = f"{condition.key.text} is the same in each request for this {subject.resource_type}."
            yield Issue(condition.key, f"{message} It is for policies of identities.")


@cache
def _services_of_keys() -> dict[str, frozenset[str]]:
    """The services that send a key, where these are few ("AWS global condition context keys", Availability)."""
    text = files("broker.policy.validation").joinpath("key_services.json").read_text("utf-8")
    return {key: frozenset(services) for key, services in json.loads(text).items()}


def of_few_services(subject: Subject) -> Iterator[Issue]:
    for statement in subject.statements:
        for key, services in _services_of_keys().items():
            nodes = [one.key for one in statement.conditions if one.key.text.lower() == key]
            others = _others(statement, services, subject) if nodes else []
            for node in nodes if others else ():
                message = f"{node.text} is missing in requests to {some(others)}."
                yield Issue(node, f"{message} Write the actions of services that have it.")


def _others(statement: StatementNode, services: frozenset[str], subject: Subject) -> list[str]:
    """The services of the statement's actions that are not among `services`; an unknown one is the operator's."""
    if statement.not_actions:
        return ["services that NotAction leaves"]
    found = []
    for node in statement.actions:
        service = node.text.partition(":")[0].lower()
        is_open = "*" in service or "?" in service
        is_judged = subject.as_aws or is_open or service in known_services()
        is_passing = node.text.lower() == "iam:passrole"
        if is_judged and (service not in services or is_passing):
            found.append(node.text if is_passing else service)
    return list(dict.fromkeys(found))
