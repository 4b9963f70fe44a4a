"""The session of a pod: of the association's role, or of the target role behind it.

The first hop is `sts:AssumeRole` (and `sts:TagSession`) by the service `pods.eks.amazonaws.com`, which only the role's
trust policy can allow; so `MaxSessionDuration` does not apply, as with EC2. The second hop is an ordinary AssumeRole by
that session, with its permissions, its transitive tags and the limits of role chaining. Each leaves its record.
"""

from collections.abc import Mapping

import msgspec

from broker.access.assumable import AssumableRole
from broker.access.caller import Caller
from broker.access.resource import Resource
from broker.access.revocations import issued_from
from broker.access.sessions import opened_caller
from broker.assertions.service_account_token import AUDIENCE, PodClaims
from broker.audit.event import uuid_text
from broker.credentials.mint import TemporaryCredentials
from broker.errors import Refusal
from broker.names.principal import AssumedRole, Service
from broker.operation import Call, Performed, find_operation, perform_within
from broker.protocol.shapes import sts
from broker.sealing.session import open_session
from broker.storage.collections import REVOCATIONS
from broker.storage.pod_identity_records import Cluster, PodIdentityAssociation

_LONGEST_PART = 11  # characters of a cluster's and of a pod's name in the name of a session, which has 64
_SERVICE = Caller(principal=Service(AUDIENCE), account="")
_DENIED = "Unauthorized Exception! EKS does not have permissions to assume the associated role."
_TARGET_DENIED = (
    "Unauthorized Exception! The associated role does not have permissions to assume the target role."
)


class PodSession(msgspec.Struct, frozen=True):
    """What a pod gets; `assumed_role_id` is `AROA…:session`."""

    arn: str
    assumed_role_id: str
    credentials: sts.Credentials


def session_tags(cluster: Cluster, pod: PodClaims) -> dict[str, str]:
    """The six tags of EKS Pod Identity, all transitive ("Grant Pods access based on tags", EKS User Guide)."""
    return {
        "eks-cluster-arn": cluster.arn,
        "eks-cluster-name": cluster.cluster_name,
        "kubernetes-namespace": pod.namespace,
        "kubernetes-service-account": pod.service_account,
        "kubernetes-pod-name": pod.pod_name,
        "kubernetes-pod-uid": pod.pod_uid,
    }


def session_name(cluster: Cluster, pod: PodClaims, entropy: bytes) -> str:
    """`eks-CLUSTER-POD-UUID`, the names shortened; sixteen bytes of entropy."""
    names = f"{cluster.cluster_name[:_LONGEST_PART]}-{pod.pod_name[:_LONGEST_PART]}"
    return f"eks-{names}-{uuid_text(entropy)}"


async def pod_session(
    call: Call, cluster: Cluster, association: PodIdentityAssociation, pod: PodClaims
) -> PodSession:
    """The session of the association's role, or of its target role; raises Refusal where either may not be assumed."""
    tags = {} if association.disable_session_tags else session_tags(cluster, pod)
    name = session_name(cluster, pod, call.entropy(16))
    has_target = bool(association.target_role_arn)
    role = await _trusting_role(call, cluster, association.role_arn, name, tags)
    policy = None if has_target else association.policy or None
    minted = await _minted(call, cluster, role, name, tags, policy)
    first = _noted(call, role, name, tags, policy, minted)
    return await _target_session(call, association, name, minted) if has_target else first


async def _trusting_role(
    call: Call, cluster: Cluster, role_arn: str, name: str, tags: Mapping[str, str]
) -> AssumableRole:
    """The role, if its trust policy lets the service assume it, and tag the session where there are tags."""
    role = await call.gate.assumable_roles.find(call.store, role_arn)
    if role is None:
        raise _denied(_DENIED, f"there is no role {role_arn}")
    keys: dict[str, str | tuple[str, ...]] = {
        "sts:RoleSessionName": name,
    }
    if tags:
        keys |= {f"aws:RequestTag/{key}": value for key, value in tags.items()}
        keys |= {"aws:TagKeys": tuple(tags), "sts:TransitiveTagKeys": tuple(tags)}
    resource = Resource(role.arn, role.account, role.tags, keys, role.trust_policy)
    service = Caller(principal=Service(AUDIENCE), account="", source_arn=cluster.arn)
    for action in ("sts:AssumeRole", "sts:TagSession") if tags else ("sts:AssumeRole",):
        decision = await call.gate.decide(call.store, service, call.facts, action, resource)
        if not decision.allowed:
            raise _denied(_DENIED, f"{role.arn} does not let {AUDIENCE} do {action} with these conditions")
    return role


async def _minted(
    call: Call, cluster: Cluster, role: AssumableRole, name: str, tags: Mapping[str, str], policy: str | None
) -> TemporaryCredentials:
    revocations = await call.store.find(REVOCATIONS, role.account)
    try:
        return call.mint.assumed_role(
            AssumedRole(role.account, role.name, role.role_id, name, role.path),
            now=max(call.now, issued_from(revocations, role.role_id)),
            duration=cluster.session_seconds,
            session_policy=policy,
            tags=tags,
            transitive_tag_keys=tuple(tags),
        )
    except Refusal as refusal:  # PackedPolicyTooLarge, which EKS Auth does not know
        raise Refusal("InvalidRequestException", refusal.message, reason=refusal.reason) from None


def _noted(
    call: Call,
    role: AssumableRole,
    name: str,
    tags: Mapping[str, str],
    policy: str | None,
    minted: TemporaryCredentials,
) -> PodSession:
    """The session, with the record of the AssumeRole that the service has performed."""
    session = AssumedRole(role.account, role.name, role.role_id, name, role.path)
    credentials = sts.Credentials(
        access_key_id=minted.access_key_id,
        secret_access_key=minted.secret.reveal(),
        session_token=minted.session_token,
        expiration=float(minted.expires_at),
    )
    request = sts.AssumeRoleRequest(
        role_arn=role.arn,
        role_session_name=name,
        policy=policy,
        tags=tuple(sts.Tag(key=key, value=value) for key, value in tags.items()),
        transitive_tag_keys=tuple(tags),
    )
    answer = sts.AssumeRoleResponse(
        credentials=credentials,
        assumed_role_user=sts.AssumedRoleUser(assumed_role_id=session.user_id, arn=session.arn),
    )
    call.performed.append(Performed(find_operation("sts", "AssumeRole"), _SERVICE, request, answer))
    return PodSession(session.arn, session.user_id, credentials)


async def _target_session(
    call: Call, association: PodIdentityAssociation, name: str, minted: TemporaryCredentials
) -> PodSession:
    """AssumeRole of the target role by the first session, as any client would call it."""
    opened = open_session(call.mint.keyring(), minted.session_token)
    caller = await opened_caller(call.store, opened)
    request = sts.AssumeRoleRequest(
        role_arn=association.target_role_arn,
        role_session_name=name,
        external_id=association.external_id,
        policy=association.policy or None,
    )
    try:
        answer = await perform_within(call, caller, find_operation("sts", "AssumeRole"), request)
    except Refusal as refusal:
        raise _denied(_TARGET_DENIED, refusal.reason or refusal.message) from None
    user = answer.assumed_role_user
    return PodSession(user.arn, user.assumed_role_id, answer.credentials)


def _denied(message: str, reason: str) -> Refusal:
    return Refusal("AccessDeniedException", message, reason=reason)
