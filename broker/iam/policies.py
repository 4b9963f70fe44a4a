"""Managed policies: the account's own, and AWS's, which every account has."""

import msgspec

from broker.access.aws_managed import AnyManagedPolicy
from broker.errors import Refusal
from broker.iam import entities, resources
from broker.iam.attached_policies import sort_key
from broker.iam.documents import require_document, require_size
from broker.iam.entities import require_new
from broker.iam.policy_rows import policy_rows
from broker.iam.policy_usage import use_of, uses_counted, uses_of
from broker.iam.tags import new_tags, tag_shapes
from broker.names import ids
from broker.operation import Call, Prepared, operation
from broker.paging import page_of_rows
from broker.protocol.shapes import iam as shapes
from broker.storage.derived_records import PolicyUse
from broker.storage.records import ManagedPolicy, PolicyVersion
from broker.storage.store import POLICIES


@operation("iam:CreatePolicy", prepare=resources.new(entities.POLICY, "policy_name"))
async def create_policy(
    call: Call, request: shapes.CreatePolicyRequest, prepared: Prepared[None]
) -> shapes.CreatePolicyResponse:
    await require_new(call, entities.POLICY, request.policy_name)
    require_managed_document(call, request.policy_document)
    now = int(call.now)
    policy = ManagedPolicy(
        account_id=call.account,
        policy_name=request.policy_name,
        policy_id=call.new_id(ids.POLICY),
        path=request.path or "/",
        description=request.description,
        versions=(PolicyVersion(version_id="v1", document=request.policy_document, created_at=now),),
        tags=await new_tags(call, "iam:TagPolicy", prepared.resource, request),
        created_at=now,
        updated_at=now,
    )
    call.store.put(POLICIES, call.account, policy)
    shown = msgspec.structs.replace(policy_shape(policy, await use_of(call, policy.arn)), description=None)
    return shapes.CreatePolicyResponse(policy=shown)  # as AWS answers: without the description


@operation("iam:GetPolicy", prepare=resources.found_policy)
async def get_policy(
    call: Call, request: shapes.GetPolicyRequest, prepared: Prepared[AnyManagedPolicy]
) -> shapes.GetPolicyResponse:
    policy = prepared.found
    return shapes.GetPolicyResponse(policy=policy_shape(policy, await use_of(call, policy.arn)))


@operation("iam:ListPolicies", prepare=resources.listed("policy"))
async def list_policies(
    call: Call, request: shapes.ListPoliciesRequest, prepared: Prepared[None]
) -> shapes.ListPoliciesResponse:
    rows = policy_rows(call, request)
    chosen = await page_of_rows(rows, lambda policy: sort_key(policy.arn), request.marker, request.max_items)
    uses = await uses_of(call, [policy.arn for policy in chosen.items])
    return shapes.ListPoliciesResponse(
        policies=tuple(map(_listed_policy_shape, chosen.items, uses)),
        is_truncated=chosen.is_truncated,
        marker=chosen.marker,
    )


@operation("iam:DeletePolicy", prepare=resources.found_own_policy)
async def delete_policy(
    call: Call, request: shapes.DeletePolicyRequest, prepared: Prepared[ManagedPolicy]
) -> None:
    policy = prepared.found
    if uses_counted(await use_of(call, policy.arn), None):
        raise Refusal("DeleteConflict", "Cannot delete a policy attached to entities.")
    if len(policy.versions) > 1:
        raise Refusal(
            "DeleteConflict",
            "This policy has more than one version. Before you delete a policy, you must delete the policy's "
            "versions. The default version is deleted with the policy.",
        )
    call.store.delete(POLICIES, call.account, policy.policy_name)


def require_managed_document(call: Call, text: str) -> None:
    """Raises LimitExceeded or MalformedPolicyDocument for an invalid document of a managed policy."""
    require_size(text, call.quotas.managed_policy_size, "PolicySize")
    require_document(text, is_managed=True)


def policy_shape(policy: AnyManagedPolicy, use: PolicyUse) -> shapes.Policy:
    """A policy as GetPolicy shows it: description and tags included."""
    return msgspec.structs.replace(
        _listed_policy_shape(policy, use), description=policy.description, tags=tag_shapes(policy.tags)
    )


def _listed_policy_shape(policy: AnyManagedPolicy, use: PolicyUse) -> shapes.Policy:
    return shapes.Policy(
        policy_name=policy.policy_name,
        policy_id=policy.policy_id,
        arn=policy.arn,
        path=policy.path,
        default_version_id=policy.default_version_id,
        attachment_count=use.attachments,
        permissions_boundary_usage_count=use.boundaries,
        is_attachable=True,
        create_date=policy.created_at,
        update_date=policy.updated_at,
    )
