"""Trails by name or ARN: those of the caller's account, and the trail of its organization."""

from collections.abc import Mapping
from typing import Any

import msgspec

from broker.access.organization import find_organization, is_member
from broker.access.resource import Resource, resource_of
from broker.errors import Refusal
from broker.names.arn import trail_arn
from broker.operation import Absent, Call, ConditionKeys, Prepare, Prepared, request_tag_keys
from broker.protocol.shapes import cloudtrail as shapes
from broker.storage.store import TRAILS
from broker.storage.trail_records import Trail, trail_key
from broker.trail.names import parse_trail_arn, require_trail_name
from broker.trail.refusals import trail_not_found


class _Tagged(msgspec.Struct, frozen=True):
    tags: tuple[shapes.Tag, ...]


def tag_keys(tags: tuple[shapes.Tag, ...]) -> ConditionKeys:
    """The condition keys of the tags of a request: CloudTrail calls the list `TagsList`."""
    return request_tag_keys(_Tagged(tuple(shapes.Tag(key=one.key, value=one.value or "") for one in tags)))


async def trails_of(call: Call) -> list[Trail]:
    """All that the caller's account has, in every region, and those of its organization."""
    own = await call.store.scan(TRAILS, call.account)
    return [*own, *await _of_organization(call)]


async def _of_organization(call: Call) -> list[Trail]:
    organization = await find_organization(call.store)
    if organization is None or not is_member(organization, call.account):
        return []
    owner = organization.management_account_id
    if owner == call.account:
        return []
    return [one for one in await call.store.scan(TRAILS, owner) if one.organization_id]


def is_shown_in(trail: Trail, region: str) -> bool:
    return trail.region == region or trail.is_multi_region


async def find_trail(call: Call, name: str) -> Trail | None:
    """By name in this region, where trails of all regions are shown, too, or by ARN.

    Raises InvalidTrailNameException and CloudTrailARNInvalidException.
    """
    if name.startswith("arn:"):
        arn = parse_trail_arn(name)
        return next((one for one in await trails_of(call) if one.arn == str(arn)), None)
    require_trail_name(name)
    own = await call.store.find(TRAILS, call.account, trail_key(call.facts.region, name))
    if own is not None:
        return own
    shown = (one for one in await trails_of(call) if is_shown_in(one, call.facts.region))
    return next((one for one in shown if one.name == name), None)


def named(field: str) -> Prepare[Any, Trail]:
    """The `prepare` of operations on the trail that the request's `field` names."""

    async def prepare(call: Call, request: Any) -> Prepared[Trail] | Absent:
        return await prepare_trail(call, getattr(request, field))

    return prepare


async def prepare_trail(
    call: Call, name: str, keys: Mapping[str, str | tuple[str, ...]] = {}
) -> Prepared[Trail] | Absent:
    trail = await find_trail(call, name)
    arn = name if name.startswith("arn:") else trail_arn(call.facts.region, call.account, name)
    if trail is None:
        return Absent(resource_of(arn, None, keys), trail_not_found(arn, call.account))
    resource = Resource(trail.arn, tags=trail.tags, keys=keys, asked_for=arn)
    return Prepared(resource, trail)


def require_home(call: Call, trail: Trail) -> None:
    """Only its owner changes a trail, in its home region. Raises Refusal."""
    if trail.account_id != call.account:
        raise Refusal(
            "NotOrganizationMasterAccountException",
            "The trail is the organization's: only the management account changes it.",
        )
    if trail.region != call.facts.region:
        raise Refusal(
            "InvalidHomeRegionException",
            f"Trail {trail.arn} must be modified from its home region: {trail.region}",
        )
