"""Which pod asks: proven by its service account token, for one cluster."""

from functools import lru_cache

from broker.assertions.checks import CheckFailed, Checks
from broker.assertions.key_sets import VerificationKey, parse_key_set
from broker.assertions.service_account_token import (
    PodClaims,
    verify_review,
    verify_service_account_token,
)
from broker.assertions.unverified_token import UnverifiedToken, read_token
from broker.errors import Refusal
from broker.federation.provider_keys import ProviderUnreachable
from broker.federation.reach import FetchFailed
from broker.operation import Call
from broker.storage.pod_identity_records import Cluster, TokenReview

_INVALID = "The Kubernetes service account token in the request is not valid for this cluster."
_EXPIRED = "The Kubernetes service account token in the request has expired."
_OTHER_NODE = "The Kubernetes service account token in the request is of a pod on another node."


async def proven_pod(
    call: Call, cluster: Cluster, unverified_token: str, stated_node: str | None
) -> PodClaims:
    """The pod that the token was made for. Raises Refusal: the client's sentence is vague, the journal's exact."""
    checks = Checks()
    try:
        token = read_token(unverified_token, checks)
        keys = await _keys(call, cluster, token, checks)
        pod = verify_service_account_token(
            token, keys, issuer=cluster.issuer, now=call.now, checks=checks, leeway=call.federation.leeway
        )
        if cluster.token_review is not None:
            # INVARIANT: where there are no keys, this alone proves the token.
            verify_review(await _review(call, cluster.token_review, unverified_token, checks), pod, checks)
    except CheckFailed as failed:
        raise _refusal_of(failed) from None
    _require_node(call, cluster, pod, stated_node)
    return pod


async def _review(call: Call, at: TokenReview, unverified_token: str, checks: Checks) -> bytes:
    assert call.federation.token_reviews is not None, "it is opened with federation"
    try:
        return await call.federation.token_reviews.ask(at, unverified_token)
    except FetchFailed as error:
        failed = checks.fail("review", found=error, wanted=f"an answer of {at.server}")
        raise _unavailable("The API server of the cluster cannot be asked now.", failed) from None


async def _keys(
    call: Call, cluster: Cluster, token: UnverifiedToken, checks: Checks
) -> tuple[VerificationKey, ...] | None:
    """None where the API server alone says whether a token is good."""
    if cluster.keys:
        return _parsed(cluster.keys)
    if cluster.token_review is not None and not cluster.keys_url:
        return None
    try:
        return await call.federation.keys.get(cluster.issuer, token.key_id, location=cluster.keys_url)
    except ProviderUnreachable as error:
        wanted = cluster.keys_url or cluster.issuer
        failed = checks.fail("cluster's keys", found=error, wanted=f"the keys that {wanted} publishes")
        raise _unavailable("The keys of the cluster cannot be fetched now.", failed) from None


def _unavailable(message: str, failed: CheckFailed) -> Refusal:
    return Refusal("ServiceUnavailableException", message, reason=f"check failed: {failed}")


@lru_cache(maxsize=256)
def _parsed(keys: str) -> tuple[VerificationKey, ...]:
    return parse_key_set(keys.encode())


def _refusal_of(failed: CheckFailed) -> Refusal:
    reason = f"check failed: {failed}"
    if failed.check.name == "expiry":
        return Refusal("ExpiredTokenException", _EXPIRED, reason=reason)
    return Refusal("InvalidTokenException", _INVALID, reason=reason)


def _require_node(call: Call, cluster: Cluster, pod: PodClaims, stated_node: str | None) -> None:
    """A token is used by the node that runs its pod, where both are known.

    What the request states is not proven: it keeps an honest agent from a stolen token. The principal tag is: it comes
    from the credentials of the node, and where the operator named one, it is required.
    """
    if stated_node and pod.node_name and stated_node != pod.node_name:
        raise _other_node(f"the request names the node {stated_node}, the token {pod.node_name}")
    if not cluster.node_tag:
        return
    proven_node = call.caller.tags.get(cluster.node_tag, "")
    if not pod.node_name or proven_node != pod.node_name:
        raise _other_node(
            f"the caller's tag {cluster.node_tag} is {proven_node!r}, the token's node {pod.node_name!r}"
        )


def _other_node(reason: str) -> Refusal:
    return Refusal("AccessDeniedException", _OTHER_NODE, reason=reason)
