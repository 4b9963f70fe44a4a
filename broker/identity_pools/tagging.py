"""TagResource, UntagResource and ListTagsForResource: of identity pools, by their ARN."""

from typing import Any

from msgspec.structs import replace

from broker.access.resource import Resource
from broker.errors import Refusal
from broker.identity_pools.resources import own_pool
from broker.identity_pools.tags import checked_tags
from broker.operation import Absent, Call, Prepared, operation
from broker.protocol.shapes import cognito_identity as shapes
from broker.storage.identity_pool_records import IdentityPoolRecord
from broker.storage.people_collections import IDENTITY_POOLS


async def tagged_pool(call: Call, request: Any) -> Prepared[IdentityPoolRecord] | Absent:
    arn = request.resource_arn
    pool = await own_pool(call, arn.rpartition("identitypool/")[2])
    if pool is None or pool.arn != arn:
        missing = Refusal("ResourceNotFoundException", f"Resource '{arn}' not found.")
        return Absent(Resource(arn, call.account), missing)
    return Prepared(Resource(pool.arn, tags=pool.tags), pool)


@operation("cognito-identity:TagResource", prepare=tagged_pool)
async def tag_resource(
    call: Call, request: shapes.TagResourceInput, prepared: Prepared[IdentityPoolRecord]
) -> shapes.TagResourceResponse:
    pool = prepared.found
    tags = checked_tags(call, pool.tags, request.tags)
    call.store.put(IDENTITY_POOLS, call.account, replace(pool, tags=tags))
    return shapes.TagResourceResponse()


@operation("cognito-identity:UntagResource", prepare=tagged_pool)
async def untag_resource(
    call: Call, request: shapes.UntagResourceInput, prepared: Prepared[IdentityPoolRecord]
) -> shapes.UntagResourceResponse:
    pool = prepared.found
    left = {key: value for key, value in pool.tags.items() if key not in request.tag_keys}
    call.store.put(IDENTITY_POOLS, call.account, replace(pool, tags=left))
    return shapes.UntagResourceResponse()


@operation("cognito-identity:ListTagsForResource", prepare=tagged_pool)
async def list_tags_for_resource(
    call: Call, request: shapes.ListTagsForResourceInput, prepared: Prepared[IdentityPoolRecord]
) -> shapes.ListTagsForResourceResponse:
    return shapes.ListTagsForResourceResponse(tags=prepared.found.tags)
