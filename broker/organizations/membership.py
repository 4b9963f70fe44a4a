"""Who may call what: `prepare` of the operations of Organizations.

"Organizations: actions": most operations are for the management account; a delegated administrator, of whatever
service, may read; and a resource policy of the organization may let members do what AWS lets be delegated, where their
own policies allow it as well. A few operations are for every member, on its own account.
"""

import enum
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from broker.access.organization import find_organization, is_member
from broker.access.resource import Resource
from broker.errors import Refusal
from broker.names.organizations import organization_arn
from broker.operation import Absent, Call, ConditionKeys, Prepared
from broker.organizations.refusals import no_permission, not_in_use
from broker.policy import PolicyKind, PolicySet, Source, SourceKind
from broker.storage.organization_records import Organization

# What a resource policy may delegate beside reading ("Delegated administrator for Organizations", supported actions).
DELEGABLE = frozenset(
    {
        "AttachPolicy",
        "CreatePolicy",
        "DeletePolicy",
        "DetachPolicy",
        "DisablePolicyType",
        "EnablePolicyType",
        "TagResource",
        "UntagResource",
        "UpdatePolicy",
    }
)
READING = ("Describe", "List")
IAM = "iam.amazonaws.com"


class Audience(enum.Enum):
    """For whom an operation is."""

    ADMINISTRATORS = enum.auto()  # the management account, and those whom it has delegated to
    MEMBERS = enum.auto()


class Target(msgspec.Struct, frozen=True):
    """What an operation acts on, and how the gate sees it; `refusal` where it does not exist."""

    found: Any = None
    arn: str = "*"
    tags: Mapping[str, str] = {}
    keys: ConditionKeys = {}
    refusal: Refusal | None = None


class Inside(msgspec.Struct, frozen=True):
    """What `prepare` found: the organization, what is acted on, and how a further resource of it is judged."""

    organization: Organization
    found: Any
    resource_of: Callable[[str, Mapping[str, str], ConditionKeys], Resource]


Find = Callable[[Organization, Any], Target]
Prepare = Callable[[Call, Any], Awaitable[Prepared[Inside] | Absent]]


def the_organization(organization: Organization, request: Any) -> Target:
    """For actions without resources: policies name `*`."""
    return Target()


def organization_of(organization: Organization) -> str:
    return organization_arn(organization.management_account_id, organization.organization_id)


def inside(name: str, find: Find = the_organization, audience: Audience = Audience.ADMINISTRATORS) -> Prepare:
    """The `prepare` of operation `name`, which acts on what `find` finds in the organization."""

    async def prepare(call: Call, request: Any) -> Prepared[Inside] | Absent:
        organization = await find_organization(call.store)
        if organization is None or not is_member(organization, call.account):
            return Absent(Resource(), not_in_use())
        target = find(organization, request)
        judged = _judged_by(call, organization, name, audience)
        if judged is None:
            return Absent(Resource(target.arn, tags=target.tags, keys=target.keys), no_permission())
        resource = judged(target.arn, target.tags, target.keys)
        if target.refusal is not None:
            return Absent(resource, target.refusal)
        return Prepared(resource, Inside(organization, target.found, judged))

    return prepare


def _judged_by(
    call: Call, organization: Organization, name: str, audience: Audience
) -> Callable[[str, Mapping[str, str], ConditionKeys], Resource] | None:
    """How a resource is judged for the caller's account; None where the operation is not for it at all."""

    def as_own(arn: str, tags: Mapping[str, str], keys: ConditionKeys) -> Resource:
        return Resource(arn, tags=tags, keys=keys)

    is_reading = name.startswith(READING)
    if audience is Audience.MEMBERS or call.account == organization.management_account_id:
        return as_own
    if is_reading and call.account in delegations(organization):
        return as_own
    if organization.resource_policy is None or not (is_reading or name in DELEGABLE):
        return None
    policy = _compiled(call, organization, organization.resource_policy)

    def as_delegated(arn: str, tags: Mapping[str, str], keys: ConditionKeys) -> Resource:
        return Resource(arn, organization.management_account_id, tags, keys, policy)

    return as_delegated


def _compiled(call: Call, organization: Organization, text: str) -> PolicySet:
    source = Source(SourceKind.RESOURCE, "resource policy", organization_of(organization))
    return call.gate.library.compiled(source, text, PolicyKind.RESOURCE)


def delegations(organization: Organization) -> dict[str, dict[str, int]]:
    """Delegated administrators: services and the moments of delegation, by account; IAM's is in a field of its own."""
    found = {account: dict(services) for account, services in organization.delegated_administrators.items()}
    of_iam = organization.delegated_iam_administrator_id
    if of_iam is not None:
        found.setdefault(of_iam, {}).setdefault(IAM, 0)
    return found
