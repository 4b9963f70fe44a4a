"""TagResource, UntagResource and ListTagsForResource: of clusters and of associations, by their ARN."""

from typing import Any

from msgspec.structs import replace

from broker.access.resource import Resource
from broker.errors import Refusal
from broker.names.arn import parse_arn
from broker.operation import Absent, Call, Prepared, operation
from broker.pod_identity.associations import find_by_id
from broker.pod_identity.tags import checked_tags
from broker.protocol.shapes import eks as shapes
from broker.storage.collections import CLUSTERS, POD_IDENTITY_ASSOCIATIONS
from broker.storage.pod_identity_records import Cluster, PodIdentityAssociation

_BAD_REQUEST = "BadRequestException"

Tagged = Cluster | PodIdentityAssociation


async def found_tagged(call: Call, request: Any) -> Prepared[Tagged] | Absent:
    """Of the caller's account alone: what another account has does not exist here."""
    arn = request.resource_arn
    found = await _find(call, arn)
    if found is None or found.arn != arn:
        missing = Refusal("NotFoundException", f"No resource found with the ARN {arn}.")
        return Absent(Resource(arn, call.account), missing)
    return Prepared(Resource(arn, tags=found.tags), found)


async def _find(call: Call, arn: str) -> Tagged | None:
    try:
        kind, _, place = parse_arn(arn).resource.partition("/")
    except ValueError:
        return None
    if kind == "cluster":
        return await call.store.find(CLUSTERS, call.account, place)
    if kind == "podidentityassociation":
        return await find_by_id(call, *place.partition("/")[::2])
    return None


@operation("eks:TagResource", prepare=found_tagged)
async def tag_resource(
    call: Call, request: shapes.TagResourceRequest, prepared: Prepared[Tagged]
) -> shapes.TagResourceResponse:
    _put(call, prepared.found, checked_tags(call, prepared.found.tags, request.tags, _BAD_REQUEST))
    return shapes.TagResourceResponse()


@operation("eks:UntagResource", prepare=found_tagged)
async def untag_resource(
    call: Call, request: shapes.UntagResourceRequest, prepared: Prepared[Tagged]
) -> shapes.UntagResourceResponse:
    left = {key: value for key, value in prepared.found.tags.items() if key not in request.tag_keys}
    _put(call, prepared.found, left)
    return shapes.UntagResourceResponse()


@operation("eks:ListTagsForResource", prepare=found_tagged)
async def list_tags_for_resource(
    call: Call, request: shapes.ListTagsForResourceRequest, prepared: Prepared[Tagged]
) -> shapes.ListTagsForResourceResponse:
    return shapes.ListTagsForResourceResponse(tags=prepared.found.tags)


def _put(call: Call, found: Tagged, tags: dict[str, str]) -> None:
    if isinstance(found, Cluster):
        call.store.put(CLUSTERS, call.account, replace(found, tags=tags))
    else:
        call.store.put(POD_IDENTITY_ASSOCIATIONS, call.account, replace(found, tags=tags))
