"""What an analyzer looks at, and what it finds: gathered from the records, then decided by plain functions."""

import asyncio
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any

import msgspec
from msgspec.structs import replace

from broker.access.organization import find_organization
from broker.audit.event import uuid_text
from broker.names.arn import parse_arn
from broker.operation import Call
from broker.permission_use.account_use import (
    PATHS_OF_SERVICES,
    AccountUse,
    gather_use,
    is_unused,
    unused_permissions,
)
from broker.policy import ExternalGrant, PolicyKind, Zone, granted_outside
from broker.storage.analyzer_records import Analyzer, AnalyzerFinding
from broker.storage.records import Role, User
from broker.storage.resource_records import ForeignResource
from broker.storage.store import (
    FOREIGN_RESOURCES,
    ROLES,
    Transaction,
)

EXTERNAL, UNUSED_ROLE = "ExternalAccess", "UnusedIAMRole"
UNUSED_PERMISSION = "UnusedPermission"
UNUSED_KEY, UNUSED_PASSWORD = "UnusedIAMUserAccessKey", "UnusedIAMUserPassword"
ROLE, USER = "AWS::IAM::Role", "AWS::IAM::User"
OF_UNUSED_ACCESS = frozenset({"ACCOUNT_UNUSED_ACCESS", "ORGANIZATION_UNUSED_ACCESS"})
OF_ORGANIZATION = frozenset({"ORGANIZATION", "ORGANIZATION_UNUSED_ACCESS"})
_DAY = 86_400
# The resources of other services that AWS analyzes, by the beginning of what follows the account in their ARNs.
_TYPES = (
    ("s3", "", "AWS::S3::Bucket"),
    ("s3express", "bucket/", "AWS::S3Express::DirectoryBucket"),
    ("sqs", "", "AWS::SQS::Queue"),
    ("sns", "", "AWS::SNS::Topic"),
    ("lambda", "function:", "AWS::Lambda::Function"),
    ("lambda", "layer:", "AWS::Lambda::LayerVersion"),
    ("kms", "key/", "AWS::KMS::Key"),
    ("secretsmanager", "secret:", "AWS::SecretsManager::Secret"),
    ("elasticfilesystem", "file-system/", "AWS::EFS::FileSystem"),
    ("ecr", "repository/", "AWS::ECR::Repository"),
    ("dynamodb", "table/", "AWS::DynamoDB::Table"),
)


class AnalyzedPolicy(msgspec.Struct, frozen=True):
    """A resource with its policy; times in epoch seconds. `text` is "" where it has none."""

    arn: str
    type: str
    owner: str
    text: str
    created_at: int
    updated_at: int


async def zone_of(call: Call, analyzer: Analyzer) -> Zone:
    """The account alone, or the organization as it is now: without one, the account."""
    organization = await find_organization(call.store)
    if analyzer.type not in OF_ORGANIZATION or organization is None:
        return Zone(frozenset({analyzer.account_id}))
    return Zone(frozenset(organization.accounts), organization.organization_id)


async def analyzed_policies(store: Transaction, zone: Zone) -> list[AnalyzedPolicy]:
    """Roles, and resources of other services, of all accounts of the zone, in order of their ARNs."""
    found: list[AnalyzedPolicy] = []
    for account in sorted(zone.accounts):
        found += map(_of_role, await store.scan(ROLES, account))
        found += filter(None, map(_of_resource, await store.scan(FOREIGN_RESOURCES, account)))
        await asyncio.sleep(0)
    return sorted(found, key=lambda one: one.arn)


def _of_role(role: Role) -> AnalyzedPolicy:
    made = role.created_at
    return AnalyzedPolicy(role.arn, ROLE, role.account_id, role.assume_role_policy, made, made)


def _of_resource(resource: ForeignResource) -> AnalyzedPolicy | None:
    kind = type_of(resource.arn)
    if kind is None:
        return None
    return AnalyzedPolicy(
        resource.arn,
        kind,
        resource.account_id,
        resource.policy or "",
        resource.created_at,
        resource.updated_at,
    )


def type_of(arn: str) -> str | None:
    """Access Analyzer's name of the type of resource; None for what it does not analyze."""
    try:
        parts = parse_arn(arn)
    except ValueError:
        return None
    return next(
        (
            kind
            for service, start, kind in _TYPES
            if parts.service == service and parts.resource.startswith(start)
        ),
        None,
    )


def grants_of(one: AnalyzedPolicy, zone: Zone) -> list[ExternalGrant]:
    """What the policy grants outside."""
    kind = PolicyKind.TRUST if one.type == ROLE else PolicyKind.RESOURCE
    return granted_outside(one.text, kind, zone) if one.text else []


