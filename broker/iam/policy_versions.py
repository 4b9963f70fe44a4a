"""Versions of managed policies: at most five at a time, with numbers that are never reused; one is the default."""

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from broker.access.aws_managed import AnyManagedPolicy, AwsPolicyVersion
from broker.errors import Refusal
from broker.iam import resources
from broker.iam.policies import require_managed_document
from broker.operation import Absent, Call, Prepare, Prepared, operation
from broker.paging import page
from broker.protocol.shapes import iam as shapes
from broker.storage.records import ManagedPolicy, PolicyVersion
from broker.storage.store import POLICIES

AnyVersion = PolicyVersion | AwsPolicyVersion
F = TypeVar("F")


@operation("iam:CreatePolicyVersion", prepare=resources.found_own_policy)
async def create_policy_version(
    call: Call, request: shapes.CreatePolicyVersionRequest, prepared: Prepared[ManagedPolicy]
) -> shapes.CreatePolicyVersionResponse:
    policy = prepared.found
    require_managed_document(call, request.policy_document)
    limit = call.quotas.policy_versions
    if len(policy.versions) >= limit:
        raise Refusal(
            "LimitExceeded",
            f"A managed policy can have up to {limit} versions. Before you create a new version, you must delete "
            "an existing version.",
        )
    version = PolicyVersion(
        version_id=f"v{policy.next_version}", document=request.policy_document, created_at=int(call.now)
    )
    changed = msgspec.structs.replace(
        policy,
        versions=(*policy.versions, version),
        next_version=policy.next_version + 1,
        default_version_id=version.version_id if request.set_as_default else policy.default_version_id,
        updated_at=version.created_at,
    )
    call.store.put(POLICIES, call.account, changed)
    return shapes.CreatePolicyVersionResponse(policy_version=_listed_version_shape(changed, version))


def _of_version(found: Prepare[Any, F]) -> Prepare[Any, F]:
    """`found`, which of a policy that does not exist says that the version does not: as AWS does."""

    async def prepare(call: Call, request: Any) -> Prepared[F] | Absent:
        prepared = await found(call, request)
        if isinstance(prepared, Absent) and prepared.refusal.code == "NoSuchEntity":
            return Absent(prepared.resource, _no_such_version(request.policy_arn, request.version_id))
        return prepared

    return prepare


@operation("iam:GetPolicyVersion", prepare=_of_version(resources.found_policy))
async def get_policy_version(
    call: Call, request: shapes.GetPolicyVersionRequest, prepared: Prepared[AnyManagedPolicy]
) -> shapes.GetPolicyVersionResponse:
    policy = prepared.found
    version = _get_version(policy, request.version_id)
    shape = msgspec.structs.replace(_listed_version_shape(policy, version), document=version.document)
    return shapes.GetPolicyVersionResponse(policy_version=shape)


@operation("iam:ListPolicyVersions", prepare=resources.found_policy)
async def list_policy_versions(
    call: Call, request: shapes.ListPolicyVersionsRequest, prepared: Prepared[AnyManagedPolicy]
) -> shapes.ListPolicyVersionsResponse:
    policy = prepared.found
    versions: Sequence[AnyVersion] = policy.versions
    chosen = page(versions, _newest_first, request.marker, request.max_items)
    return shapes.ListPolicyVersionsResponse(
        versions=tuple(_listed_version_shape(policy, version) for version in chosen.items),
        is_truncated=chosen.is_truncated,
        marker=chosen.marker,
    )


@operation("iam:SetDefaultPolicyVersion", prepare=_of_version(resources.found_own_policy))
async def set_default_policy_version(
    call: Call, request: shapes.SetDefaultPolicyVersionRequest, prepared: Prepared[ManagedPolicy]
) -> None:
    policy = prepared.found
    version = _get_version(policy, request.version_id)
    changed = msgspec.structs.replace(policy, default_version_id=version.version_id)
    call.store.put(POLICIES, call.account, changed)


@operation("iam:DeletePolicyVersion", prepare=_of_version(resources.found_own_policy))
async def delete_policy_version(
    call: Call, request: shapes.DeletePolicyVersionRequest, prepared: Prepared[ManagedPolicy]
) -> None:
    policy = prepared.found
    version = _get_version(policy, request.version_id)
    if version.version_id == policy.default_version_id:
        raise Refusal("DeleteConflict", "Cannot delete the default version of a policy.")
    left = tuple(kept for kept in policy.versions if kept is not version)
    call.store.put(POLICIES, call.account, msgspec.structs.replace(policy, versions=left))


def _get_version(policy: AnyManagedPolicy, version_id: str) -> AnyVersion:
    for version in policy.versions:
        if version.version_id == version_id:
            return version
    raise _no_such_version(policy.arn, version_id)


def _no_such_version(arn: str, version_id: str) -> Refusal:
    return Refusal("NoSuchEntity", f"Policy {arn} version {version_id} does not exist or is not attachable.")


def _newest_first(version: AnyVersion) -> str:
    return f"{10**12 - int(version.version_id[1:]):013d}"


def _listed_version_shape(policy: AnyManagedPolicy, version: AnyVersion) -> shapes.PolicyVersion:
    """A version without its document, which only GetPolicyVersion shows."""
    return shapes.PolicyVersion(
        version_id=version.version_id,
        is_default_version=version.version_id == policy.default_version_id,
        create_date=version.created_at,
    )
