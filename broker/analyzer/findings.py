"""ListFindings, GetFinding, their second versions, and UpdateFindings."""

from typing import Any

import msgspec
from msgspec.structs import replace

from broker.analyzer.criteria import attributes_of, meets, read_criteria, status_of
from broker.analyzer.looking import (
    EXTERNAL,
    OF_UNUSED_ACCESS,
    UNUSED_KEY,
    UNUSED_PASSWORD,
    UNUSED_PERMISSION,
    UNUSED_ROLE,
)
from broker.analyzer.refusals import invalid, not_found
from broker.analyzer.resources import current_findings, named, page_of, put_finding
from broker.operation import Call, Prepared, operation
from broker.protocol.shapes import accessanalyzer as shapes
from broker.storage.analyzer_records import Analyzer, AnalyzerFinding, UnusedService

_SOURCES = (shapes.FindingSource(type="POLICY"),)
_MOST_UPDATED = 100
_analyzer = named("analyzer_arn")


class _Row(msgspec.Struct, frozen=True):
    """A finding at its place in the list: `place` sorts."""

    place: str
    finding: AnalyzerFinding


class _Detail(msgspec.Struct, frozen=True):
    """A part of a finding at its place in the list."""

    place: str
    detail: shapes.FindingDetails


async def _listed(call: Call, analyzer: Analyzer, request: Any) -> tuple[list[AnalyzerFinding], str | None]:
    """A page of the findings that meet the filter; without an order, by id. Raises ValidationException."""
    criteria = read_criteria(request.filter)
    found = [one for one in (await current_findings(call, analyzer)).values() if meets(one, criteria)]
    rows = [_Row(one.finding_id, one) for one in found]
    if request.sort is not None and request.sort.attribute_name:
        name, is_descending = request.sort.attribute_name, request.sort.order_by == "DESC"
        read_criteria({name: shapes.Criterion(exists=True)})
        found.sort(key=lambda one: (attributes_of(one).get(name, ""), one.finding_id), reverse=is_descending)
        rows = [_Row(f"{number:012}", one) for number, one in enumerate(found)]
    shown, token = page_of(rows, lambda row: row.place, request.next_token, request.max_results)
    return [row.finding for row in shown], token


def _require_external(analyzer: Analyzer) -> None:
    """The first version of the operations knows external access alone."""
    if analyzer.type in OF_UNUSED_ACCESS:
        raise invalid(f"An analyzer of the type {analyzer.type} has findings of the second version only.")


@operation("access-analyzer:ListFindings", prepare=_analyzer)
async def list_findings(
    call: Call, request: shapes.ListFindingsRequest, prepared: Prepared[Analyzer]
) -> shapes.ListFindingsResponse:
    _require_external(prepared.found)
    found, token = await _listed(call, prepared.found, request)
    return shapes.ListFindingsResponse(
        findings=tuple(shapes.FindingSummary(**_external(call, one)) for one in found), next_token=token
    )


# Policies know the second versions by the names of the first: the reference has no other.
@operation("access-analyzer:ListFindingsV2", prepare=_analyzer, judged_as="access-analyzer:ListFindings")
async def list_findings_v2(
    call: Call, request: shapes.ListFindingsV2Request, prepared: Prepared[Analyzer]
) -> shapes.ListFindingsV2Response:
    found, token = await _listed(call, prepared.found, request)
    return shapes.ListFindingsV2Response(
        findings=tuple(shapes.FindingSummaryV2(**_common(call, one), finding_type=one.type) for one in found),
        next_token=token,
    )


async def _get(call: Call, analyzer: Analyzer, finding_id: str) -> AnalyzerFinding:
    """Raises ResourceNotFoundException."""
    found = (await current_findings(call, analyzer)).get(finding_id)
    if found is None:
        raise not_found("the finding")
    return found


@operation("access-analyzer:GetFinding", prepare=_analyzer)
async def get_finding(
    call: Call, request: shapes.GetFindingRequest, prepared: Prepared[Analyzer]
) -> shapes.GetFindingResponse:
    _require_external(prepared.found)
    found = await _get(call, prepared.found, request.id)
    return shapes.GetFindingResponse(finding=shapes.Finding(**_external(call, found)))


