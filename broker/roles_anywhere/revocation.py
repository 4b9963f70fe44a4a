"""The revocation lists that say whether the certificates of a path are still good."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from broker.assertions.checks import CheckFailed, Checks
from broker.federation.distribution_points import ListUnavailable
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
    """The enabled lists that were imported for the anchor, and those of distribution points where it follows them.

    Raises CheckFailed for one that cannot be read, and where a certificate that names a distribution point has no
    current list of its issuer from there.
    """
    from broker.assertions.certificate_paths import parse_imported

    records = await store.find_all(REVOCATION_LISTS, anchor.account_id, anchor.crl_ids)
    found: list[Any] = []
    for one in records:
        if one is not None and one.enabled:
            try:
                found += parse_imported(one.content)
            except ValueError as error:
                raise checks.fail("revocation list", found=f"{one.arn} {error}") from None
    if anchor.follows_distribution_points:
        for one, issuer in pairwise(path):
            found += await _published(federation, one, issuer, now, checks)
    return tuple(found)


async def _published(
    federation: Federation, one: Any, issuer: Any, now: float, checks: Checks
) -> tuple[Any, ...]:
    """The lists at the first distribution point of `one` that has a current one of its issuer; nothing without any."""
    from broker.assertions.certificate_attributes import distribution_points_of
    from broker.assertions.certificate_paths import has_current_list

    points, failures = distribution_points_of(one), []
    for url in points:
        try:
            if federation.distribution_points is None:
                raise ListUnavailable("there is no client for distribution points")
            lists = await federation.distribution_points.get(url)
        except ListUnavailable as error:
            failures.append(str(error))
            continue
        if has_current_list(lists, issuer, now):
            return lists
        failures.append(f"{url} has no current list of the issuer")
    if points:
        raise _unpublished(failures, checks)
    return ()


def _unpublished(failures: Sequence[str], checks: Checks) -> CheckFailed:
    return checks.fail("distribution point", found="; ".join(failures), wanted="a current list of the issuer")
