"""Clusters, associations, trust anchors, revocation lists and profiles: exported, they are made again as they were."""

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from broker.declaration.declared_ids import declared_id
from broker.declaration.exporting import export
from broker.declaration.source import DeclarationError
from broker.storage.collections import ASSOCIATION_IDS, CLUSTERS, POD_IDENTITY_ASSOCIATIONS
from broker.storage.store import REVOCATION_LISTS, TRUST_ANCHORS, WORKLOAD_PROFILES
from broker.storage.workload_records import ExpiryNotice
from broker.yaml_text import as_yaml
from tests.kubernetes import KubernetesCluster
from tests.unit.commands.conftest import Declare
from tests.unit.declaration.test_exporting import copy_of
from tests.workload_certificates import authority

A = "111111111111"
AUTHORITY = authority()
LIST = AUTHORITY.revoking(7).decode()
ANCHOR_ID = declared_id(A, "us-east-1", "trust-anchor", "machines")
POLICY = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}}
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": service}, "Action": ["sts:AssumeRole", "sts:TagSession"]}
        for service in ("pods.eks.amazonaws.com", "rolesanywhere.amazonaws.com")
    ],
}
CLUSTER = {
    "issuer": "https://kubernetes.default.svc",
    "keys": KubernetesCluster().key_set,
    "node_tag": "node",
    "session_seconds": "900",
    "region": "eu-west-1",
    "tags": {"team": "shop"},
    "token_review": {"server": "https://10.0.0.1:6443", "token_file": "/run/token"},
    "associations": {
        "shop/checkout": {"role": "app", "tags": {"a": "b"}},
        "shop/far": {
            "role": "app",
            "target_role_arn": "arn:aws:iam::222222222222:role/far",
            "external_id": "from-before",
            "id": "a-0123456789abcdefg",
        },
        "shop/narrow": {"role": "app", "disable_session_tags": "true", "policy": POLICY},
    },
}
ANCHOR = {
    "certificates": AUTHORITY.pem,
    "follow_distribution_points": "true",
    "tags": {"site": "one"},
    "revocation_lists": {"main": {"content": LIST}, "off": {"content": LIST, "enabled": "false"}},
}
PROFILE = {
    "roles": ["app"],
    "session_policy": POLICY,
    "managed_policies": ["arn:aws:iam::aws:policy/ReadOnlyAccess"],
    "accept_role_session_name": "true",
    "enabled": "false",
    "attribute_mappings": {"x509Subject": ["CN", "OU"]},
    "id": "11111111-2222-4333-8444-555555555555",
}


def declared(
    cluster: dict[str, Any] | None = None,
    anchor: dict[str, Any] | None = None,
    profile: dict[str, Any] | None = None,
) -> str:
    account = {
        "roles": {"app": {"trust_policy": TRUST}},
        "clusters": {"k3s": {**CLUSTER, **(cluster or {})}},
        "trust_anchors": {"machines": {**ANCHOR, **(anchor or {})}},
        "workload_profiles": {"build": {**PROFILE, **(profile or {})}},
    }
    return json.dumps({"accounts": {A: account}})


async def exported(declare: Declare) -> tuple[str, dict[str, int]]:
    found = await export(declare.broker.store.transaction(), ())
    return as_yaml(found.values), found.left_out


async def records(declare: Declare) -> list[Any]:
    """What counts of each record, in both stores alike."""
    store = declare.broker.store.transaction()
    found: list[Any] = []
    for collection in (
        CLUSTERS,
        POD_IDENTITY_ASSOCIATIONS,
        TRUST_ANCHORS,
        WORKLOAD_PROFILES,
        REVOCATION_LISTS,
    ):
        found += await store.scan(collection, A)
    times = ("created_at", "updated_at", "modified_at")
    return [replace(one, **{name: 0 for name in times if hasattr(one, name)}) for one in found]


async def test_what_is_exported_changes_nothing_and_makes_the_same_again(
    declare: Declare, tmp_path: Path
) -> None:
    await declare(declared())
    once, left_out = await exported(declare)
    assert left_out == {}
    assert await declare(once) == []
    assert await declare(once, prune=True) == []
    async with copy_of(once, tmp_path / "other") as copy:
        assert (await exported(copy))[0] == once
        assert await records(copy) == await records(declare)


