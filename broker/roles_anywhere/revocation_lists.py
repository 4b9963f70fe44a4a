"""Certificate revocation lists that are imported for a trust anchor."""

from typing import Any

from msgspec.structs import replace

from broker.operation import Call, Prepared, no_resource, operation
from broker.protocol.shapes import rolesanywhere as shapes
from broker.roles_anywhere.refusals import invalid, not_found
from broker.roles_anywhere.resources import (
    REVOCATION_LIST,
    TRUST_ANCHOR,
    alias_arn,
    arn_of,
    changed_alias,
    found,
    in_region,
    new_alias,
    new_uuid,
    page_of,
    previous_alias,
    switched,
)
from broker.roles_anywhere.tags import merged_tags
from broker.roles_anywhere.trust_anchors import REPOSITORY
from broker.storage.store import REVOCATION_LISTS, TRUST_ANCHORS
from broker.storage.workload_records import ImportedRevocationList, TrustAnchor

_named = found(REVOCATION_LIST, "crl_id")


def _shape(one: ImportedRevocationList, before: ImportedRevocationList | None = None) -> shapes.CrlDetail:
    return shapes.CrlDetail(
        crl_id=one.id,
        crl_arn=one.arn,
        name=one.name,
        enabled=one.enabled,
        crl_data=one.content,
        trust_anchor_arn=one.trust_anchor_arn,
        created_at=one.created_at,
        updated_at=one.updated_at,
        alias_name=one.alias or None,
        alias_arn=alias_arn(REVOCATION_LIST, one),
        previous_alias_name=None if before is None else previous_alias(before, one),
    )


def _answer(
    one: ImportedRevocationList, before: ImportedRevocationList | None = None
) -> shapes.CrlDetailResponse:
    return shapes.CrlDetailResponse(crl=_shape(one, before))


async def _require_anchor(call: Call, arn: str) -> TrustAnchor:
    """The anchor with this ARN, which is not that of an alias; raises ResourceNotFoundException."""
    prefix = arn_of(call, TRUST_ANCHOR, "")
    anchor = None
    if arn.startswith(prefix):
        anchor = await call.store.find(TRUST_ANCHOR.collection, call.account, arn.removeprefix(prefix))
    if anchor is None or anchor.arn != arn:
        raise not_found("the trust anchor")
    return anchor  # type: ignore[no-any-return]


def _require_usable(content: bytes, anchor: TrustAnchor) -> None:
    """Raises ValidationException."""
    # Imported with the first list: it takes megabytes.
    from broker.assertions.certificate_paths import parse_anchors, require_list_of

    try:
        require_list_of(content, parse_anchors(anchor.certificates, anchor.source_type == REPOSITORY))
    except ValueError as error:
        raise invalid(f"The data cannot be used as a revocation list: {error}") from None


@operation("rolesanywhere:ImportCrl", prepare=no_resource)
async def import_crl(
    call: Call, request: shapes.ImportCrlRequest, prepared: Prepared[None]
) -> shapes.CrlDetailResponse:
    anchor = await _require_anchor(call, request.trust_anchor_arn)
    _require_usable(request.crl_data, anchor)
    if len(anchor.crl_ids) >= call.quotas.crls_per_trust_anchor:
        raise invalid(f"A trust anchor has at most {call.quotas.crls_per_trust_anchor} lists.")
    one = ImportedRevocationList(
        account_id=call.account,
        region=call.facts.region,
        id=new_uuid(call),
        name=request.name,
        enabled=bool(request.enabled),
        created_at=int(call.now),
        updated_at=int(call.now),
        tags=merged_tags(call, {}, request.tags),
        alias=await new_alias(call, REVOCATION_LIST, request.alias_name),
        trust_anchor_arn=anchor.arn,
        content=request.crl_data,
    )
    _put(call, one)
    call.store.put(TRUST_ANCHORS, call.account, replace(anchor, crl_ids=(*anchor.crl_ids, one.id)))
    return _answer(one)


def _put(call: Call, one: ImportedRevocationList) -> None:
    call.store.put(REVOCATION_LISTS, call.account, one)


@operation("rolesanywhere:GetCrl", prepare=_named)
async def get_crl(
    call: Call, request: shapes.ScalarCrlRequest, prepared: Prepared[ImportedRevocationList]
) -> shapes.CrlDetailResponse:
    return _answer(prepared.found)


@operation("rolesanywhere:ListCrls", prepare=no_resource)
async def list_crls(
    call: Call, request: shapes.ListRequest, prepared: Prepared[None]
) -> shapes.ListCrlsResponse:
    lists = await in_region(call, REVOCATION_LIST)
    chosen, token = page_of(lists, request.next_token, request.page_size)
    return shapes.ListCrlsResponse(crls=tuple(map(_shape, chosen)), next_token=token)


@operation("rolesanywhere:UpdateCrl", prepare=_named)
async def update_crl(
    call: Call, request: shapes.UpdateCrlRequest, prepared: Prepared[ImportedRevocationList]
) -> shapes.CrlDetailResponse:
    before = prepared.found
    changes: dict[str, Any] = {
        "alias": await changed_alias(call, REVOCATION_LIST, before, request.alias_name)
    }
    if request.name is not None:
        changes["name"] = request.name
    if request.crl_data is not None:
        _require_usable(request.crl_data, await _require_anchor(call, before.trust_anchor_arn))
        changes["content"] = request.crl_data
    after = replace(before, updated_at=int(call.now), **changes)
    _put(call, after)
    return _answer(after, before)


@operation("rolesanywhere:DeleteCrl", prepare=_named)
async def delete_crl(
    call: Call, request: shapes.ScalarCrlRequest, prepared: Prepared[ImportedRevocationList]
) -> shapes.CrlDetailResponse:
    one = prepared.found
    call.store.delete(REVOCATION_LISTS, call.account, one.id)
    anchor = await call.store.find(TRUST_ANCHORS, call.account, one.trust_anchor_arn.rpartition("/")[2])
    if anchor is not None:
        rest = tuple(each for each in anchor.crl_ids if each != one.id)
        call.store.put(TRUST_ANCHORS, call.account, replace(anchor, crl_ids=rest))
    return _answer(one)


@operation("rolesanywhere:EnableCrl", prepare=_named)
async def enable_crl(
    call: Call, request: shapes.ScalarCrlRequest, prepared: Prepared[ImportedRevocationList]
) -> shapes.CrlDetailResponse:
    return _answer(switched(call, REVOCATION_LIST, prepared.found, enabled=True))


@operation("rolesanywhere:DisableCrl", prepare=_named)
async def disable_crl(
    call: Call, request: shapes.ScalarCrlRequest, prepared: Prepared[ImportedRevocationList]
) -> shapes.CrlDetailResponse:
    return _answer(switched(call, REVOCATION_LIST, prepared.found, enabled=False))
