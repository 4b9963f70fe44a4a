"""StartResourceScan, ListAnalyzedResources, GetAnalyzedResource: what analyzers of external access look at."""

from msgspec.structs import replace

from broker.analyzer.criteria import status_of
from broker.analyzer.looking import OF_UNUSED_ACCESS, AnalyzedPolicy, analyzed_policies, zone_of
from broker.analyzer.refusals import invalid, not_found
from broker.analyzer.resources import current_findings, named, page_of, put_analyzer
from broker.operation import Call, Prepared, operation
from broker.protocol.shapes import accessanalyzer as shapes
from broker.storage.analyzer_records import Analyzer, AnalyzerFinding

_analyzer = named("analyzer_arn")


async def _analyzed(call: Call, analyzer: Analyzer) -> list[AnalyzedPolicy]:
    """Raises ValidationException for an analyzer of unused access, which looks at no policy."""
    if analyzer.type in OF_UNUSED_ACCESS:
        raise invalid(f"An analyzer of the type {analyzer.type} analyzes no policies of resources.")
    return await analyzed_policies(call.store, await zone_of(call, analyzer))


async def _get(call: Call, analyzer: Analyzer, arn: str) -> AnalyzedPolicy:
    for one in await _analyzed(call, analyzer):
        if one.arn == arn:
            return one
    raise not_found("the resource")


@operation("access-analyzer:StartResourceScan", prepare=_analyzer)
async def start_resource_scan(
    call: Call, request: shapes.StartResourceScanRequest, prepared: Prepared[Analyzer]
) -> None:
    """The scan has ended when the request is answered."""
    analyzer = prepared.found
    found = await _get(call, analyzer, request.resource_arn)
    if request.resource_owner_account not in (None, found.owner):
        raise not_found("the resource")
    await current_findings(call, analyzer)
    put_analyzer(call, replace(analyzer, last_resource=found.arn, last_resource_at=int(call.now)))


@operation("access-analyzer:ListAnalyzedResources", prepare=_analyzer)
async def list_analyzed_resources(
    call: Call, request: shapes.ListAnalyzedResourcesRequest, prepared: Prepared[Analyzer]
) -> shapes.ListAnalyzedResourcesResponse:
    found = await _analyzed(call, prepared.found)
    chosen = [one for one in found if request.resource_type in (None, one.type)]
    shown, token = page_of(chosen, lambda one: one.arn, request.next_token, request.max_results)
    return shapes.ListAnalyzedResourcesResponse(
        analyzed_resources=tuple(
            shapes.AnalyzedResourceSummary(
                resource_arn=one.arn, resource_type=one.type, resource_owner_account=one.owner
            )
            for one in shown
        ),
        next_token=token,
    )


@operation("access-analyzer:GetAnalyzedResource", prepare=_analyzer)
async def get_analyzed_resource(
    call: Call, request: shapes.GetAnalyzedResourceRequest, prepared: Prepared[Analyzer]
) -> shapes.GetAnalyzedResourceResponse:
    analyzer = prepared.found
    resource = await _get(call, analyzer, request.resource_arn)
    findings = [
        one for one in (await current_findings(call, analyzer)).values() if one.resource == resource.arn
    ]
    return shapes.GetAnalyzedResourceResponse(resource=_shape(call, resource, findings))


def _shape(call: Call, resource: AnalyzedPolicy, findings: list[AnalyzerFinding]) -> shapes.AnalyzedResource:
    """Actions and publicity are those of the access that is there; `status` is of the most open finding."""
    present = [one for one in findings if not one.resolved_at]
    statuses = {status_of(one) for one in findings}
    return shapes.AnalyzedResource(
        resource_arn=resource.arn,
        resource_type=resource.type,
        resource_owner_account=resource.owner,
        created_at=resource.created_at,
        updated_at=resource.updated_at,
        analyzed_at=int(call.now),
        is_public=any(one.is_public for one in present),
        actions=tuple(sorted({action for one in present for action in one.actions})),
        shared_via=("POLICY",) if present else (),
        status=next((one for one in ("ACTIVE", "ARCHIVED", "RESOLVED") if one in statuses), None),
    )
