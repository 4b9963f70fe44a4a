"""StartPolicyGeneration, GetGeneratedPolicy, ListPolicyGenerations, CancelPolicyGeneration.

A job reads the journal when somebody asks what has become of it, a bounded number of records each time, and what it has
found is kept. So a job that was cut off, by a restart or for lack of questions, goes on where it was.
"""

from typing import Any
from uuid import UUID

from msgspec.structs import replace

from broker.access.organization import find_organization
from broker.access.resource import Resource
from broker.analyzer.generated_policies import policy_texts
from broker.analyzer.generation_steps import IN_PROGRESS, advanced
from broker.analyzer.refusals import conflict, invalid
from broker.analyzer.resources import page_of
from broker.errors import Refusal
from broker.names.arn import parse_arn
from broker.operation import Call, Prepared, no_resource, operation
from broker.protocol.shapes import accessanalyzer as shapes
from broker.storage.generation_records import AnalyzedTrail, PolicyGenerationJob
from broker.storage.last_accessed import operation_prefix
from broker.storage.records import Role, User
from broker.storage.store import POLICY_GENERATIONS, ROLES, TRAILS, USAGE, USERS
from broker.storage.trail_records import trail_key

_DAY = 86_400
_MOST_DAYS = 90
# AWS keeps a generated policy for a week, runs one job of an account at a time, and starts fifty a day.
_KEPT_SECONDS = 7 * _DAY
_MOST_A_DAY = 50
_CANCELED = "CANCELED"


@operation("access-analyzer:StartPolicyGeneration", prepare=no_resource)
async def start_policy_generation(
    call: Call, request: shapes.StartPolicyGenerationRequest, prepared: Prepared[None]
) -> shapes.StartPolicyGenerationResponse:
    """What a principal did is what LookupEvents shows: the permission for that is needed as well."""
    await call.require("cloudtrail:LookupEvents", Resource())
    arn, details = request.policy_generation_details.principal_arn, request.cloud_trail_details
    if details is not None:
        await _require_access_role(call, details)
    entity = await _find_principal(call, arn)
    if entity is None:
        raise invalid(f"{arn} is not a user or a role of this account.")
    start, end = _period(call, details)
    job = PolicyGenerationJob(
        job_id=str(UUID(bytes=call.entropy(16), version=4)),
        principal_arn=arn,
        started_at=int(call.now),
        start=start,
        end=end,
        trails=tuple(map(_trail, details.trails)) if details is not None else (),
        access_role=details.access_role if details is not None else "",
        client_token=request.client_token or "",
        services=await _services(call, entity, start),
    )
    started = await _started(call, job)
    if started is None:
        _put(call, job)
    return shapes.StartPolicyGenerationResponse(job_id=(started or job).job_id)


async def _started(call: Call, job: PolicyGenerationJob) -> PolicyGenerationJob | None:
    """The job of the same request, sent before. Raises where there may not be another one."""
    jobs = await _jobs(call)
    for one in jobs:
        if job.client_token and one.client_token == job.client_token:
            if (one.principal_arn, one.trails) != (job.principal_arn, job.trails):
                raise conflict("A job with this client token and other parameters exists already.")
            return one
    if any(one.status == IN_PROGRESS for one in jobs):
        raise Refusal("ServiceQuotaExceededException", "A policy generation of the account is in progress.")
    if sum(one.started_at > job.started_at - _DAY for one in jobs) >= _MOST_A_DAY:
        message = (
            f"The account has started {_MOST_A_DAY} policy generations within a day: no more are allowed."
        )
        raise Refusal("ServiceQuotaExceededException", message)
    return None


async def _require_access_role(call: Call, details: shapes.CloudTrailDetails) -> None:
    """The caller gives away a role of the account, as on AWS. The broker reads its own journal without it."""
    if parse_arn(details.access_role).account != call.account:
        raise invalid(f"{details.access_role} is not of this account.")
    role = await _find_principal(call, details.access_role)
    keys = {"iam:PassedToService": "access-analyzer.amazonaws.com"}
    tags = {} if role is None else role.tags
    await call.require("iam:PassRole", Resource(details.access_role, tags=tags, keys=keys))
    if not isinstance(role, Role):
        raise invalid(f"{details.access_role} is not a role of this account.")
    if not details.trails:
        raise invalid("Name at least one trail.")
    for one in details.trails:
        await _require_trail(call, one.cloud_trail_arn)


async def _require_trail(call: Call, arn: str) -> None:
    """A trail of the account, or of its organization."""
    parts = parse_arn(arn)
    key = trail_key(parts.region, parts.resource.partition("/")[2])
    trail = await call.store.find(TRAILS, parts.account, key)
    if trail is not None and parts.account != call.account:
        organization = await find_organization(call.store)
        accounts = organization.accounts if organization is not None else ()
        trail = trail if trail.organization_id and call.account in accounts else None
    if trail is None:
        raise invalid(f"{arn} is not a trail of this account.")


def _trail(given: shapes.Trail) -> AnalyzedTrail:
    return AnalyzedTrail(arn=given.cloud_trail_arn, regions=given.regions, all_regions=given.all_regions)


async def _find_principal(call: Call, arn: str) -> User | Role | None:
    parts = parse_arn(arn)
    kind, _, path_and_name = parts.resource.partition("/")
    name = path_and_name.rpartition("/")[2]
    if parts.account != call.account:
        return None
    found: User | Role | None = (
        await call.store.find(USERS, call.account, name)
        if kind == "user"
        else await call.store.find(ROLES, call.account, name)
    )
    return found if found is not None and found.arn == arn else None


