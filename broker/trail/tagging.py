"""AddTags, RemoveTags, ListTags."""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from broker.errors import Refusal
from broker.operation import Absent, Call, Prepared, no_resource, operation
from broker.protocol.shapes import cloudtrail as shapes
from broker.storage.store import TRAILS
from broker.storage.trail_records import Trail
from broker.trail.names import parse_trail_arn
from broker.trail.refusals import invalid_token
from broker.trail.resources import prepare_trail, require_home, tag_keys

_MOST_TAGS, _MOST_LISTED = 50, 20  # AWS's quotas
_RESERVED_PREFIX = "aws:"


def with_tags(existing: Mapping[str, str], added: tuple[shapes.Tag, ...]) -> dict[str, str]:
    """Raises InvalidTagParameterException and TagsLimitExceededException."""
    keys = [one.key for one in added]
    if len(set(keys)) != len(keys):
        raise _invalid("A tag key is given twice.")
    if any(key.lower().startswith(_RESERVED_PREFIX) for key in keys):
        raise _invalid("Tag keys that begin with aws: are reserved.")
    merged = {**existing, **{one.key: one.value or "" for one in added}}
    if len(merged) > _MOST_TAGS:
        raise Refusal("TagsLimitExceededException", f"A trail has at most {_MOST_TAGS} tags.")
    return merged


def _invalid(message: str) -> Refusal:
    return Refusal("InvalidTagParameterException", message)


def _absent(prepared: Prepared[Trail] | Absent, arn: str) -> Prepared[Trail] | Absent:
    """Operations on tags call it ResourceNotFoundException."""
    return replace(prepared, refusal=_not_found(arn)) if isinstance(prepared, Absent) else prepared


def _not_found(arn: str) -> Refusal:
    return Refusal("ResourceNotFoundException", f"Unknown trail: {arn}")


async def _tagged(call: Call, request: Any) -> Prepared[Trail] | Absent:
    parse_trail_arn(request.resource_id)
    prepared = await prepare_trail(call, request.resource_id, tag_keys(request.tags_list))
    return _absent(prepared, request.resource_id)


@operation("cloudtrail:AddTags", prepare=_tagged)
async def add_tags(
    call: Call, request: shapes.AddTagsRequest, prepared: Prepared[Trail]
) -> shapes.AddTagsResponse:
    trail = prepared.found
    require_home(call, trail)
    call.store.put(TRAILS, call.account, replace(trail, tags=with_tags(trail.tags, request.tags_list)))
    return shapes.AddTagsResponse()


@operation("cloudtrail:RemoveTags", prepare=_tagged)
async def remove_tags(
    call: Call, request: shapes.RemoveTagsRequest, prepared: Prepared[Trail]
) -> shapes.RemoveTagsResponse:
    """A tag with a value is removed only where it has this value."""
    trail = prepared.found
    require_home(call, trail)
    removed = {one.key: one.value for one in request.tags_list}
    rest = {
        key: value
        for key, value in trail.tags.items()
        if key not in removed or removed[key] not in (None, value)
    }
    call.store.put(TRAILS, call.account, replace(trail, tags=rest))
    return shapes.RemoveTagsResponse()


async def _listed(call: Call, request: shapes.ListTagsRequest) -> Prepared[None] | Absent:
    """The gate judges the first here, the others in the handler."""
    if not request.resource_id_list:
        return await no_resource(call, request)
    parse_trail_arn(request.resource_id_list[0])
    prepared = await prepare_trail(call, request.resource_id_list[0])
    return Prepared(prepared.resource, None)


@operation("cloudtrail:ListTags", prepare=_listed)
async def list_tags(
    call: Call, request: shapes.ListTagsRequest, prepared: Prepared[None]
) -> shapes.ListTagsResponse:
    if request.next_token is not None:
        raise invalid_token()
    if len(request.resource_id_list) > _MOST_LISTED:
        raise Refusal("InvalidParameterException", f"At most {_MOST_LISTED} resources are listed at once.")
    return shapes.ListTagsResponse(
        resource_tag_list=tuple([await _tags_of(call, arn) for arn in request.resource_id_list])
    )


async def _tags_of(call: Call, arn: str) -> shapes.ResourceTag:
    parse_trail_arn(arn)
    found = await prepare_trail(call, arn)
    await call.require("cloudtrail:ListTags", found.resource)
    if isinstance(found, Absent):
        raise _not_found(arn)
    tags = tuple(shapes.Tag(key=key, value=value) for key, value in found.found.tags.items())
    return shapes.ResourceTag(resource_id=arn, tags_list=tags)
