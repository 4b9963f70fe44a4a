"""Checks of Resource and NotResource: the ARN, field by field, and what the reference knows of the service's ARNs."""

import re
from collections.abc import Iterator
from functools import lru_cache

import msgspec

from broker.names.arn import PARTITION
from broker.policy.elements import quoted
from broker.policy.patterns import compile_glob, parse_glob
from broker.policy.validation.actions import arns_of
from broker.policy.validation.findings import Issue
from broker.policy.validation.nodes import JsonNode
from broker.policy.validation.reference import (
    known_arn_services,
    known_services,
    may_match_both,
    nearest_service,
)
from broker.policy.validation.subject import Subject

_PARTITIONS = (
    PARTITION,
    "aws",
    "aws-cn",
    "aws-us-gov",
    "aws-iso",
    "aws-iso-b",
    "aws-iso-e",
    "aws-iso-f",
    "aws-eusc",
)
_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-[0-9]{1,2}|global|")
_ACCOUNT = re.compile(r"[0-9]{12}|[a-z][a-z-]*|")
_FIELDS = 6
# Services some of whose resources are AWS's, and have no account: documents and parameters, views.
_OF_AWS = frozenset({"ssm", "resource-explorer-2"})
_WITHOUT_TYPE = frozenset({("iam", "root")})  # a resource that the reference does not have


class ResourceArn(msgspec.Struct, frozen=True):
    """A resource in its fields; `pattern` is the whole with `*` for each variable."""

    node: JsonNode
    pattern: str
    fields: tuple[str, ...]

    @property
    def is_whole(self) -> bool:
        return len(self.fields) == _FIELDS and self.fields[0] == "arn"

    @property
    def service(self) -> str:
        return self.fields[2]


_VARIABLE = re.compile(r"\$\{[^{}]*\}")


def _arns(subject: Subject) -> Iterator[ResourceArn]:
    for statement in subject.statements:
        for node in statement.resources + statement.not_resources:
            pattern = _VARIABLE.sub("*", node.text)
            if pattern.strip("*"):
                yield ResourceArn(node, pattern, tuple(pattern.split(":", _FIELDS - 1)))


def _whole(subject: Subject) -> Iterator[ResourceArn]:
    return (arn for arn in _arns(subject) if arn.is_whole)


def _is_open(field: str) -> bool:
    return "*" in field or "?" in field


def invalid_prefixes(subject: Subject) -> Iterator[Issue]:
    for arn in _arns(subject):
        if not compile_glob(parse_glob(arn.fields[0]))("arn"):
            yield Issue(
                arn.node, f'{quoted(arn.node.text)} is neither an ARN, which begins with arn:, nor "*".'
            )


def missing_fields(subject: Subject) -> Iterator[Issue]:
    """A last `*` matches what follows."""
    for arn in _arns(subject):
        if arn.fields[0] == "arn" and len(arn.fields) < _FIELDS and not arn.pattern.endswith("*"):
            message = "An ARN has six fields: arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE."
            yield Issue(arn.node, message)


def invalid_partitions(subject: Subject) -> Iterator[Issue]:
    for arn in _whole(subject):
        if arn.fields[1] not in _PARTITIONS and not _is_open(arn.fields[1]):
            yield Issue(arn.node, f"No partition is called {quoted(arn.fields[1])}.", PARTITION)


def invalid_services(subject: Subject) -> Iterator[Issue]:
    for arn in _whole(subject):
        service = arn.service
        if _is_open(service) or service != service.lower() or service in known_services():
            continue
        if service not in known_arn_services():
            near = nearest_service(service)
            if near or subject.as_aws:
                yield Issue(arn.node, f"No service is called {quoted(service)}.", near)


def services_in_capitals(subject: Subject) -> Iterator[Issue]:
    for arn in _whole(subject):
        if arn.service != arn.service.lower():
            message = "The service in an ARN is written in small letters; others match nothing."
            yield Issue(arn.node, message, arn.service.lower())


def invalid_regions(subject: Subject) -> Iterator[Issue]:
    for arn in _whole(subject):
        if not _is_open(arn.fields[3]) and _REGION.fullmatch(arn.fields[3]) is None:
            yield Issue(arn.node, f"{quoted(arn.fields[3])} is no Region.")


def invalid_accounts(subject: Subject) -> Iterator[Issue]:
    for arn in _whole(subject):
        if not _is_open(arn.fields[4]) and _ACCOUNT.fullmatch(arn.fields[4]) is None:
            yield Issue(arn.node, f"{quoted(arn.fields[4])} is no account id, which has twelve digits.")


@lru_cache(maxsize=64)
def _arns_of(service: str) -> tuple[tuple[str, ...], ...]:
    """The fields of the ARNs of a service's resource types; some types are of several services (`*`)."""
    known = (tuple(one.split(":", _FIELDS - 1)) for one in arns_of(service).values())
    return tuple(fields for fields in known if len(fields) == _FIELDS and fields[2] in (service, "*"))


@lru_cache(maxsize=1024)
def _types(service: str, resource: str) -> tuple[tuple[str, ...], ...]:
    """The fields of the types that a resource may be of, by its last field."""
    return tuple(fields for fields in _arns_of(service) if may_match_both(resource, fields[5]))


def _types_of(arn: ResourceArn) -> tuple[tuple[str, ...], ...]:
    return _types(arn.service, arn.fields[5])


def invalid_resources(subject: Subject) -> Iterator[Issue]:
    for arn in _whole(subject):
        known = _arns_of(arn.service)
        if known and not _types_of(arn) and (arn.service, arn.fields[5]) not in _WITHOUT_TYPE:
            yield Issue(
                arn.node, f"No resource of {arn.service} has an ARN that ends so.", ":".join(known[0])
            )


def regions_not_allowed(subject: Subject) -> Iterator[Issue]:
    for arn in _whole(subject):
        types = _types_of(arn)
        if types and arn.fields[3].strip("*") and all(not fields[3] for fields in types):
            yield Issue(arn.node, f"Resources of {arn.service} have no Region in their ARNs.")


def accounts_not_allowed(subject: Subject) -> Iterator[Issue]:
    for arn in _whole(subject):
        types = _types_of(arn)
        if types and arn.fields[4].strip("*") and all(not fields[4] for fields in types):
            yield Issue(arn.node, f"Resources of {arn.service} have no account id in their ARNs.")


def missing_regions(subject: Subject) -> Iterator[Issue]:
    for arn in _whole(subject):
        types = _types_of(arn)
        if types and not arn.fields[3] and all(fields[3] for fields in types):
            yield Issue(arn.node, f"Resources of {arn.service} have a Region in their ARNs: write it, or *.")


def missing_accounts(subject: Subject) -> Iterator[Issue]:
    for arn in _whole(subject):
        types = _types_of(arn) if arn.service not in _OF_AWS else ()
        if types and not arn.fields[4] and all(fields[4] for fields in types):
            message = f"Resources of {arn.service} have an account id in their ARNs: write it, or *."
            yield Issue(arn.node, message)
