"""Pod identity associations of a cluster that a file declares, by `NAMESPACE/SERVICE-ACCOUNT`."""

import re
from typing import Any

from msgspec.structs import replace

from broker.access.assumable import account_of_role
from broker.declaration.attempt import Attempt
from broker.declaration.declared import DeclaredAssociation, DeclaredCluster, Document, value_or
from broker.declaration.declared_ids import declared_association_id, declared_id
from broker.declaration.documents import stored_text
from broker.declaration.source import DeclarationError
from broker.errors import Refusal
from broker.pod_identity.associations import faults_of_association, faults_of_names
from broker.storage.collections import ASSOCIATION_IDS, POD_IDENTITY_ASSOCIATIONS
from broker.storage.pod_identity_records import (
    AssociationId,
    Cluster,
    PodIdentityAssociation,
    association_key,
)
from broker.storage.store import ROLES

_is_id = re.compile(r"a-[a-z0-9]{1,64}").fullmatch


async def settle_associations(attempt: Attempt, cluster: Cluster, wanted: DeclaredCluster) -> None:
    """The associations of the file, and no others; where it has no such key, none is changed."""
    if not isinstance(wanted.associations, dict):
        return
    for name, association in wanted.associations.items():
        await _settle(attempt, cluster, name, association)
    declared = {f"{cluster.cluster_name}/{name}" for name in wanted.associations}
    for one in await _associations_of(attempt, cluster):
        if POD_IDENTITY_ASSOCIATIONS.key_of(one) not in declared:
            delete_declared(attempt, one)
    if (
        len(await _associations_of(attempt, cluster))
        > attempt.means.quotas.pod_identity_associations_per_cluster
    ):
        raise DeclarationError(f"{wanted.where}: the cluster has too many associations")


async def _associations_of(attempt: Attempt, cluster: Cluster) -> list[PodIdentityAssociation]:
    return await attempt.store.scan(POD_IDENTITY_ASSOCIATIONS, cluster.account_id, f"{cluster.cluster_name}/")


def delete_declared(attempt: Attempt, association: PodIdentityAssociation) -> None:
    account, cluster = association.account_id, association.cluster_name
    attempt.store.delete(POD_IDENTITY_ASSOCIATIONS, account, POD_IDENTITY_ASSOCIATIONS.key_of(association))
    attempt.store.delete(ASSOCIATION_IDS, account, f"{cluster}/{association.association_id}")
    text = f"association {cluster}/{association.namespace}/{association.service_account}"
    attempt.note(account, "broker:DeletePodIdentityAssociation", "-", text)


async def _settle(attempt: Attempt, cluster: Cluster, name: str, wanted: DeclaredAssociation) -> None:
    account = cluster.account_id
    namespace, _, service_account = name.partition("/")
    key = association_key(cluster.cluster_name, namespace, service_account)
    current = await attempt.store.find(POD_IDENTITY_ASSOCIATIONS, account, key)
    after = await _wanted(attempt, cluster, name, wanted, current)
    for fault in (*faults_of_names(namespace, service_account), *faults_of_association(after)):
        raise DeclarationError(f"{wanted.where}: {fault}")
    if current == after:
        return
    if current is not None and current.association_id != after.association_id:
        raise DeclarationError(f"{wanted.where}: the association has the id {current.association_id}")
    known = AssociationId(
        association_id=after.association_id,
        cluster_name=cluster.cluster_name,
        namespace=namespace,
        service_account=service_account,
    )
    attempt.store.put(ASSOCIATION_IDS, account, known)
    text = f"association {key}: role {wanted.role}"
    after = replace(after, modified_at=attempt.now)
    attempt.put(account, POD_IDENTITY_ASSOCIATIONS, after, "~" if current else "+", text)


async def _wanted(
    attempt: Attempt,
    cluster: Cluster,
    name: str,
    wanted: DeclaredAssociation,
    current: PodIdentityAssociation | None,
) -> PodIdentityAssociation:
    """Raises DeclarationError."""
    account, target = cluster.account_id, wanted.target_role_arn
    role = await attempt.store.find(ROLES, account, wanted.role)
    if role is None:
        raise DeclarationError(f"{wanted.where}: the account has no role {wanted.role!r}")
    if wanted.id and not _is_id(wanted.id):
        raise DeclarationError(f"{wanted.where}: id is a-, and letters and digits")
    if target and not _is_role(target):
        raise DeclarationError(f"{wanted.where}: target_role_arn is not the ARN of a role")
    if wanted.external_id and not target:
        raise DeclarationError(f"{wanted.where}: external_id is for a target_role_arn")
    namespace, _, service_account = name.partition("/")
    made_of_names = declared_association_id(account, cluster.cluster_name, name)
    given: dict[str, Any] = {
        "region": cluster.region,
        "role_arn": role.arn,
        "target_role_arn": target,
        "external_id": wanted.external_id or _external_id(current, target, account, cluster, name),
        "disable_session_tags": wanted.disable_session_tags,
        "policy": _policy(wanted, current),
        "tags": value_or(wanted.tags, current.tags if current else {}),
    }
    if current is not None:
        return replace(current, association_id=wanted.id or current.association_id, **given)
    return PodIdentityAssociation(
        account_id=account,
        cluster_name=cluster.cluster_name,
        namespace=namespace,
        service_account=service_account,
        association_id=wanted.id or made_of_names,
        created_at=attempt.now,
        modified_at=attempt.now,
        **given,
    )


def _policy(wanted: DeclaredAssociation, current: PodIdentityAssociation | None) -> str:
    if not isinstance(wanted.policy, Document):
        return ""
    return stored_text(wanted.policy, current.policy if current else None)


def _external_id(
    current: PodIdentityAssociation | None, target: str, account: str, cluster: Cluster, name: str
) -> str:
    """Stays as it is: the trust policy of the target role names it."""
    if not target:
        return ""
    if current is not None and current.external_id:
        return current.external_id
    return declared_id(account, cluster.cluster_name, "external-id", name)


def _is_role(arn: str) -> bool:
    try:
        account_of_role(arn)
    except Refusal:
        return False
    return True
