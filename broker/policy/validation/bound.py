"""Checks of a policy of a known type of resource: only its service's actions, and only ARNs of that resource."""

import re
from collections.abc import Iterator

import msgspec

from broker.policy.validation.findings import Issue
from broker.policy.validation.subject import Subject


class ResourceKind(msgspec.Struct, frozen=True):
    """A row: the services of actions, and the resources."""

    services: frozenset[str]
    resource: re.Pattern[str]


# Access Analyzer API reference, ValidatePolicy, validatePolicyResourceType.
KINDS = {
    "AWS::S3::Bucket": ResourceKind(frozenset({"s3"}), re.compile(r"arn:[^:]+:s3:::.*")),
    "AWS::S3::AccessPoint": ResourceKind(
        frozenset({"s3"}), re.compile(r"arn:[^:]+:s3:[^:]*:[^:]*:accesspoint/.*")
    ),
    "AWS::S3::MultiRegionAccessPoint": ResourceKind(
        frozenset({"s3"}), re.compile(r"arn:[^:]+:s3::[^:]*:accesspoint/.*")
    ),
    "AWS::S3ObjectLambda::AccessPoint": ResourceKind(
        frozenset({"s3-object-lambda"}), re.compile(r"arn:[^:]+:s3-object-lambda:[^:]*:[^:]*:accesspoint/.*")
    ),
    "AWS::DynamoDB::Table": ResourceKind(
        frozenset({"dynamodb"}), re.compile(r"arn:[^:]+:dynamodb:[^:]*:[^:]*:table/.*")
    ),
}


def actions_of_others(subject: Subject) -> Iterator[Issue]:
    kind = KINDS.get(subject.resource_type)
    for statement in subject.statements if kind is not None else ():
        for node in statement.actions + statement.not_actions:
            service = node.text.partition(":")[0].lower()
            if kind is not None and node.text != "*" and service not in kind.services:
                yield Issue(node, f"A policy of {subject.resource_type} has no actions of {service}.")


def resources_of_others(subject: Subject) -> Iterator[Issue]:
    kind = KINDS.get(subject.resource_type)
    for statement in subject.statements if kind is not None else ():
        for node in statement.resources + statement.not_resources:
            if kind is not None and node.text != "*" and kind.resource.fullmatch(node.text) is None:
                yield Issue(
                    node, f"This is the ARN of no {subject.resource_type}, to which the policy is attached."
                )
