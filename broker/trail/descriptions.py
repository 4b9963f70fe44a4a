"""DescribeTrails, GetTrail, ListTrails, GetTrailStatus."""

from collections.abc import Iterable

from broker.audit.event import iso_time
from broker.operation import Call, Prepared, no_resource, operation
from broker.paging import page
from broker.protocol.shapes import cloudtrail as shapes
from broker.storage.store import DIGEST_CHAINS, TRAIL_PROGRESS
from broker.storage.trail_records import Trail
from broker.trail.refusals import invalid_token
from broker.trail.resources import find_trail, is_shown_in, named, trails_of

_PAGE = 1000
_named = named("name")


@operation("cloudtrail:DescribeTrails", prepare=no_resource)
async def describe_trails(
    call: Call, request: shapes.DescribeTrailsRequest, prepared: Prepared[None]
) -> shapes.DescribeTrailsResponse:
    """A name or an ARN that is no trail's is left out, as on AWS."""
    if request.trail_name_list:
        found = [await find_trail(call, name) for name in request.trail_name_list]
        chosen = [one for one in found if one is not None]
    else:
        chosen = [one for one in await trails_of(call) if is_shown_in(one, call.facts.region)]
    if request.include_shadow_trails is False:
        chosen = [one for one in chosen if one.region == call.facts.region and one.account_id == call.account]
    return shapes.DescribeTrailsResponse(trail_list=tuple(map(_shape, chosen)))


@operation("cloudtrail:GetTrail", prepare=_named)
async def get_trail(
    call: Call, request: shapes.GetTrailRequest, prepared: Prepared[Trail]
) -> shapes.GetTrailResponse:
    return shapes.GetTrailResponse(trail=_shape(prepared.found))


@operation("cloudtrail:ListTrails", prepare=no_resource)
async def list_trails(
    call: Call, request: shapes.ListTrailsRequest, prepared: Prepared[None]
) -> shapes.ListTrailsResponse:
    """Of every region."""
    if request.next_token is not None:
        raise invalid_token()  # the quota of trails fits into one page
    chosen = page(await trails_of(call), lambda one: one.arn, None, _PAGE).items
    return shapes.ListTrailsResponse(
        trails=tuple(
            shapes.TrailInfo(trail_arn=one.arn, name=one.name, home_region=one.region) for one in chosen
        )
    )


@operation("cloudtrail:GetTrailStatus", prepare=_named)
async def get_trail_status(
    call: Call, request: shapes.GetTrailStatusRequest, prepared: Prepared[Trail]
) -> shapes.GetTrailStatusResponse:
    """Of several nodes, whose journals are delivered one by one, an error of any is shown."""
    trail = prepared.found
    progress = await call.store.scan(TRAIL_PROGRESS, trail.account_id, f"{trail.id}/")
    chains = await call.store.scan(DIGEST_CHAINS, trail.account_id, f"{trail.id}/")
    started = trail.periods[-1].start if trail.periods else 0
    stopped = max((one.end for one in trail.periods), default=0)
    attempted = max((one.attempted_at for one in progress), default=0)
    error = _first(one.error for one in progress)
    return shapes.GetTrailStatusResponse(
        is_logging=trail.is_logging,
        latest_delivery_error=error,
        latest_delivery_time=_latest(one.delivered_at for one in progress),
        start_logging_time=started or None,
        stop_logging_time=stopped or None,
        latest_digest_delivery_time=_latest(one.delivered_at for one in chains),
        latest_digest_delivery_error=_first(one.error for one in chains),
        latest_delivery_attempt_time=_text(attempted),
        latest_delivery_attempt_succeeded="" if error or not attempted else iso_time(attempted),
        latest_notification_attempt_time="",
        latest_notification_attempt_succeeded="",
        time_logging_started=_text(started),
        time_logging_stopped=_text(stopped),
    )


def _first(errors: Iterable[str]) -> str | None:
    return next((one for one in errors if one), None)


def _latest(times: Iterable[int]) -> int | None:
    return max(times, default=0) or None


def _text(at: int) -> str:
    return iso_time(at) if at else ""


def _shape(trail: Trail) -> shapes.Trail:
    return shapes.Trail(
        name=trail.name,
        s3_bucket_name=trail.bucket,
        s3_key_prefix=trail.prefix or None,
        include_global_service_events=trail.has_global_events,
        is_multi_region_trail=trail.is_multi_region,
        home_region=trail.region,
        trail_arn=trail.arn,
        log_file_validation_enabled=bool(trail.validated_since),
        has_custom_event_selectors=trail.has_custom_selectors,
        has_insight_selectors=False,
        is_organization_trail=bool(trail.organization_id),
    )
