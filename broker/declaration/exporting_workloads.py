"""Clusters with their associations, trust anchors with their revocation lists, and profiles, as a declaration has them.

Ids that are not made of names are named, so that the ARNs in policies and in the settings of machines stay true.
Policies stay as they are written: an indented one may be too long.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeVar

from broker.declaration.declared_ids import declared_association_id, declared_id
from broker.roles_anywhere.profiles import DEFAULT_MAPPINGS
from broker.roles_anywhere.trust_anchors import BUNDLE
from broker.storage.collections import CLUSTERS, POD_IDENTITY_ASSOCIATIONS
from broker.storage.pod_identity_records import Cluster, PodIdentityAssociation
from broker.storage.store import REVOCATION_LISTS, ROLES, TRUST_ANCHORS, WORKLOAD_PROFILES, Transaction
from broker.storage.workload_records import TrustAnchor, WorkloadProfile

Values = dict[str, Any]
Named = TypeVar("Named", TrustAnchor, WorkloadProfile)

DEFAULT_REGION = "us-east-1"
DEFAULT_SESSION_SECONDS = 21_600  # of pods


async def workloads_of(store: Transaction, account: str, left_out: Counter[str]) -> Values:
    """`left_out` counts what cannot be declared."""
    roles = {one.arn: one.role_name for one in await store.scan(ROLES, account)}
    clusters = {
        one.cluster_name: await _cluster(store, one, roles, left_out)
        for one in await store.scan(CLUSTERS, account)
    }
    anchors = _with_own_names(await store.scan(TRUST_ANCHORS, account), "trust anchors", left_out)
    profiles = _with_own_names(await store.scan(WORKLOAD_PROFILES, account), "workload profiles", left_out)
    return {
        "clusters": clusters,
        "trust_anchors": {one.name: await _anchor(store, one, left_out) for one in anchors},
        "workload_profiles": {one.name: _profile(one, roles, left_out) for one in profiles},
    }


def _with_own_names(found: Sequence[Named], kind: str, left_out: Counter[str]) -> list[Named]:
    """The first of each name: a file has one entry for a name."""
    by_name: dict[str, Named] = {}
    for one in found:
        by_name.setdefault(one.name, one)
    left_out[f"{kind} with the name of another"] += len(found) - len(by_name)
    return list(by_name.values())


async def _cluster(
    store: Transaction, cluster: Cluster, roles: dict[str, str], left_out: Counter[str]
) -> Values:
    review = cluster.token_review
    found = await store.scan(POD_IDENTITY_ASSOCIATIONS, cluster.account_id, f"{cluster.cluster_name}/")
    declarable = [one for one in found if one.role_arn in roles]
    left_out["associations of roles that are gone"] += len(found) - len(declarable)
    return _present(
        issuer=cluster.issuer,
        keys=cluster.keys,
        keys_url=cluster.keys_url,
        region=_unless(DEFAULT_REGION, cluster.region),
        node_tag=cluster.node_tag,
        session_seconds=_unless(DEFAULT_SESSION_SECONDS, cluster.session_seconds),
        token_review=review
        and _present(
            server=review.server,
            certificate_authority=review.certificate_authority,
            token_file=review.token_file,
        ),
        tags=cluster.tags,
        associations={
            f"{one.namespace}/{one.service_account}": _association(one, roles[one.role_arn])
            for one in declarable
        },
    )


def _association(association: PodIdentityAssociation, role: str) -> Values:
    name = f"{association.namespace}/{association.service_account}"
    made_of_names = declared_association_id(association.account_id, association.cluster_name, name)
    return _present(
        role=role,
        id=_unless(made_of_names, association.association_id),
        target_role_arn=association.target_role_arn,
        external_id=association.external_id,
        disable_session_tags=association.disable_session_tags,
        policy=association.policy,
        tags=association.tags,
    )


async def _anchor(store: Transaction, anchor: TrustAnchor, left_out: Counter[str]) -> Values:
    left_out["notification settings of trust anchors"] += len(anchor.notices)
    left_out["aliases of IAM Roles Anywhere"] += bool(anchor.alias)
    lists: dict[str, Values] = {}
    for list_id in anchor.crl_ids:
        one = await store.find(REVOCATION_LISTS, anchor.account_id, list_id)
        if one is None:
            continue
        if one.name in lists:
            left_out["revocation lists with the name of another"] += 1
            continue
        # Imported with the first list: it takes megabytes.
        from broker.assertions.revocation_lists import pem_of_lists

        made_of_names = declared_id(one.account_id, one.region, "crl", f"{anchor.id}/{one.name}")
        shown = _present(id=_unless(made_of_names, one.id), content=pem_of_lists(one.content))
        lists[one.name] = {**shown, "enabled": one.enabled}
    made_of_names = declared_id(anchor.account_id, anchor.region, "trust-anchor", anchor.name)
    described = _present(
        id=_unless(made_of_names, anchor.id),
        type=_unless(BUNDLE, anchor.source_type),
        region=_unless(DEFAULT_REGION, anchor.region),
        certificates=anchor.certificates,
        follow_distribution_points=anchor.follows_distribution_points,
        tags=anchor.tags,
        revocation_lists=lists,
    )
    return {**described, "enabled": anchor.enabled}


def _profile(profile: WorkloadProfile, roles: dict[str, str], left_out: Counter[str]) -> Values:
    left_out["aliases of IAM Roles Anywhere"] += bool(profile.alias)
    named = [roles[arn] for arn in profile.role_arns if arn in roles]
    left_out["roles of workload profiles that are gone"] += len(profile.role_arns) - len(named)
    made_of_names = declared_id(profile.account_id, profile.region, "profile", profile.name)
    described = _present(
        id=_unless(made_of_names, profile.id),
        region=_unless(DEFAULT_REGION, profile.region),
        duration_seconds=profile.duration_seconds,
        session_policy=profile.session_policy,
        managed_policies=list(profile.managed_policy_arns),
        require_instance_properties=profile.requires_instance_properties,
        accept_role_session_name=profile.accepts_session_name,
        tags=profile.tags,
    )
    mappings = {field: list(specifiers) for field, specifiers in profile.attribute_mappings.items()}
    if profile.attribute_mappings != DEFAULT_MAPPINGS:
        described["attribute_mappings"] = mappings
    return {"roles": named, **described, "enabled": profile.enabled}


def _unless(default: Any, value: Any) -> Any:
    return None if value == default else value


def _present(**values: Any) -> Values:
    return {name: value for name, value in values.items() if value}
