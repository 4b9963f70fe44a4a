"""Pod identity associations: which role the pods of a service account have.

Who makes one gives a role away, so they need `iam:PassRole` for it. A session policy and session tags exclude each
other, as the model says; the policy is that of the role that pods get, the target role where there is one.
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec.structs import replace

from broker.access.assumable import account_of_role
from broker.access.resource import Resource
from broker.access.trust import find_role
from broker.assertions.service_account_token import AUDIENCE
from broker.audit.event import uuid_text
from broker.errors import Refusal
from broker.names.ids import UNIQUE_ID_ENTROPY, unique_id
from broker.operation import Absent, Call, Prepared, operation
from broker.pod_identity.clusters import found_cluster, named_cluster
from broker.pod_identity.pages import page_after
from broker.pod_identity.tags import checked_tags
from broker.policy import MalformedPolicy, PolicyKind, parse_policy
from broker.protocol.shapes import eks as shapes
from broker.storage.collections import ASSOCIATION_IDS, POD_IDENTITY_ASSOCIATIONS
from broker.storage.pod_identity_records import (
    AssociationId,
    Cluster,
    PodIdentityAssociation,
    association_key,
)

LONGEST_POLICY = 2048  # characters, as of any session policy

_is_namespace = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?").fullmatch
_is_service_account = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9.-]*[a-z0-9])?").fullmatch


class FoundAssociation(msgspec.Struct, frozen=True):
    """An association, and its cluster."""

    cluster: Cluster
    association: PodIdentityAssociation


async def found_association(call: Call, request: Any) -> Prepared[FoundAssociation] | Absent:
    """The association that has the id; where its cluster or itself does not exist, the ARN that it would have."""
    name, association_id = request.cluster_name, request.association_id
    place = f"{call.account}:podidentityassociation/{name}/{association_id}"
    missing = Resource(f"arn:aws:eks:{call.facts.region}:{place}")
    cluster = await found_cluster(call, name)
    if isinstance(cluster, Absent):
        return Absent(missing, cluster.refusal)
    association = await find_by_id(call, name, association_id)
    if association is None:
        return Absent(missing, _no_such_association(association_id))
    resource = Resource(association.arn, tags=association.tags)
    return Prepared(resource, FoundAssociation(cluster.found, association))


async def find_by_id(call: Call, cluster_name: str, association_id: str) -> PodIdentityAssociation | None:
    known = await call.store.find(ASSOCIATION_IDS, call.account, f"{cluster_name}/{association_id}")
    if known is None:
        return None
    key = association_key(cluster_name, known.namespace, known.service_account)
    return await call.store.find(POD_IDENTITY_ASSOCIATIONS, call.account, key)


@operation("eks:CreatePodIdentityAssociation", prepare=named_cluster)
async def create_pod_identity_association(
    call: Call, request: shapes.CreatePodIdentityAssociationRequest, prepared: Prepared[Cluster]
) -> shapes.CreatePodIdentityAssociationResponse:
    cluster = prepared.found
    _require_names(request)
    await _require_pass_role(call, request.role_arn)
    wanted = _checked(
        PodIdentityAssociation(
            account_id=call.account,
            cluster_name=cluster.cluster_name,
            region=cluster.region,
            namespace=request.namespace,
            service_account=request.service_account,
            association_id=unique_id("a-", call.entropy(UNIQUE_ID_ENTROPY)).lower(),
            role_arn=request.role_arn,
            target_role_arn=request.target_role_arn or "",
            external_id=_external_id(call) if request.target_role_arn else "",
            disable_session_tags=bool(request.disable_session_tags),
            policy=request.policy or "",
            tags=checked_tags(call, {}, request.tags),
            client_request_token=request.client_request_token or "",
            created_at=int(call.now),
            modified_at=int(call.now),
        )
    )
    association = await _existing(call, wanted) or await _put_new(call, wanted)
    return shapes.CreatePodIdentityAssociationResponse(association=_shape(association))


async def _existing(call: Call, wanted: PodIdentityAssociation) -> PodIdentityAssociation | None:
    """What the same request has made before; raises ResourceInUseException where it was another one."""
    key = association_key(wanted.cluster_name, wanted.namespace, wanted.service_account)
    known = await call.store.find(POD_IDENTITY_ASSOCIATIONS, call.account, key)
    if known is None:
        return None
    own = ("association_id", "external_id", "created_at", "modified_at")
    same = replace(wanted, **{name: getattr(known, name) for name in own})
    if wanted.client_request_token and same == known:
        return known
    raise Refusal("ResourceInUseException", f"Association already exists: {known.association_id}")


async def _put_new(call: Call, wanted: PodIdentityAssociation) -> PodIdentityAssociation:
    most = call.quotas.pod_identity_associations_per_cluster
    others = await call.store.scan(
        POD_IDENTITY_ASSOCIATIONS, call.account, f"{wanted.cluster_name}/", limit=most
    )
    if len(others) >= most:
        message = (
            f"You've reached the maximum number of associations for cluster {wanted.cluster_name}: {most}."
        )
        raise Refusal("ResourceLimitExceededException", message)
    call.store.put(POD_IDENTITY_ASSOCIATIONS, call.account, wanted)
    call.store.put(
        ASSOCIATION_IDS,
        call.account,
        AssociationId(
            association_id=wanted.association_id,
            cluster_name=wanted.cluster_name,
            namespace=wanted.namespace,
            service_account=wanted.service_account,
        ),
    )
    return wanted


@operation("eks:DescribePodIdentityAssociation", prepare=found_association)
async def describe_pod_identity_association(
    call: Call, request: shapes.DescribePodIdentityAssociationRequest, prepared: Prepared[FoundAssociation]
) -> shapes.DescribePodIdentityAssociationResponse:
    return shapes.DescribePodIdentityAssociationResponse(association=_shape(prepared.found.association))


@operation("eks:UpdatePodIdentityAssociation", prepare=found_association)
async def update_pod_identity_association(
    call: Call, request: shapes.UpdatePodIdentityAssociationRequest, prepared: Prepared[FoundAssociation]
) -> shapes.UpdatePodIdentityAssociationResponse:
    """Members that are absent leave what is there; an empty targetRoleArn or policy removes it."""
    association = prepared.found.association
    changes: dict[str, Any] = {
        "role_arn": request.role_arn,
        "target_role_arn": request.target_role_arn,
        "disable_session_tags": request.disable_session_tags,
        "policy": request.policy,
    }
    given = {name: value for name, value in changes.items() if value is not None}
    if not given:
        raise _invalid("There is nothing to change in the request.")
    if request.role_arn is not None:
        await _require_pass_role(call, request.role_arn)
    changed = replace(association, **given, modified_at=int(call.now))
    if not changed.target_role_arn:
        changed = replace(changed, external_id="")
    elif not changed.external_id:
        changed = replace(changed, external_id=_external_id(call))
    call.store.put(POD_IDENTITY_ASSOCIATIONS, call.account, _checked(changed))
    return shapes.UpdatePodIdentityAssociationResponse(association=_shape(changed))


@operation("eks:DeletePodIdentityAssociation", prepare=found_association)
async def delete_pod_identity_association(
    call: Call, request: shapes.DeletePodIdentityAssociationRequest, prepared: Prepared[FoundAssociation]
) -> shapes.DeletePodIdentityAssociationResponse:
    delete_association(call, prepared.found.association)
    return shapes.DeletePodIdentityAssociationResponse(association=_shape(prepared.found.association))


def delete_association(call: Call, association: PodIdentityAssociation) -> None:
    name = association.cluster_name
    key = association_key(name, association.namespace, association.service_account)
    call.store.delete(POD_IDENTITY_ASSOCIATIONS, call.account, key)
    call.store.delete(ASSOCIATION_IDS, call.account, f"{name}/{association.association_id}")


@operation("eks:ListPodIdentityAssociations", prepare=named_cluster)
async def list_pod_identity_associations(
    call: Call, request: shapes.ListPodIdentityAssociationsRequest, prepared: Prepared[Cluster]
) -> shapes.ListPodIdentityAssociationsResponse:
    """Of one namespace, or of one service account, where the request names them."""
    name = prepared.found.cluster_name
    prefix = f"{name}/{request.namespace}/" if request.namespace else f"{name}/"
    found = [
        one
        for one in await call.store.scan(POD_IDENTITY_ASSOCIATIONS, call.account, prefix)
        if request.service_account in (None, one.service_account)
    ]
    shown, next_token = page_after(
        found,
        lambda one: association_key(one.cluster_name, one.namespace, one.service_account),
        request.next_token,
        request.max_results,
    )
    return shapes.ListPodIdentityAssociationsResponse(
        associations=tuple(map(_summary, shown)), next_token=next_token
    )


def _require_names(request: shapes.CreatePodIdentityAssociationRequest) -> None:
    for fault in faults_of_names(request.namespace, request.service_account):
        raise _invalid(fault)


def faults_of_names(namespace: str, service_account: str) -> Iterator[str]:
    if not _is_namespace(namespace):
        yield "namespace is not a name of Kubernetes: a DNS label of at most 63 characters."
    if not _is_service_account(service_account):
        yield "serviceAccount is not a name of Kubernetes: a DNS subdomain name."


async def _require_pass_role(call: Call, role_arn: str) -> None:
    """The permission to give the role away is judged before it is said whether the role exists."""
    role = await find_role(call.store, role_arn)
    keys = {"iam:PassedToService": AUDIENCE}
    passed = Resource(role_arn, tags=role.tags if role is not None else {}, keys=keys)
    await call.require("iam:PassRole", passed)
    if role is None or role.account_id != call.account:
        raise _invalid("Role provided in the request does not exist.")


def _checked(association: PodIdentityAssociation) -> PodIdentityAssociation:
    """Raises Refusal where its parts do not go together."""
    if association.target_role_arn:
        try:
            account_of_role(association.target_role_arn)
        except Refusal:
            raise _invalid("targetRoleArn is not the ARN of a role.") from None
    for fault in faults_of_association(association):
        raise _invalid(fault)
    return association


def faults_of_association(association: PodIdentityAssociation) -> Iterator[str]:
    """What is wrong with its session policy."""
    if not association.policy:
        return
    if not association.disable_session_tags:
        yield "disableSessionTags must be true where there is a policy."
    if len(association.policy) > LONGEST_POLICY:
        yield f"policy has more than {LONGEST_POLICY} characters."
    try:
        parse_policy(association.policy, PolicyKind.SESSION)
    except MalformedPolicy as error:
        yield f"policy is not a valid policy: {error.message}"


def _external_id(call: Call) -> str:
    return uuid_text(call.entropy(16))


def _invalid(message: str) -> Refusal:
    return Refusal("InvalidParameterException", message)


def _no_such_association(association_id: str) -> Refusal:
    return Refusal("ResourceNotFoundException", f"No association found with id: {association_id}.")


def _shape(association: PodIdentityAssociation) -> shapes.PodIdentityAssociation:
    return shapes.PodIdentityAssociation(
        cluster_name=association.cluster_name,
        namespace=association.namespace,
        service_account=association.service_account,
        role_arn=association.role_arn,
        association_arn=association.arn,
        association_id=association.association_id,
        tags=association.tags,
        created_at=float(association.created_at),
        modified_at=float(association.modified_at),
        disable_session_tags=association.disable_session_tags,
        target_role_arn=association.target_role_arn or None,
        external_id=association.external_id or None,
        policy=association.policy or None,
    )


def _summary(association: PodIdentityAssociation) -> shapes.PodIdentityAssociationSummary:
    return shapes.PodIdentityAssociationSummary(
        cluster_name=association.cluster_name,
        namespace=association.namespace,
        service_account=association.service_account,
        association_arn=association.arn,
        association_id=association.association_id,
    )
