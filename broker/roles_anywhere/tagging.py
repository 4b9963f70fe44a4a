"""TagResource, UntagResource, ListTagsForResource."""

from typing import Any

from msgspec.structs import replace

from broker.access.resource import resource_of
from broker.operation import Absent, Call, Prepared, no_resource, operation
from broker.protocol.shapes import rolesanywhere as shapes
from broker.roles_anywhere.refusals import not_found
from broker.roles_anywhere.resources import KINDS, RegionalKind, arn_of, find_record
from broker.roles_anywhere.tags import merged_tags, tag_shapes


async def _find_tagged(call: Call, arn: str) -> tuple[RegionalKind, Any] | None:
    """The resource with this ARN, which is not that of an alias."""
    for kind in KINDS:
        if arn.startswith(arn_of(call, kind, "")):
            record = await find_record(call, kind, arn)
            return None if record is None else (kind, record)
    return None


async def _tagged(call: Call, request: Any) -> Prepared[tuple[RegionalKind, Any]] | Absent:
    found = await _find_tagged(call, request.resource_arn)
    if found is None:
        return Absent(resource_of(request.resource_arn, None), not_found("the resource"))
    return Prepared(resource_of(request.resource_arn, found[1]), found)


@operation("rolesanywhere:TagResource", prepare=_tagged)
async def tag_resource(
    call: Call, request: shapes.TagResourceRequest, prepared: Prepared[tuple[RegionalKind, Any]]
) -> shapes.TagResourceResponse:
    kind, record = prepared.found
    tags = merged_tags(call, record.tags, request.tags)
    call.store.put(kind.collection, call.account, replace(record, tags=tags))
    return shapes.TagResourceResponse()


@operation("rolesanywhere:UntagResource", prepare=_tagged)
async def untag_resource(
    call: Call, request: shapes.UntagResourceRequest, prepared: Prepared[tuple[RegionalKind, Any]]
) -> shapes.UntagResourceResponse:
    kind, record = prepared.found
    rest = {key: value for key, value in record.tags.items() if key not in request.tag_keys}
    call.store.put(kind.collection, call.account, replace(record, tags=rest))
    return shapes.UntagResourceResponse()


@operation("rolesanywhere:ListTagsForResource", prepare=no_resource)
async def list_tags_for_resource(
    call: Call, request: shapes.ListTagsForResourceRequest, prepared: Prepared[None]
) -> shapes.ListTagsForResourceResponse:
    found = await _find_tagged(call, request.resource_arn)
    if found is None:
        raise not_found("the resource")
    return shapes.ListTagsForResourceResponse(tags=tag_shapes(found[1].tags))
