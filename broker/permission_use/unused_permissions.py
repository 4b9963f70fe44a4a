"""Permissions that users and roles have and do not use, by the marks of service last accessed details.

Only services count of which the broker sees the use: those that it serves itself, and those that somebody of the
account was seen to use (S3, by the gateway). Only users and roles count that were made before the analyzer's days and
were used within them: of others the user's credentials or the role are unused, which is another finding.

Identity policies alone count, by which AWS makes the same details ("It only applies permissions policy logic":
GenerateServiceLastAccessedDetails). A permissions boundary or a policy of the organization grants nothing, so it takes
no finding away either: what an identity policy allows beyond it may be done as soon as that limit changes.
"""

from collections.abc import Iterable, Iterator
from functools import cache

import msgspec

from broker.access.aws_managed import find_aws_managed
from broker.operation import OPERATIONS
from broker.permission_use.used_actions import BESIDES, TRACKED_OF_S3, judged_actions
from broker.policy import granted_actions, needs_permission
from broker.storage.analyzer_records import UnusedService, UnusedServiceAction
from broker.storage.last_accessed import ALL_OPERATIONS
from broker.storage.records import Group, ManagedPolicy, Role, Usage, User
from broker.storage.store import GROUPS, POLICIES, USAGE, Transaction

# Not of AWS, or by another name in policies: nothing is known about the actions.
_NOT_IN_REFERENCE = ("broker",)


class EntityPermissions(msgspec.Struct, frozen=True):
    """Of an account: the documents of managed policies by ARN, groups by name in lower case, marks by entity's id."""

    documents: dict[str, str]
    groups: dict[str, Group]
    marks: dict[str, tuple[Usage, ...]]


async def gather_permissions(
    store: Transaction, account: str, entities: Iterable[User | Role]
) -> EntityPermissions:
    groups = {one.group_name.lower(): one for one in await store.scan(GROUPS, account)}
    own = {one.arn: one for one in await store.scan(POLICIES, account)}
    attached = {arn for one in (*entities, *groups.values()) for arn in one.attached_policies}
    documents = {arn: text for arn in attached if (text := _document(own.get(arn), arn)) is not None}
    marks = {}
    for entity in entities:
        key = entity.user_id if isinstance(entity, User) else entity.role_id
        marks[key] = tuple(await store.scan(USAGE, account, f"{ALL_OPERATIONS}{key}/"))
    return EntityPermissions(documents, groups, marks)


def _document(own: ManagedPolicy | None, arn: str) -> str | None:
    if own is not None:
        return own.document
    of_aws = find_aws_managed(arn)
    return None if of_aws is None else of_aws.document


@cache
def _served() -> frozenset[str]:
    """The prefixes of the actions of the broker's own services."""
    prefixes = {one.action.partition(":")[0] for one in OPERATIONS.values()}
    return frozenset(prefixes.difference(_NOT_IN_REFERENCE))


@cache
def _tracked() -> frozenset[str]:
    """Actions whose every use leaves a mark: not those that are judged within requests for others."""
    own = {one.action for one in OPERATIONS.values()}
    return frozenset(one for one in own - BESIDES if needs_permission(one)) | TRACKED_OF_S3


def seen_services(permissions: EntityPermissions) -> tuple[str, ...]:
    """Those of which the use is seen."""
    used = {_namespace(mark) for marks in permissions.marks.values() for mark in marks}
    return tuple(sorted(_served() | used.intersection(one.partition(":")[0] for one in TRACKED_OF_S3)))


def unused_services(
    entity: User | Role, permissions: EntityPermissions, services: tuple[str, ...], since: float
) -> tuple[UnusedService, ...]:
    """By service, what the policies of the entity allow and was not asked for since; () where it was not used at all.

    Of a service that was not used, no actions are named, as on AWS.
    """
    key = entity.user_id if isinstance(entity, User) else entity.role_id
    marks = permissions.marks.get(key, ())
    if not any(mark.last_used_at >= since for mark in marks):
        return ()
    last = _last_uses(marks)
    granted: dict[str, list[str]] = {}
    for action in sorted(_granted(entity, permissions, services)):
        granted.setdefault(action.partition(":")[0], []).append(action)
    found = (_unused_service(service, actions, last, since) for service, actions in granted.items())
    return tuple(one for one in found if one is not None)


def _granted(
    entity: User | Role, permissions: EntityPermissions, services: tuple[str, ...]
) -> frozenset[str]:
    """Those of which a use would be seen."""
    sets = [granted_actions(text, services) for text in _documents_of(entity, permissions)]
    allowed = frozenset(one for part in sets for one in part.allowed)
    denied = frozenset(one for part in sets for one in part.denied)
    return (allowed - denied) & _tracked()


def _documents_of(entity: User | Role, permissions: EntityPermissions) -> Iterator[str]:
    names = entity.groups if isinstance(entity, User) else ()
    groups = [permissions.groups[name.lower()] for name in names if name.lower() in permissions.groups]
    for one in (entity, *groups):
        yield from one.inline_policies.values()
        yield from (
            permissions.documents[arn] for arn in one.attached_policies if arn in permissions.documents
        )


def _namespace(mark: Usage) -> str:
    actions = judged_actions(mark.service, mark.action)
    return actions[0].partition(":")[0] if actions else mark.service


def _last_uses(marks: Iterable[Usage]) -> dict[str, int]:
    """When each action was asked for last."""
    last: dict[str, int] = {}
    for mark in marks:
        for action in judged_actions(mark.service, mark.action):
            last[action] = max(last.get(action, 0), mark.last_used_at)
    return last


def _unused_service(
    service: str, actions: list[str], last: dict[str, int], since: float
) -> UnusedService | None:
    uses = [at for action, at in last.items() if action.partition(":")[0] == service]
    last_accessed = max(uses, default=None)
    if last_accessed is None or last_accessed < since:
        return UnusedService(service=service, last_accessed=last_accessed)
    unused = tuple(
        UnusedServiceAction(action=one.partition(":")[2], last_accessed=last.get(one))
        for one in actions
        if last.get(one, 0) < since
    )
    return UnusedService(service=service, last_accessed=last_accessed, actions=unused) if unused else None
