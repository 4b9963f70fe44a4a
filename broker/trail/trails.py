"""CreateTrail, UpdateTrail, DeleteTrail."""

from typing import Any

from msgspec.structs import replace

from broker.access.organization import find_organization
from broker.access.resource import Resource
from broker.errors import Refusal
from broker.names.arn import trail_arn
from broker.operation import Call, Prepared, operation
from broker.protocol.shapes import cloudtrail as shapes
from broker.storage.store import DELIVERED_LOGS, DIGEST_CHAINS, TRAIL_ACCOUNTS, TRAIL_PROGRESS, TRAILS
from broker.storage.trail_records import (
    Trail,
    TrailAccount,
    chain_key,
    delivered_log_key,
    progress_key,
    trail_key,
)
from broker.trail.buckets import NO_SUCH_BUCKET, SERVICE_PRINCIPAL, find_bucket_fault
from broker.trail.keys import logs_folder
from broker.trail.names import is_region, require_bucket_name, require_prefix, require_trail_name
from broker.trail.refusals import unsupported
from broker.trail.resources import named, require_home, tag_keys
from broker.trail.tagging import with_tags

_MOST_TRAILS = 5  # AWS's quota, of a region
_ID_ENTROPY = 16  # bytes
_named = named("name")


async def _new(call: Call, request: shapes.CreateTrailRequest) -> Prepared[None]:
    arn = trail_arn(call.facts.region, call.account, request.name)
    return Prepared(Resource(arn, call.account, keys=tag_keys(request.tags_list)), None)


@operation("cloudtrail:CreateTrail", prepare=_new)
async def create_trail(
    call: Call, request: shapes.CreateTrailRequest, prepared: Prepared[None]
) -> shapes.CreateTrailResponse:
    require_trail_name(request.name)
    _refuse_unsupported(call, request)
    if not is_region(call.facts.region):
        raise unsupported(f"There is no region {call.facts.region[:64]!r}.")
    existing = await call.store.scan(TRAILS, call.account, f"{call.facts.region}/")
    if any(one.name == request.name for one in existing):
        raise Refusal(
            "TrailAlreadyExistsException", f"Trail {request.name} already exists for customer: {call.account}"
        )
    if len(existing) >= _MOST_TRAILS:
        raise Refusal(
            "MaximumNumberOfTrailsExceededException",
            f"User: {call.account} already has {_MOST_TRAILS} trails in {call.facts.region}.",
        )
    trail = Trail(
        account_id=call.account,
        region=call.facts.region,
        name=request.name,
        id=call.entropy(_ID_ENTROPY).hex(),
        bucket=request.s3_bucket_name,
        created_at=int(call.now),
        tags=with_tags({}, request.tags_list),
    )
    changed = await _changed(call, trail, request)
    call.store.put(TRAILS, call.account, changed)
    call.store.put(TRAIL_ACCOUNTS, "", TrailAccount(account_id=call.account))
    return shapes.CreateTrailResponse(**_members(changed))


@operation("cloudtrail:UpdateTrail", prepare=_named)
async def update_trail(
    call: Call, request: shapes.UpdateTrailRequest, prepared: Prepared[Trail]
) -> shapes.UpdateTrailResponse:
    require_home(call, prepared.found)
    _refuse_unsupported(call, request)
    changed = await _changed(call, prepared.found, request)
    if not changed.validated_since:
        await _forget_digests(call, changed)
    call.store.put(TRAILS, call.account, changed)
    return shapes.UpdateTrailResponse(**_members(changed))


@operation("cloudtrail:DeleteTrail", prepare=_named)
async def delete_trail(
    call: Call, request: shapes.DeleteTrailRequest, prepared: Prepared[Trail]
) -> shapes.DeleteTrailResponse:
    """What is not delivered yet will not be; what is delivered stays where it is."""
    trail = prepared.found
    require_home(call, trail)
    call.store.delete(TRAILS, call.account, trail_key(trail.region, trail.name))
    await _forget_progress(call, trail)
    await _forget_digests(call, trail)
    if len(await call.store.scan(TRAILS, call.account)) == 0:
        call.store.delete(TRAIL_ACCOUNTS, "", call.account)
    return shapes.DeleteTrailResponse()


async def _forget_progress(call: Call, trail: Trail) -> None:
    for progress in await call.store.scan(TRAIL_PROGRESS, call.account, f"{trail.id}/"):
        call.store.delete(TRAIL_PROGRESS, call.account, progress_key(progress))