async def test_what_the_api_made_keeps_its_ids_and_what_cannot_be_declared_is_counted(
    declare: Declare, tmp_path: Path
) -> None:
    await declare(declared())
    anchor = await declare.find(TRUST_ANCHORS, A, ANCHOR_ID)
    made = replace(
        anchor,
        id="99999999-2222-4333-8444-555555555555",
        name="by hand",
        alias="hand",
        crl_ids=(),
        notices=(
            ExpiryNotice(
                event="CA_CERTIFICATE_EXPIRY", channel="ALL", enabled=True, threshold=9, configured_by=A
            ),
        ),
    )
    same_name = replace(made, id="99999999-2222-4333-8444-666666666666", alias="", notices=())

    async def put(store: Any) -> None:
        store.put(TRUST_ANCHORS, A, made)
        store.put(TRUST_ANCHORS, A, same_name)

    await declare.broker.store.transact(put)
    text, left_out = await exported(declare)
    assert made.id in text and same_name.id not in text
    assert left_out == {
        "trust anchors with the name of another": 1,
        "notification settings of trust anchors": 1,
        "aliases of IAM Roles Anywhere": 1,
    }
    assert await declare(text) == []


async def test_associations_of_the_file_are_complete_and_without_the_key_nothing_changes(
    declare: Declare,
) -> None:
    await declare(declared())
    without = json.loads(declared())
    del without["accounts"][A]["clusters"]["k3s"]["associations"]
    assert await declare(json.dumps(without)) == []
    first = await declare.find(POD_IDENTITY_ASSOCIATIONS, A, "k3s/shop/checkout")
    await declare(declared({"associations": {"shop/checkout": {"role": "app", "tags": {}}}}))
    second = await declare.find(POD_IDENTITY_ASSOCIATIONS, A, "k3s/shop/checkout")
    assert (second.association_id, second.tags) == (first.association_id, {})
    assert await declare.find(POD_IDENTITY_ASSOCIATIONS, A, "k3s/shop/far") is None
    assert await declare.find(ASSOCIATION_IDS, A, "k3s/a-0123456789abcdefg") is None
    assert await declare.find(ASSOCIATION_IDS, A, f"k3s/{first.association_id}") is not None


async def test_an_older_revocation_list_does_not_replace_a_newer_one(declare: Declare) -> None:
    """A file that is applied each night must not make good again what was revoked by day."""
    newer = AUTHORITY.revoking(7, 8, begins=0).decode()
    await declare(declared(anchor={"revocation_lists": {"main": {"content": newer}}}))
    before = await records(declare)
    assert await declare(declared(anchor={"revocation_lists": {"main": {"content": LIST}}})) == []
    assert await records(declare) == before
    await declare(declared(anchor={"revocation_lists": {}}))
    assert (await declare.find(TRUST_ANCHORS, A, ANCHOR_ID)).crl_ids == ()
    assert await declare.broker.store.transaction().scan(REVOCATION_LISTS, A) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (declared({"associations": {"shop": {"role": "app"}}}), "serviceAccount is not a name"),
        (declared({"associations": {"Shop/a": {"role": "app"}}}), "namespace is not a name"),
        (declared({"associations": {"shop/a": {"role": "none"}}}), "no role 'none'"),
        (declared({"associations": {"shop/a": {"role": "app", "policy": POLICY}}}), "disableSessionTags"),
        (declared({"associations": {"shop/a": {"role": "app", "external_id": "x"}}}), "external_id is for"),
        (declared({"associations": {"shop/a": {"role": "app", "target_role_arn": "x"}}}), "not the ARN"),
        (declared({"associations": {"shop/a": {"role": "app", "id": "b-1"}}}), "id is a-"),
        (declared(anchor={"id": "machines"}), "no UUID"),
        (declared(profile={"id": "BUILD"}), "no UUID"),
        (declared(profile={"attribute_mappings": {"x509Thing": ["CN"]}}), "is none of"),
        (declared(profile={"attribute_mappings": {"x509Subject": ["what?"]}}), "no specifier"),
        (declared(anchor={"revocation_lists": {"a": {"content": "text"}}}), "no certificate revocation list"),
        (
            declared(
                anchor={
                    "revocation_lists": {"a": {"content": authority().revoking(7).decode()}},
                }
            ),
            "not signed by the trust anchor",
        ),
    ],
)
async def test_a_fault_is_said_and_changes_nothing(declare: Declare, text: str, said: str) -> None:
    with pytest.raises(DeclarationError, match=said):
        await declare(text)
    assert await records(declare) == []
