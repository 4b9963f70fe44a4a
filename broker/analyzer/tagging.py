"""TagResource, UntagResource, ListTagsForResource."""

from msgspec.structs import replace

from broker.analyzer.resources import named, put_analyzer
from broker.analyzer.tags import checked_tags
from broker.operation import Call, Prepared, operation
from broker.protocol.shapes import accessanalyzer as shapes
from broker.storage.analyzer_records import Analyzer

_named = named("resource_arn")


@operation("access-analyzer:TagResource", prepare=_named)
async def tag_resource(
    call: Call, request: shapes.TagResourceRequest, prepared: Prepared[Analyzer]
) -> shapes.TagResourceResponse:
    analyzer = prepared.found
    put_analyzer(call, replace(analyzer, tags=checked_tags(call, analyzer.tags, request.tags)))
    return shapes.TagResourceResponse()


@operation("access-analyzer:UntagResource", prepare=_named)
async def untag_resource(
    call: Call, request: shapes.UntagResourceRequest, prepared: Prepared[Analyzer]
) -> shapes.UntagResourceResponse:
    analyzer = prepared.found
    rest = {key: value for key, value in analyzer.tags.items() if key not in request.tag_keys}
    put_analyzer(call, replace(analyzer, tags=rest))
    return shapes.UntagResourceResponse()


@operation("access-analyzer:ListTagsForResource", prepare=_named)
async def list_tags_for_resource(
    call: Call, request: shapes.ListTagsForResourceRequest, prepared: Prepared[Analyzer]
) -> shapes.ListTagsForResourceResponse:
    return shapes.ListTagsForResourceResponse(tags=prepared.found.tags)