def external_findings(
    analyzer: Analyzer, policies: Iterable[AnalyzedPolicy], zone: Zone
) -> Iterator[AnalyzerFinding]:
    for policy in policies:
        for grant in grants_of(policy, zone):
            parts = (policy.arn, grant.principal_type, grant.principal, grant.conditions)
            yield _finding(
                analyzer,
                parts,
                type=EXTERNAL,
                resource=policy.arn,
                resource_type=policy.type,
                owner=policy.owner,
                principal={grant.principal_type: grant.principal},
                actions=grant.actions,
                conditions=dict(grant.conditions),
                is_public=grant.is_public,
            )


def unused_findings(analyzer: Analyzer, use: AccountUse, now: float) -> Iterator[AnalyzerFinding]:
    """Roles, active access keys and passwords that were not used, and not made, within the analyzer's days."""
    since = now - analyzer.unused_days * _DAY

    def found(kind: str, record: Role | User, key: str, **more: Any) -> AnalyzerFinding:
        mark = use.usage.get(key)
        return _finding(
            analyzer,
            (record.arn, kind, key),
            type=kind,
            resource=record.arn,
            resource_type=ROLE if isinstance(record, Role) else USER,
            owner=record.account_id,
            last_accessed=None if mark is None else mark.last_used_at,
            **more,
        )

    for role in use.roles:
        of_service = role.path.startswith(PATHS_OF_SERVICES)
        if not of_service and is_unused(use, role.role_id, role.created_at, since):
            yield found(UNUSED_ROLE, role, role.role_id)
    by_name = {one.user_name.lower(): one for one in use.users}
    for key in use.keys:
        user = by_name.get((key.user_name or "").lower())
        was_unused = key.status == "Active" and is_unused(use, key.access_key_id, key.created_at, since)
        if user is not None and was_unused:
            yield found(UNUSED_KEY, user, key.access_key_id, access_key_id=key.access_key_id)
    for name, made_at in use.passwords.items():
        user = by_name.get(name)
        if user is not None and is_unused(use, user.user_id, made_at, since):
            yield found(UNUSED_PASSWORD, user, user.user_id)
    for one in unused_permissions(use, since):
        yield found(UNUSED_PERMISSION, one.entity, _id_of(one.entity), permissions=one.services)


def _id_of(entity: User | Role) -> str:
    return entity.user_id if isinstance(entity, User) else entity.role_id


def without_excluded(analyzer: Analyzer, use: AccountUse) -> AccountUse:
    """Without users and roles that the analyzer's rule excludes by their tags."""

    def is_excluded(one: User | Role) -> bool:
        return any(
            one.account_id in (rule.accounts or (one.account_id,))
            and any(tags.items() <= one.tags.items() for tags in rule.tags)
            for rule in analyzer.excluded_entities
        )

    return replace(
        use,
        roles=tuple(one for one in use.roles if not is_excluded(one)),
        users=tuple(one for one in use.users if not is_excluded(one)),
    )


def _finding(analyzer: Analyzer, parts: tuple[Any, ...], **content: Any) -> AnalyzerFinding:
    """Its id is made of what it is about: the same finding has the same id at each look."""
    made_of = msgspec.json.encode((analyzer.arn, analyzer.created_at, *parts))
    return AnalyzerFinding(
        region=analyzer.region,
        analyzer_name=analyzer.name,
        finding_id=uuid_text(blake2b(made_of, digest_size=16).digest()),
        **content,
    )


async def look(call: Call, analyzer: Analyzer) -> dict[str, AnalyzerFinding]:
    """What the analyzer finds now, by id. Decided in a thread: thousands of policies take seconds to read."""
    zone = await zone_of(call, analyzer)
    if analyzer.type not in OF_UNUSED_ACCESS:
        policies = await analyzed_policies(call.store, zone)
        found = await asyncio.to_thread(lambda: list(external_findings(analyzer, policies, zone)))
    else:
        accounts = sorted(zone.accounts - set(analyzer.excluded_accounts))
        since = call.now - analyzer.unused_days * _DAY
        uses = [await gather_use(call.store, account, since) for account in accounts]
        found = await asyncio.to_thread(_all_unused, analyzer, uses, call.now)
    return {one.finding_id: one for one in found}


def _all_unused(analyzer: Analyzer, uses: Iterable[AccountUse], now: float) -> list[AnalyzerFinding]:
    return [one for use in uses for one in unused_findings(analyzer, without_excluded(analyzer, use), now)]
