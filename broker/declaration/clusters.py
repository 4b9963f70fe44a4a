"""Clusters of Kubernetes, which no operation creates: whose tokens are accepted is for the operator to say."""

import re
from collections.abc import Iterator

from broker.assertions.key_sets import parse_key_set
from broker.credentials.mint import LONGEST_ROLE_SESSION
from broker.declaration.associations import delete_declared, settle_associations
from broker.declaration.attempt import Attempt
from broker.declaration.declared import DeclaredAccount, DeclaredCluster, DeclaredTokenReview, value_or
from broker.declaration.source import DeclarationError
from broker.storage.collections import CLUSTERS, POD_IDENTITY_ASSOCIATIONS
from broker.storage.pod_identity_records import Cluster, TokenReview

SHORTEST_SESSION = 900  # seconds; SDKs renew credentials that expire sooner at every call

_is_name = re.compile(r"[0-9A-Za-z][A-Za-z0-9_-]{0,99}", re.ASCII).fullmatch
_is_region = re.compile(r"[a-z]{2}(?:-[a-z0-9]+){1,4}", re.ASCII).fullmatch
_is_url = re.compile(r"https?://[^\s/?#@]+[^\s?#]*", re.ASCII).fullmatch


async def settle_clusters(attempt: Attempt, account: str, wanted: DeclaredAccount) -> None:
    for name, cluster in wanted.clusters.items():
        await _settle(attempt, account, name, cluster)
    found = await attempt.store.scan(CLUSTERS, account, limit=attempt.means.quotas.clusters + 1)
    if wanted.clusters and len(found) > attempt.means.quotas.clusters:
        raise DeclarationError(
            f"{wanted.where}: an account has at most {attempt.means.quotas.clusters} clusters"
        )


async def prune_clusters(attempt: Attempt, account: str, wanted: DeclaredAccount) -> None:
    """With a cluster go its associations: they would be those of another cluster of its name."""
    for cluster in await attempt.store.scan(CLUSTERS, account):
        name = cluster.cluster_name
        if name in wanted.clusters:
            continue
        for association in await attempt.store.scan(POD_IDENTITY_ASSOCIATIONS, account, f"{name}/"):
            delete_declared(attempt, association)
        attempt.store.delete(CLUSTERS, account, name)
        attempt.note(account, "broker:DeleteCluster", "-", f"cluster {name}")


async def _settle(attempt: Attempt, account: str, name: str, wanted: DeclaredCluster) -> None:
    for fault in _faults(name, wanted):
        raise DeclarationError(f"{wanted.where}: {fault}")
    current = await attempt.store.find(CLUSTERS, account, name)
    after = Cluster(
        account_id=account,
        cluster_name=name,
        region=wanted.region,
        issuer=wanted.issuer,
        keys=wanted.keys.text,
        keys_url=wanted.keys_url,
        token_review=_review(wanted),
        node_tag=wanted.node_tag,
        session_seconds=wanted.session_seconds,
        tags=value_or(wanted.tags, current.tags if current else {}),
        created_at=current.created_at if current else attempt.now,
    )
    if current != after:
        attempt.put(
            account, CLUSTERS, after, "~" if current else "+", f"cluster {name}: issuer {wanted.issuer}"
        )
    await settle_associations(attempt, after, wanted)


def _review(wanted: DeclaredCluster) -> TokenReview | None:
    review = wanted.token_review
    if not isinstance(review, DeclaredTokenReview):
        return None
    return TokenReview(
        server=review.server,
        certificate_authority=review.certificate_authority.text,
        token_file=review.token_file,
    )


def _faults(name: str, wanted: DeclaredCluster) -> Iterator[str]:
    if not _is_name(name):
        yield "a cluster's name has letters, digits, - and _, at most 100, and begins with a letter or a digit"
    if not _is_region(wanted.region):
        yield f"{wanted.region!r} is no region"
    if not _is_url(wanted.issuer):
        yield f"issuer: {wanted.issuer!r} is no URL"
    if wanted.keys_url and not _is_url(wanted.keys_url):
        yield f"keys_url: {wanted.keys_url!r} is no URL"
    if wanted.keys.text and wanted.keys_url:
        yield "keys and keys_url exclude each other"
    if wanted.keys.text:
        yield from _faults_of_keys(wanted.keys.text)
    if not SHORTEST_SESSION <= wanted.session_seconds <= LONGEST_ROLE_SESSION:
        yield f"session_seconds is from {SHORTEST_SESSION} to {LONGEST_ROLE_SESSION}"
    review = wanted.token_review
    if isinstance(review, DeclaredTokenReview) and not review.server.startswith("https://"):
        yield f"token_review.server: {review.server!r} is not https: the token would be read on its way"


def _faults_of_keys(text: str) -> Iterator[str]:
    try:
        parse_key_set(text.encode())
    except ValueError as error:
        yield f"keys: {error}"
