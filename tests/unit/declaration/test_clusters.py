"""Clusters that a file declares."""

import json
from typing import Any

import pytest

from broker.declaration.source import DeclarationError
from broker.storage.collections import ASSOCIATION_IDS, CLUSTERS, POD_IDENTITY_ASSOCIATIONS
from broker.storage.pod_identity_records import AssociationId, PodIdentityAssociation
from tests.kubernetes import KubernetesCluster

A = "111111111111"
KEYS = KubernetesCluster().key_set


def declared(name: str = "k3s", **properties: Any) -> str:
    cluster = {"issuer": "https://kubernetes.default.svc", "keys": KEYS, **properties}
    return json.dumps({"accounts": {A: {"clusters": {name: cluster}}}})


async def test_a_cluster_is_written_changed_and_left_alone(declare: Any) -> None:
    await declare(declared())
    first = await declare.find(CLUSTERS, A, "k3s")
    assert (first.issuer, json.loads(first.keys)) == ("https://kubernetes.default.svc", KEYS)
    assert first.session_seconds == 21_600
    await declare(declared(session_seconds="900"))
    second = await declare.find(CLUSTERS, A, "k3s")
    assert (second.session_seconds, second.created_at) == (900, first.created_at)
    await declare(f'accounts: {{"{A}": {{}}}}')
    assert await declare.find(CLUSTERS, A, "k3s") == second


async def test_with_a_pruned_cluster_go_its_associations(declare: Any) -> None:
    await declare(declared())

    async def associate(store: Any) -> None:
        names = {
            "cluster_name": "k3s",
            "namespace": "apps",
            "service_account": "web",
            "association_id": "a-1",
        }
        association = PodIdentityAssociation(
            account_id=A, region="us-east-1", role_arn="role", created_at=1, modified_at=1, **names
        )
        store.put(POD_IDENTITY_ASSOCIATIONS, A, association)
        store.put(ASSOCIATION_IDS, A, AssociationId(**names))

    await declare.broker.store.transact(associate)
    await declare(f'accounts: {{"{A}": {{}}}}', prune=True)
    for collection, key in (
        (CLUSTERS, "k3s"),
        (POD_IDENTITY_ASSOCIATIONS, "k3s/apps/web"),
        (ASSOCIATION_IDS, "k3s/a-1"),
    ):
        assert await declare.find(collection, A, key) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (declared("-k3s"), "a cluster's name"),
        (declared(issuer="kubernetes"), "no URL"),
        (declared(keys_url="https://a/keys"), "exclude each other"),
        (declared(keys={"keys": []}), "no key that can verify"),
        (declared(keys="text"), "keys: "),
        (declared(session_seconds="60"), "session_seconds"),
        (declared(region="somewhere else"), "no region"),
        (declared(token_review={"server": "http://10.0.0.1:6443"}), "not https"),
        (declared(audience="x"), "there is no audience"),
    ],
)
async def test_a_fault_is_said_and_changes_nothing(declare: Any, text: str, said: str) -> None:
    with pytest.raises(DeclarationError, match=said):
        await declare(text)
    assert await declare.find(CLUSTERS, A, "k3s") is None