def _period(call: Call, details: shapes.CloudTrailDetails | None) -> tuple[int, int]:
    """Raises ValidationException."""
    now = int(call.now)
    if details is None:
        return now - _MOST_DAYS * _DAY, now
    start = int(details.start_time)
    end = now if details.end_time is None else min(now, int(details.end_time))
    if start >= end:
        raise invalid("startTime has to be before endTime, and in the past.")
    if end - start > _MOST_DAYS * _DAY:
        raise invalid(f"The time between startTime and endTime is at most {_MOST_DAYS} days.")
    return start, end


async def _services(call: Call, entity: User | Role, start: int) -> tuple[str, ...]:
    """Those that the principal asked for anything since the start, by the marks of service last accessed details."""
    entity_id = entity.user_id if isinstance(entity, User) else entity.role_id
    marks = await call.store.scan(USAGE, call.account, operation_prefix(entity_id))
    return tuple(sorted({one.service for one in marks if one.last_used_at >= start and one.service}))


async def _jobs(call: Call) -> list[PolicyGenerationJob]:
    """All of the account, the one in progress advanced."""
    jobs = await call.store.scan(POLICY_GENERATIONS, call.account)
    return [await _advanced(call, one) for one in jobs]


async def _advanced(call: Call, job: PolicyGenerationJob) -> PolicyGenerationJob:
    if job.status != IN_PROGRESS:
        return job
    later = await advanced(call.history, call.account, job, int(call.now))
    if later != job:
        _put(call, later)
    return later


def _put(call: Call, job: PolicyGenerationJob) -> None:
    expires_at = job.started_at + _KEPT_SECONDS
    call.store.put(POLICY_GENERATIONS, call.account, job, expires_at=expires_at)


async def _get(call: Call, job_id: str) -> PolicyGenerationJob:
    """Raises ValidationException: the operations have no other error for it."""
    job = await call.store.find(POLICY_GENERATIONS, call.account, job_id)
    if job is None:
        raise invalid(f"There is no policy generation with the id {job_id}.")
    return job


@operation("access-analyzer:GetGeneratedPolicy", prepare=no_resource)
async def get_generated_policy(
    call: Call, request: shapes.GetGeneratedPolicyRequest, prepared: Prepared[None]
) -> shapes.GetGeneratedPolicyResponse:
    job = await _advanced(call, await _get(call, request.job_id))
    texts: tuple[str, ...] = ()
    if job.status == "SUCCEEDED":
        known = {action.partition(":")[0] for action in job.used}
        services = set(job.services) - known if request.include_service_level_template else set()
        has_placeholders = bool(request.include_resource_placeholders)
        texts = policy_texts(job.used, services, has_placeholders=has_placeholders)
    return shapes.GetGeneratedPolicyResponse(
        job_details=_details(job),
        generated_policy_result=shapes.GeneratedPolicyResult(
            properties=_properties(job),
            generated_policies=tuple(shapes.GeneratedPolicy(policy=one) for one in texts),
        ),
    )


def _details(job: PolicyGenerationJob) -> shapes.JobDetails:
    error = shapes.JobError(code="SERVICE_ERROR", message=_UNREADABLE) if job.status == "FAILED" else None
    return shapes.JobDetails(**_summary(job), job_error=error)


def _summary(job: PolicyGenerationJob) -> dict[str, Any]:
    return {
        "job_id": job.job_id,
        "status": job.status,
        "started_on": job.started_at,
        "completed_on": job.completed_at or None,
    }


_UNREADABLE = "The journal of this broker is a device or a pipe, and cannot be searched."


def _properties(job: PolicyGenerationJob) -> shapes.GeneratedPolicyProperties:
    trails = tuple(
        shapes.TrailProperties(cloud_trail_arn=one.arn, regions=one.regions, all_regions=one.all_regions)
        for one in job.trails
    )
    period = shapes.CloudTrailProperties(trail_properties=trails, start_time=job.start, end_time=job.end)
    return shapes.GeneratedPolicyProperties(
        is_complete=job.status == "SUCCEEDED" and not job.is_incomplete,
        principal_arn=job.principal_arn,
        cloud_trail_properties=period,
    )


@operation("access-analyzer:ListPolicyGenerations", prepare=no_resource)
async def list_policy_generations(
    call: Call, request: shapes.ListPolicyGenerationsRequest, prepared: Prepared[None]
) -> shapes.ListPolicyGenerationsResponse:
    """The newest first."""
    jobs = [one for one in await _jobs(call) if request.principal_arn in (None, one.principal_arn)]

    def place(job: PolicyGenerationJob) -> str:
        return f"{10**12 - job.started_at:012}/{job.job_id}"

    shown, token = page_of(jobs, place, request.next_token, request.max_results)
    return shapes.ListPolicyGenerationsResponse(
        policy_generations=tuple(
            shapes.PolicyGeneration(**_summary(one), principal_arn=one.principal_arn) for one in shown
        ),
        next_token=token,
    )


@operation("access-analyzer:CancelPolicyGeneration", prepare=no_resource)
async def cancel_policy_generation(
    call: Call, request: shapes.CancelPolicyGenerationRequest, prepared: Prepared[None]
) -> shapes.CancelPolicyGenerationResponse:
    job = await _get(call, request.job_id)
    if job.status != IN_PROGRESS:
        raise invalid(f"The policy generation {job.job_id} is not in progress: it is {job.status}.")
    _put(call, replace(job, status=_CANCELED, completed_at=int(call.now), used={}))
    return shapes.CancelPolicyGenerationResponse()