async def _forget_digests(call: Call, trail: Trail) -> None:
    """What is delivered from now on belongs to no digest file of before."""
    for chain in await call.store.scan(DIGEST_CHAINS, call.account, f"{trail.id}/"):
        call.store.delete(DIGEST_CHAINS, call.account, chain_key(chain))
    for log in await call.store.scan(DELIVERED_LOGS, call.account, f"{trail.id}/"):
        call.store.delete(DELIVERED_LOGS, call.account, delivered_log_key(log))


def _refuse_unsupported(call: Call, request: shapes.CreateTrailRequest | shapes.UpdateTrailRequest) -> None:
    """What a trail cannot have here. An empty text takes away what is not there."""
    if not call.delivers_trails:
        raise unsupported(
            "This broker delivers no trails: its operator has set no store and no folder for them."
        )
    if request.kms_key_id:
        raise unsupported("There is no KMS: log files are not encrypted with a key of it.")
    if request.sns_topic_name:
        raise unsupported("There is no SNS: deliveries are not announced.")
    if request.cloud_watch_logs_log_group_arn or request.cloud_watch_logs_role_arn:
        raise Refusal(
            "CloudWatchLogsDeliveryUnavailableException",
            "There is no CloudWatch Logs: events are delivered to the bucket only.",
        )
    if request.recursive_logging:
        raise unsupported("A trail's own deliveries are no requests of the gateway, so they leave no events.")


async def _changed(
    call: Call, trail: Trail, request: shapes.CreateTrailRequest | shapes.UpdateTrailRequest
) -> Trail:
    """`trail` as the request wants it: a member that is absent changes nothing. Raises Refusal."""
    trail = replace(
        trail,
        bucket=_or(request.s3_bucket_name, trail.bucket),
        prefix=_or(request.s3_key_prefix, trail.prefix),
        has_global_events=_or(request.include_global_service_events, trail.has_global_events),
        is_multi_region=_or(request.is_multi_region_trail, trail.is_multi_region),
        validated_since=_validated_since(call, trail, request.enable_log_file_validation),
        organization_id=await _organization_id(call, trail, request.is_organization_trail),
    )
    require_bucket_name(trail.bucket)
    require_prefix(trail.prefix)
    if trail.is_multi_region and not trail.has_global_events:
        raise Refusal(
            "InvalidParameterCombinationException", "Multi-Region trail must include global service events."
        )
    await _require_bucket(call, trail)
    return trail


def _or(given: Any, present: Any) -> Any:
    return present if given is None else given


def _validated_since(call: Call, trail: Trail, wanted: bool | None) -> int:
    if wanted is None:
        return trail.validated_since
    return (trail.validated_since or int(call.now)) if wanted else 0


async def _organization_id(call: Call, trail: Trail, wanted: bool | None) -> str:
    if wanted is None:
        return trail.organization_id
    if not wanted:
        return ""
    organization = await find_organization(call.store)
    if organization is None:
        raise Refusal("OrganizationsNotInUseException", "Your account is not a member of an organization.")
    if organization.management_account_id != call.account:
        raise Refusal(
            "NotOrganizationMasterAccountException",
            "The account is not the organization's management account.",
        )
    if SERVICE_PRINCIPAL not in organization.trusted_services:
        raise Refusal(
            "CloudTrailAccessNotEnabledException",
            f"The organization does not trust {SERVICE_PRINCIPAL}: call EnableAWSServiceAccess first.",
        )
    return organization.organization_id


async def _require_bucket(call: Call, trail: Trail) -> None:
    """The bucket is somebody's, and its policy lets CloudTrail in. Raises Refusal."""
    keys = [logs_folder(replace(trail, organization_id=""), trail.account_id, trail.region)]
    if trail.organization_id:
        keys.append(logs_folder(trail, trail.account_id, trail.region))
    fault = await find_bucket_fault(call.gate, call.store, trail.arn, trail.bucket, keys, call.now)
    if fault == NO_SUCH_BUCKET:
        raise Refusal("S3BucketDoesNotExistException", f"S3 bucket {trail.bucket} does not exist!")
    if fault:
        raise Refusal(
            "InsufficientS3BucketPolicyException",
            f"Incorrect S3 bucket policy is detected for bucket: {trail.bucket}",
        )


def _members(trail: Trail) -> dict[str, Any]:
    """What the answers of both operations have."""
    return {
        "name": trail.name,
        "s3_bucket_name": trail.bucket,
        "s3_key_prefix": trail.prefix or None,
        "include_global_service_events": trail.has_global_events,
        "is_multi_region_trail": trail.is_multi_region,
        "trail_arn": trail.arn,
        "log_file_validation_enabled": bool(trail.validated_since),
        "is_organization_trail": bool(trail.organization_id),
    }
