"""Which pod asks: proven by its service account token, for one cluster."""

from functools import lru_cache

from broker.assertions.checks import CheckFailed, Checks
from broker.assertions.json_web_token import UnverifiedToken, read_token
from broker.assertions.key_sets import VerificationKey, parse_key_set
from broker.assertions.service_account_token import PodClaims, verify_service_account_token
from broker.errors import Refusal
from broker.federation.provider_keys import ProviderUnreachable
from broker.operation import Call
from broker.storage.pod_identity_records import Cluster

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
    except CheckFailed as failed:
        raise _refusal_of(failed) from None
    _require_node(call, cluster, pod, stated_node)
    return pod


async def _keys(
    call: Call, cluster: Cluster, token: UnverifiedToken, checks: Checks
) -> tuple[VerificationKey, ...]:
    if cluster.keys:
        return _parsed(cluster.keys)
    try:
        return await call.federation.keys.get(cluster.issuer, token.key_id, location=cluster.keys_url)
    except ProviderUnreachable as error:
        wanted = cluster.keys_url or cluster.issuer
        failed = checks.fail("cluster's keys", found=error, wanted=f"the keys that {wanted} publishes")
        raise Refusal(
            "ServiceUnavailableException",
            "The keys of the cluster cannot be fetched now.",
            reason=f"check failed: {failed}",
        ) from None


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
