"""The revocation lists that say whether the certificates of a path are still good."""

from collections.abc import Sequence
from typing import Any

from broker.assertions.checks import Checks
from broker.federation.federation import Federation
from broker.storage.store import REVOCATION_LISTS, Transaction
from broker.storage.workload_records import TrustAnchor


async def lists_for(
    federation: Federation,
    store: Transaction,
    anchor: TrustAnchor,
    path: Sequence[Any],
    now: float,
    checks: Checks,
) -> tuple[Any, ...]:
    """The enabled lists that were imported for the anchor; raises CheckFailed for one that cannot be read."""
    from broker.assertions.certificate_paths import parse_imported

    records = await store.find_all(REVOCATION_LISTS, anchor.account_id, anchor.crl_ids)
    found: list[Any] = []
    for one in records:
        if one is not None and one.enabled:
            try:
                found += parse_imported(one.content)
            except ValueError as error:
                raise checks.fail("revocation list", found=f"{one.arn} {error}") from None
    return tuple(found)