@operation("access-analyzer:GetFindingV2", prepare=_analyzer, judged_as="access-analyzer:GetFinding")
async def get_finding_v2(
    call: Call, request: shapes.GetFindingV2Request, prepared: Prepared[Analyzer]
) -> shapes.GetFindingV2Response:
    found = await _get(call, prepared.found, request.id)
    rows = [_Detail(f"{number:06}", one) for number, one in enumerate(_details(found))]
    shown, token = page_of(rows, lambda row: row.place, request.next_token, request.max_results)
    details = tuple(row.detail for row in shown)
    return shapes.GetFindingV2Response(
        **_common(call, found), finding_type=found.type, finding_details=details, next_token=token
    )


@operation("access-analyzer:UpdateFindings", prepare=_analyzer)
async def update_findings(
    call: Call, request: shapes.UpdateFindingsRequest, prepared: Prepared[Analyzer]
) -> None:
    """Archives or makes active again, by ids or all of a resource; what is resolved stays so."""
    if bool(request.ids) is bool(request.resource_arn):
        raise invalid("Name either ids or a resourceArn.")
    if len(request.ids) > _MOST_UPDATED:
        raise invalid(f"At most {_MOST_UPDATED} findings are updated at once.")
    found = await current_findings(call, prepared.found)
    if any(one not in found for one in request.ids):
        raise not_found("the finding")
    is_archived = request.status == "ARCHIVED"
    for one in found.values():
        is_meant = one.finding_id in request.ids or one.resource == request.resource_arn
        if is_meant and not one.resolved_at and one.is_archived is not is_archived:
            put_finding(call, replace(one, is_archived=is_archived, updated_at=int(call.now)))


def _common(call: Call, one: AnalyzerFinding) -> dict[str, Any]:
    return {
        "id": one.finding_id,
        "resource": one.resource,
        "resource_type": one.resource_type,
        "resource_owner_account": one.owner,
        "status": status_of(one),
        "created_at": one.created_at,
        "updated_at": one.updated_at,
        "analyzed_at": one.resolved_at or int(call.now),
    }


def _external(call: Call, one: AnalyzerFinding) -> dict[str, Any]:
    return {**_common(call, one), **_access(one)}


def _access(one: AnalyzerFinding) -> dict[str, Any]:
    return {
        "principal": one.principal,
        "action": one.actions,
        "condition": one.conditions,
        "is_public": one.is_public,
        "sources": _SOURCES,
    }


def _details(one: AnalyzerFinding) -> list[shapes.FindingDetails]:
    """Of unused permissions, one for each service."""
    if one.type != UNUSED_PERMISSION:
        return [_detail(one)]
    return [shapes.FindingDetails(unused_permission_details=_unused(service)) for service in one.permissions]


def _unused(service: UnusedService) -> shapes.UnusedPermissionDetails:
    return shapes.UnusedPermissionDetails(
        service_namespace=service.service,
        last_accessed=service.last_accessed,
        actions=tuple(
            shapes.UnusedAction(action=one.action, last_accessed=one.last_accessed) for one in service.actions
        ),
    )


def _detail(one: AnalyzerFinding) -> shapes.FindingDetails:
    if one.type == EXTERNAL:
        return shapes.FindingDetails(external_access_details=shapes.ExternalAccessDetails(**_access(one)))
    if one.type == UNUSED_ROLE:
        role = shapes.UnusedIamRoleDetails(last_accessed=one.last_accessed)
        return shapes.FindingDetails(unused_iam_role_details=role)
    if one.type == UNUSED_PASSWORD:
        password = shapes.UnusedIamUserPasswordDetails(last_accessed=one.last_accessed)
        return shapes.FindingDetails(unused_iam_user_password_details=password)
    assert one.type == UNUSED_KEY
    key = shapes.UnusedIamUserAccessKeyDetails(
        access_key_id=one.access_key_id, last_accessed=one.last_accessed
    )
    return shapes.FindingDetails(unused_iam_user_access_key_details=key)
