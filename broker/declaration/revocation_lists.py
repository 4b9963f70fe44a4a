"""Revocation lists of a trust anchor that a file declares. An older list replaces no newer one."""

from msgspec.structs import replace

from broker.declaration.attempt import Attempt
from broker.declaration.declared import DeclaredRevocationList, DeclaredTrustAnchor
from broker.declaration.declared_ids import declared_id
from broker.declaration.source import DeclarationError
from broker.roles_anywhere.trust_anchors import REPOSITORY
from broker.storage.store import REVOCATION_LISTS
from broker.storage.workload_records import ImportedRevocationList, TrustAnchor


async def settle_revocation_lists(
    attempt: Attempt, anchor: TrustAnchor, wanted: DeclaredTrustAnchor
) -> TrustAnchor:
    """The anchor with the lists of the file, and no others; where it has no such key, none is changed."""
    if not isinstance(wanted.revocation_lists, dict):
        return anchor
    ids = tuple(
        [
            await _settle(attempt, anchor, name, one, wanted.type == REPOSITORY)
            for name, one in wanted.revocation_lists.items()
        ]
    )
    if len(ids) > attempt.means.quotas.crls_per_trust_anchor:
        raise DeclarationError(f"{wanted.where}: a trust anchor has fewer lists")
    for gone in set(anchor.crl_ids) - set(ids):
        attempt.store.delete(REVOCATION_LISTS, anchor.account_id, gone)
        attempt.note(anchor.account_id, "broker:DeleteRevocationList", "-", f"revocation list {gone}")
    if set(anchor.crl_ids) == set(ids):
        return anchor
    return replace(anchor, crl_ids=ids)


async def _settle(
    attempt: Attempt, anchor: TrustAnchor, name: str, wanted: DeclaredRevocationList, is_repository: bool
) -> str:
    account = anchor.account_id
    content = wanted.content.text.encode()
    _require_usable(content, anchor, wanted, is_repository)
    list_id = wanted.id or declared_id(account, anchor.region, "crl", f"{anchor.id}/{name}")
    current = await attempt.store.find(REVOCATION_LISTS, account, list_id)
    if current is not None and current.trust_anchor_arn != anchor.arn:
        raise DeclarationError(f"{wanted.where}: {list_id} is a list of {current.trust_anchor_arn}")
    after = ImportedRevocationList(
        account_id=account,
        region=anchor.region,
        id=list_id,
        name=name,
        enabled=wanted.enabled,
        created_at=current.created_at if current else attempt.now,
        updated_at=current.updated_at if current else attempt.now,
        tags=current.tags if current else {},
        alias=current.alias if current else "",
        trust_anchor_arn=anchor.arn,
        content=current.content if current and not _is_newer(content, current.content) else content,
    )
    if current != after:
        after = replace(after, updated_at=attempt.now)
        attempt.put(account, REVOCATION_LISTS, after, "~" if current else "+", f"revocation list {name}")
    return list_id


def _require_usable(
    content: bytes, anchor: TrustAnchor, wanted: DeclaredRevocationList, is_repository: bool
) -> None:
    """Raises DeclarationError."""
    # Imported with the first list: it takes megabytes.
    from broker.assertions.certificate_paths import parse_anchors, require_list_of

    try:
        require_list_of(content, parse_anchors(anchor.certificates, is_repository))
    except ValueError as error:
        raise DeclarationError(f"{wanted.where}: content: {error}") from None


def _is_newer(content: bytes, than: bytes) -> bool:
    from broker.assertions.revocation_lists import latest_issue

    return latest_issue(content) > latest_issue(than)
