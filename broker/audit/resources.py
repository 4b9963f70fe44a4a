"""What a record is about: the names and ARNs of resources in its parameters and its answer, with their types.

CloudTrail's `LookupEvents` lists them for each event. The names of the types are CloudFormation's.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from broker.audit.event import Event
from broker.names.arn import parse_arn
from broker.protocol.redaction import HIDDEN

# Members whose value is the name of a resource. What ends in `arn` is an ARN, which says its type itself.
_NAMED = {
    "accessKeyId": "AWS::IAM::AccessKey",
    "accountAlias": "AWS::IAM::AccountAlias",
    "groupName": "AWS::IAM::Group",
    "instanceProfileName": "AWS::IAM::InstanceProfile",
    "policyName": "AWS::IAM::Policy",
    "roleName": "AWS::IAM::Role",
    "serialNumber": "AWS::IAM::MFADevice",
    "serverCertificateName": "AWS::IAM::ServerCertificate",
    "userName": "AWS::IAM::User",
}
_BY_ARN = {
    "assumed-role": "AWS::STS::AssumedRole",
    "federated-user": "AWS::STS::FederatedUser",
    "group": "AWS::IAM::Group",
    "instance-profile": "AWS::IAM::InstanceProfile",
    "mfa": "AWS::IAM::MFADevice",
    "oidc-provider": "AWS::IAM::OIDCProvider",
    "policy": "AWS::IAM::ManagedPolicy",
    "role": "AWS::IAM::Role",
    "saml-provider": "AWS::IAM::SAMLProvider",
    "server-certificate": "AWS::IAM::ServerCertificate",
    "trail": "AWS::CloudTrail::Trail",
    "user": "AWS::IAM::User",
}
_DEEPEST = 4
_MOST = 32  # of one record; more are in its parameters, and not searched for


class RecordedResource(msgspec.Struct, frozen=True):
    """`type` is "" where it is not known."""

    type: str
    name: str


def resources_of(event: Event) -> tuple[RecordedResource, ...]:
    """Those in the order of the record, each once."""
    found: dict[RecordedResource, None] = {}
    for part in (event.request_parameters, event.response_elements):
        for resource in _search(part, _DEEPEST):
            if len(found) == _MOST:
                break
            found[resource] = None
    return tuple(found)


def _search(value: Any, depth: int) -> Iterator[RecordedResource]:
    if depth == 0 or not value:
        return
    if isinstance(value, list):
        for one in value:
            yield from _search(one, depth - 1)
    elif isinstance(value, dict):
        for member, one in value.items():
            if not isinstance(one, str):
                yield from _search(one, depth - 1)
            elif one and one != HIDDEN and (found := _named(member, one)) is not None:
                yield found


def _named(member: str, text: str) -> RecordedResource | None:
    if member in _NAMED:
        return RecordedResource(_NAMED[member], text)
    if not member.endswith(("arn", "Arn", "ARN")):
        return None
    try:
        kind = parse_arn(text).resource.partition("/")[0]
    except ValueError:
        kind = ""
    return RecordedResource(_BY_ARN.get(kind, ""), text)
