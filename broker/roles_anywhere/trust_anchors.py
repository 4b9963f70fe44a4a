"""Trust anchors: authorities whose certificates prove workloads, or certificates that do so themselves."""

from typing import Any

from msgspec.structs import replace

from broker.operation import Call, Prepared, no_resource, operation
from broker.protocol.shapes import rolesanywhere as shapes
from broker.roles_anywhere.anchor_shapes import anchor_shape
from broker.roles_anywhere.notifications import with_notices
from broker.roles_anywhere.refusals import invalid
from broker.roles_anywhere.resources import (
    TRUST_ANCHOR,
    changed_alias,
    found,
    in_region,
    new_alias,
    new_uuid,
    page_of,
    require_room,
    switched,
)
from broker.roles_anywhere.tags import merged_tags
from broker.storage.store import REVOCATION_LISTS, TRUST_ANCHORS
from broker.storage.workload_records import TrustAnchor

BUNDLE, REPOSITORY = "CERTIFICATE_BUNDLE", "SELF_SIGNED_REPOSITORY"

_named = found(TRUST_ANCHOR, "trust_anchor_id")


def _answer(anchor: TrustAnchor, before: TrustAnchor | None = None) -> shapes.TrustAnchorDetailResponse:
    return shapes.TrustAnchorDetailResponse(trust_anchor=anchor_shape(anchor, before))


def require_source(call: Call, source: shapes.Source) -> tuple[str, str]:
    """The type and the certificates of a trust anchor; raises ValidationException."""
    if source.source_type not in (BUNDLE, REPOSITORY):
        raise invalid(f"The source type has to be {BUNDLE} or {REPOSITORY}: there is no AWS Private CA here.")
    data = source.source_data
    if data is None or data.x509_certificate_data is None or data.acm_pca_arn is not None:
        raise invalid("The source data has to be x509CertificateData, and nothing else.")
    # Imported with the first anchor: it takes megabytes.
    from broker.assertions.certificate_paths import parse_anchors

    try:
        anchors = parse_anchors(data.x509_certificate_data, source.source_type == REPOSITORY)
    except ValueError as error:
        raise invalid(str(error)) from None
    if source.source_type == BUNDLE and len(anchors.certificates) > call.quotas.certificates_per_trust_anchor:
        raise invalid(f"A trust anchor has at most {call.quotas.certificates_per_trust_anchor} certificates.")
    return source.source_type, data.x509_certificate_data


@operation("rolesanywhere:CreateTrustAnchor", prepare=no_resource)
async def create_trust_anchor(
    call: Call, request: shapes.CreateTrustAnchorRequest, prepared: Prepared[None]
) -> shapes.TrustAnchorDetailResponse:
    source_type, certificates = require_source(call, request.source)
    await require_room(call, TRUST_ANCHOR, call.quotas.trust_anchors)
    anchor = TrustAnchor(
        account_id=call.account,
        region=call.facts.region,
        id=new_uuid(call),
        name=request.name,
        enabled=bool(request.enabled),
        created_at=int(call.now),
        updated_at=int(call.now),
        tags=merged_tags(call, {}, request.tags),
        alias=await new_alias(call, TRUST_ANCHOR, request.alias_name),
        source_type=source_type,
        certificates=certificates,
        follows_distribution_points=bool(request.crl_dp_revocation_enabled),
    )
    anchor = with_notices(anchor, request.notification_settings)
    _put(call, anchor)
    return _answer(anchor)


def _put(call: Call, anchor: TrustAnchor) -> None:
    call.store.put(TRUST_ANCHORS, call.account, anchor)


@operation("rolesanywhere:GetTrustAnchor", prepare=_named)
async def get_trust_anchor(
    call: Call, request: shapes.ScalarTrustAnchorRequest, prepared: Prepared[TrustAnchor]
) -> shapes.TrustAnchorDetailResponse:
    return _answer(prepared.found)


@operation("rolesanywhere:ListTrustAnchors", prepare=no_resource)
async def list_trust_anchors(
    call: Call, request: shapes.ListRequest, prepared: Prepared[None]
) -> shapes.ListTrustAnchorsResponse:
    anchors = await in_region(call, TRUST_ANCHOR)
    chosen, token = page_of(anchors, request.next_token, request.page_size)
    return shapes.ListTrustAnchorsResponse(trust_anchors=tuple(map(anchor_shape, chosen)), next_token=token)


@operation("rolesanywhere:UpdateTrustAnchor", prepare=_named)
async def update_trust_anchor(
    call: Call, request: shapes.UpdateTrustAnchorRequest, prepared: Prepared[TrustAnchor]
) -> shapes.TrustAnchorDetailResponse:
    before = prepared.found
    changes: dict[str, Any] = {"alias": await changed_alias(call, TRUST_ANCHOR, before, request.alias_name)}
    if request.name is not None:
        changes["name"] = request.name
    if request.source is not None:
        changes["source_type"], changes["certificates"] = require_source(call, request.source)
    if request.crl_dp_revocation_enabled is not None:
        changes["follows_distribution_points"] = request.crl_dp_revocation_enabled
    after = replace(before, updated_at=int(call.now), **changes)
    _put(call, after)
    return _answer(after, before)


@operation("rolesanywhere:DeleteTrustAnchor", prepare=_named)
async def delete_trust_anchor(
    call: Call, request: shapes.ScalarTrustAnchorRequest, prepared: Prepared[TrustAnchor]
) -> shapes.TrustAnchorDetailResponse:
    """Its revocation lists go with it: they say nothing of any other."""
    anchor = prepared.found
    for one in anchor.crl_ids:
        call.store.delete(REVOCATION_LISTS, call.account, one)
    call.store.delete(TRUST_ANCHORS, call.account, anchor.id)
    return _answer(anchor)


@operation("rolesanywhere:EnableTrustAnchor", prepare=_named)
async def enable_trust_anchor(
    call: Call, request: shapes.ScalarTrustAnchorRequest, prepared: Prepared[TrustAnchor]
) -> shapes.TrustAnchorDetailResponse:
    return _answer(switched(call, TRUST_ANCHOR, prepared.found, enabled=True))


@operation("rolesanywhere:DisableTrustAnchor", prepare=_named)
async def disable_trust_anchor(
    call: Call, request: shapes.ScalarTrustAnchorRequest, prepared: Prepared[TrustAnchor]
) -> shapes.TrustAnchorDetailResponse:
    return _answer(switched(call, TRUST_ANCHOR, prepared.found, enabled=False))
