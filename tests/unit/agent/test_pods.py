"""Tokens that the agent refuses before it asks the broker."""

from typing import Any

import pytest

from broker.agent.pods import PodTokenRefused, check_token
from tests.kubernetes import KubernetesCluster, Pod

CLUSTER = KubernetesCluster()


def test_a_token_is_cached_by_what_it_is() -> None:
    claims = CLUSTER.claims(Pod("web"))
    one, two = CLUSTER.sign(claims), CLUSTER.sign({**claims, "jti": "another"})
    assert check_token(one, "node-1", claims["iat"]) == check_token(one, "", claims["iat"])
    assert check_token(one, "node-1", claims["iat"]) != check_token(two, "node-1", claims["iat"])


@pytest.mark.parametrize(
    ("changes", "later", "status"),
    [
        ({}, 3600, 400),
        ({"nbf": 9_000_000_000}, 0, 400),
        ({"aud": ["sts.amazonaws.com"]}, 0, 400),
        ({"aud": None}, 0, 400),
        ({"exp": None}, 0, 400),
        ({"exp": "soon"}, 0, 400),
    ],
)
def test_what_cannot_be_good_is_refused(changes: dict[str, Any], later: int, status: int) -> None:
    claims = {**CLUSTER.claims(Pod("web")), **changes}
    token = CLUSTER.sign({name: value for name, value in claims.items() if value is not None})
    with pytest.raises(PodTokenRefused) as refused:
        check_token(token, "node-1", claims["iat"] + later)
    assert refused.value.status == status


def test_a_token_of_another_node_is_refused_where_the_node_is_known() -> None:
    claims = CLUSTER.claims(Pod("web", node="node-2"))
    token = CLUSTER.sign(claims)
    with pytest.raises(PodTokenRefused) as refused:
        check_token(token, "node-1", claims["iat"])
    assert refused.value.status == 403
    assert check_token(token, "", claims["iat"])


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "Bearer a.b.c", "\udcff.a.b"])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(PodTokenRefused):
        check_token(token, "", 0)
