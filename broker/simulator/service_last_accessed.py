"""Service last accessed details: which services an entity's policies allow, and when they were last asked for anything.

Fed by the requests of users and roles to this broker, refused ones included, as on AWS: each marks its operation as
used, and the marks are written a little later. A job is what was asked; its answer is of the moment at which it is
read. IAM User Guide, "Refine permissions in AWS using last accessed information".
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

import msgspec

from broker.access.gather import Gatherer, find_managed_policy
from broker.access.resource import Resource
from broker.errors import Refusal
from broker.names.arn import parse_arn
from broker.operation import Absent, Call, Prepared, no_resource, operation
from broker.paging import page
from broker.policy import Policy, PolicyKind, parse_policy, service_grants
from broker.protocol.shapes import iam as shapes
from broker.simulator.service_reference import service_name, service_namespaces
from broker.simulator.subjects import found_source, invalid_input
from broker.storage.last_accessed import LAST_ACCESSED_SECONDS, operation_prefix
from broker.storage.records import Role, Usage, User
from broker.storage.store import GROUPS, LAST_ACCESSED_JOBS, ROLES, USAGE, USERS
from broker.storage.task_records import ORGANIZATIONS_JOB, LastAccessedJob

# How long a job can be asked for: AWS does not say.
_KEPT_SECONDS = 7 * 86_400
ACTION_LEVEL, SERVICE_LEVEL = "ACTION_LEVEL", "SERVICE_LEVEL"
_source_of = found_source("arn")


class _Use(msgspec.Struct, frozen=True):
    """That `entity` used an operation."""

    entity: User | Role
    usage: Usage


async def _found_resource(
    call: Call, request: shapes.GenerateServiceLastAccessedDetailsRequest
) -> Prepared[Any] | Absent:
    """The user, group, role or managed policy of that ARN."""
    if not _is_policy(request.arn):
        return await _source_of(call, request)
    policy = await find_managed_policy(call.store, call.account, request.arn)
    if policy is None:
        refusal = Refusal("NoSuchEntity", f"Policy {request.arn} was not found.")
        return Absent(Resource(request.arn), refusal)
    return Prepared(Resource(request.arn, tags=policy.tags), policy)


@operation("iam:GenerateServiceLastAccessedDetails", prepare=_found_resource)
async def generate_service_last_accessed_details(
    call: Call, request: shapes.GenerateServiceLastAccessedDetailsRequest, prepared: Prepared[Any]
) -> shapes.GenerateServiceLastAccessedDetailsResponse:
    job_id = str(UUID(bytes=call.entropy(16), version=4))
    job = LastAccessedJob(
        arn=request.arn,
        job_type=request.granularity or SERVICE_LEVEL,
        created_at=int(call.now),
        asked_by=call.caller.principal.arn,
    )
    call.store.put(LAST_ACCESSED_JOBS, call.account, job, key=job_id, expires_at=call.now + _KEPT_SECONDS)
    return shapes.GenerateServiceLastAccessedDetailsResponse(job_id=job_id)


@operation("iam:GetServiceLastAccessedDetails", prepare=no_resource)
async def get_service_last_accessed_details(
    call: Call, request: shapes.GetServiceLastAccessedDetailsRequest, prepared: Prepared[None]
) -> shapes.GetServiceLastAccessedDetailsResponse:
    job = await _get_job(call, request.job_id)
    if job.asked_by not in (None, call.caller.principal.arn):  # GetServiceLastAccessedDetails, JobId
        raise _no_such_job(request.job_id)
    allowed = await _allowed_services(await _policies(call, job))
    chosen = page(allowed, str, request.marker, request.max_items)
    uses = [use for entity in await _entities(call, job) for use in await _uses(call, entity)]
    return shapes.GetServiceLastAccessedDetailsResponse(
        job_status="COMPLETED",
        job_type=job.job_type,
        job_creation_date=job.created_at,
        job_completion_date=job.created_at,
        services_last_accessed=tuple(
            _service_shape(service, [use for use in uses if use.usage.service == service], job.job_type)
            for service in chosen.items
        ),
        is_truncated=chosen.is_truncated,
        marker=chosen.marker,
    )


@operation("iam:GetServiceLastAccessedDetailsWithEntities", prepare=no_resource)
async def get_service_last_accessed_details_with_entities(
    call: Call, request: shapes.GetServiceLastAccessedDetailsWithEntitiesRequest, prepared: Prepared[None]
) -> shapes.GetServiceLastAccessedDetailsWithEntitiesResponse:
    job = await _get_job(call, request.job_id)
    service = request.service_namespace
    if service not in service_namespaces():
        raise invalid_input(f"Invalid service namespace: [{service}]")
    last = []
    for entity in await _entities(call, job):
        uses = [use for use in await _uses(call, entity) if use.usage.service == service]
        last.append((entity, _last(uses)))
    chosen = page(last, lambda one: one[0].arn, request.marker, request.max_items)
    return shapes.GetServiceLastAccessedDetailsWithEntitiesResponse(
        job_status="COMPLETED",
        job_creation_date=job.created_at,
        job_completion_date=job.created_at,
        entity_details_list=tuple(_entity_shape(entity, use) for entity, use in chosen.items),
        is_truncated=chosen.is_truncated,
        marker=chosen.marker,
    )


async def _get_job(call: Call, job_id: str) -> LastAccessedJob:
    job = await call.store.find(LAST_ACCESSED_JOBS, call.account, job_id)
    if job is None or job.job_type == ORGANIZATIONS_JOB:
        raise _no_such_job(job_id)
    return job


def _no_such_job(job_id: str) -> Refusal:
    return Refusal("NoSuchEntity", f"The job with id {job_id} cannot be found.")


async def _policies(call: Call, job: LastAccessedJob) -> list[Policy]:
    """The policy itself, or those that apply to the entity; raises NoSuchEntity where it was deleted since."""
    if _is_policy(job.arn):
        policy = await find_managed_policy(call.store, call.account, job.arn)
        if policy is None:
            raise Refusal("NoSuchEntity", f"Policy {job.arn} was not found.")
        return [parse_policy(policy.document, PolicyKind.IDENTITY)]
    source = await _source_of(call, job)
    if isinstance(source, Absent):
        raise source.refusal
    layers = await Gatherer(call.gate.library).layers_of(call.store, source.found, call.account)
    return [policy for _, policy in layers.identity.policies]


async def _allowed_services(policies: Iterable[Policy]) -> list[str]:
    grants: list[Callable[[str], bool]] = [service_grants(policy) for policy in policies]
    allowed = []
    for number, service in enumerate(service_namespaces()):
        if number % 50 == 0:
            await asyncio.sleep(0)  # hundreds of services, each compared with all policies
        if any(are_granted(service) for are_granted in grants):
            allowed.append(service)
    return allowed


async def _entities(call: Call, job: LastAccessedJob) -> list[User | Role]:
    """The user or the role itself; the members of a group; who has a managed policy, by a group as well."""
    users = await call.store.scan(USERS, call.account)
    roles = await call.store.scan(ROLES, call.account)
    if _is_policy(job.arn):
        groups = await call.store.scan(GROUPS, call.account)
        having = {group.group_name for group in groups if job.arn in group.attached_policies}
        return [
            *(user for user in users if job.arn in user.attached_policies or having & set(user.groups)),
            *(role for role in roles if job.arn in role.attached_policies),
        ]
    kind, _, path_and_name = parse_arn(job.arn).resource.partition("/")
    name = path_and_name.rpartition("/")[2].lower()
    if kind == "group":
        return [user for user in users if name in (group.lower() for group in user.groups)]
    if kind == "user":
        return [user for user in users if user.user_name.lower() == name]
    return [role for role in roles if role.role_name.lower() == name]


async def _uses(call: Call, entity: User | Role) -> list[_Use]:
    marks = await call.store.scan(USAGE, call.account, operation_prefix(_id_of(entity)))
    return [_Use(entity, mark) for mark in marks if mark.last_used_at > call.now - LAST_ACCESSED_SECONDS]


def _last(uses: Iterable[_Use]) -> _Use | None:
    return max(uses, key=lambda use: use.usage.last_used_at, default=None)


def _service_shape(service: str, uses: list[_Use], job_type: str) -> shapes.ServiceLastAccessed:
    """`uses` are those of the service."""
    last = _last(uses)
    shape = shapes.ServiceLastAccessed(
        service_name=service_name(service), service_namespace=service, total_authenticated_entities=0
    )
    if last is None:
        return shape
    return msgspec.structs.replace(
        shape,
        last_authenticated=last.usage.last_used_at,
        last_authenticated_entity=last.entity.arn,
        last_authenticated_region=last.usage.region or None,
        total_authenticated_entities=len({_id_of(use.entity) for use in uses}),
        tracked_actions_last_accessed=_action_shapes(uses) if job_type == ACTION_LEVEL else (),
    )


def _action_shapes(uses: list[_Use]) -> tuple[shapes.TrackedActionLastAccessed, ...]:
    by_action: dict[str, list[_Use]] = {}
    for use in uses:
        by_action.setdefault(use.usage.action, []).append(use)
    last = (max(some, key=lambda use: use.usage.last_used_at) for _, some in sorted(by_action.items()))
    return tuple(
        shapes.TrackedActionLastAccessed(
            action_name=use.usage.action,
            last_accessed_entity=use.entity.arn,
            last_accessed_time=use.usage.last_used_at,
            last_accessed_region=use.usage.region or None,
        )
        for use in last
    )


def _entity_shape(entity: User | Role, use: _Use | None) -> shapes.EntityDetails:
    is_user = isinstance(entity, User)
    return shapes.EntityDetails(
        entity_info=shapes.EntityInfo(
            arn=entity.arn,
            name=entity.user_name if isinstance(entity, User) else entity.role_name,
            type="USER" if is_user else "ROLE",
            id=_id_of(entity),
            path=entity.path,
        ),
        last_authenticated=None if use is None else use.usage.last_used_at,
    )


def _id_of(entity: User | Role) -> str:
    return entity.user_id if isinstance(entity, User) else entity.role_id


def _is_policy(arn: str) -> bool:
    try:
        parsed = parse_arn(arn)
    except ValueError:
        return False
    return parsed.service == "iam" and parsed.resource.startswith("policy/")
