"""Service account tokens: what is read of a good one, and which check refuses each other one."""

import json
from typing import Any

import pytest

from broker.assertions.checks import CheckFailed, Checks
from broker.assertions.key_sets import parse_key_set
from broker.assertions.service_account_token import (
    AUDIENCE,
    PodClaims,
    verify_review,
    verify_service_account_token,
)
from broker.assertions.unverified_token import read_token
from tests.kubernetes import KubernetesCluster, Pod

CLUSTER = KubernetesCluster()
KEYS = parse_key_set(json.dumps(CLUSTER.key_set).encode())
POD = Pod("web-0")


def verify(claims: dict[str, Any], *, later: float = 0) -> PodClaims:
    checks = Checks()
    token = read_token(CLUSTER.sign(claims), checks)
    now = CLUSTER.claims(POD)["iat"] + later
    return verify_service_account_token(token, KEYS, issuer=CLUSTER.issuer, now=now, checks=checks)


def test_a_good_token_says_which_pod_it_is_of() -> None:
    pod = verify(CLUSTER.claims(POD))
    assert (pod.namespace, pod.service_account, pod.pod_name) == ("apps", "web", "web-0")
    assert (pod.pod_uid, pod.node_name) == (POD.uid, "node-1")


def test_a_token_of_an_older_cluster_names_no_node() -> None:
    claims = CLUSTER.claims(POD)
    del claims["kubernetes.io"]["node"]
    assert verify(claims).node_name == ""


def test_a_token_lasts_as_long_as_its_cluster_made_it_last() -> None:
    """Kubernetes renews what it mounts; the day of STS is no limit here."""
    assert verify(CLUSTER.claims(POD, lifetime=10 * 86_400), later=5 * 86_400)


def without(claims: dict[str, Any], *path: str) -> dict[str, Any]:
    inner = claims
    for step in path[:-1]:
        inner = inner[step]
    del inner[path[-1]]
    return claims


@pytest.mark.parametrize(
    ("claims", "check"),
    [
        ({**CLUSTER.claims(POD), "iss": "https://other"}, "issuer"),
        ({**CLUSTER.claims(POD), "aud": AUDIENCE + ".example"}, "audience"),
        (without(CLUSTER.claims(POD), "aud"), "audience"),
        (without(CLUSTER.claims(POD), "exp"), "exp"),
        (without(CLUSTER.claims(POD), "kubernetes.io"), "kubernetes.io"),
        (without(CLUSTER.claims(POD), "kubernetes.io", "pod"), "kubernetes.io.pod.name"),
        (without(CLUSTER.claims(POD), "kubernetes.io", "pod", "uid"), "kubernetes.io.pod.uid"),
        (without(CLUSTER.claims(POD), "kubernetes.io", "node", "name"), "kubernetes.io.node.name"),
        ({**CLUSTER.claims(POD), "sub": "system:serviceaccount:apps:web2"}, "subject"),
        (CLUSTER.claims(Pod("web/0")), "kubernetes.io.pod.name"),
        (CLUSTER.claims(Pod("w" * 254)), "kubernetes.io.pod.name"),
    ],
)
def test_another_token_is_refused_by_the_check_that_says_why(claims: dict[str, Any], check: str) -> None:
    with pytest.raises(CheckFailed) as refused:
        verify(claims)
    assert refused.value.check.name == check


def test_another_key_is_refused() -> None:
    other = KubernetesCluster(key_id=CLUSTER.key_id)
    checks = Checks()
    claims = CLUSTER.claims(POD)
    token = read_token(CLUSTER.sign(claims, other.key), checks)
    with pytest.raises(CheckFailed) as refused:
        verify_service_account_token(token, KEYS, issuer=CLUSTER.issuer, now=claims["iat"], checks=checks)
    assert refused.value.check.name == "signature"


def review(**changes: Any) -> bytes:
    user = {
        "username": "system:serviceaccount:apps:web",
        "extra": {"authentication.kubernetes.io/pod-uid": [POD.uid]},
    }
    status = {"authenticated": True, "audiences": [AUDIENCE], "user": user}
    return json.dumps({"kind": "TokenReview", "status": {**status, **changes}}).encode()


def test_a_review_that_says_so_is_enough() -> None:
    verify_review(review(), verify(CLUSTER.claims(POD)), Checks())


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"{}",
        b'{"status": []}',
        review(authenticated=False),
        review(authenticated="true"),
        review(audiences=["https://kubernetes.default.svc"]),
        review(audiences=None),
        review(user=None),
        review(user={"username": "system:serviceaccount:apps:other"}),
        review(
            user={
                "username": "system:serviceaccount:apps:web",
                "extra": {"authentication.kubernetes.io/pod-uid": ["another"]},
            }
        ),
    ],
)
def test_a_review_that_does_not_is_refused(answer: bytes) -> None:
    pod = verify(CLUSTER.claims(POD))
    with pytest.raises(CheckFailed):
        verify_review(answer, pod, Checks())
