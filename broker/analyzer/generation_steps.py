"""The steps of a policy generation: some thousands of records each, the newest first."""

from collections.abc import Iterable

from msgspec.structs import replace

from broker.audit.event import Event
from broker.audit.facets import RecordFilter
from broker.audit.history import EventHistory
from broker.audit.reader import RecordPlace
from broker.permission_use.used_actions import needed_permissions
from broker.storage.generation_records import PolicyGenerationJob

IN_PROGRESS = "IN_PROGRESS"
_PAGE = 1000
_PAGES_OF_A_STEP = 10


async def advanced(
    history: EventHistory | None, account: str, job: PolicyGenerationJob, now: int
) -> PolicyGenerationJob:
    """The job after one more step. It has failed where there is no journal that can be searched."""
    if history is None:
        return replace(job, status="FAILED", completed_at=now)
    wanted = RecordFilter((("principal", job.principal_arn),), job.start, job.end)
    for _ in range(_PAGES_OF_A_STEP):
        after = RecordPlace(job.read_at, job.read_event_id) if job.read_event_id else None
        found = await history.find(account, wanted, _PAGE, after)
        if found.complete_since is not None:
            return job  # the index is being made: records in between may be missing
        job = with_records(job, [one.event for one in found.records])
        if not found.has_more:
            return replace(job, status="SUCCEEDED", completed_at=now)
        last = found.records[-1].place
        job = replace(job, read_at=last.at, read_event_id=last.event_id)
    return job


def with_records(job: PolicyGenerationJob, events: Iterable[Event]) -> PolicyGenerationJob:
    """The job with what the principal did by these records."""
    used = {action: set(forms) for action, forms in job.used.items()}
    is_incomplete = job.is_incomplete
    for event in events:
        if not _is_of_trails(job, event) or not is_of_principal(job.principal_arn, event):
            continue
        needed = needed_permissions(event)
        is_incomplete = is_incomplete or not needed.are_known
        for one in needed.actions:
            used.setdefault(one.action, set()).update(one.forms)
    kept = {action: tuple(sorted(forms)) for action, forms in used.items()}
    return replace(job, used=kept, is_incomplete=is_incomplete)


def is_of_principal(arn: str, event: Event) -> bool:
    """Whether the user or a session of the role made the request. A search also finds those who only bear the name."""
    identity = event.user_identity
    context = identity.session_context
    issuer = context.session_issuer if context is not None else None
    return identity.arn == arn or (issuer is not None and issuer.arn == arn)


def _is_of_trails(job: PolicyGenerationJob, event: Event) -> bool:
    if any(one.all_regions or not one.regions for one in job.trails):
        return True
    regions = {region for one in job.trails for region in one.regions}
    return not regions or event.aws_region in regions
