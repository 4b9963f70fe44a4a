"""Managed policies: the account's own, and AWS's, which every account has."""

import msgspec

from broker.access.aws_managed import AnyManagedPolicy, all_aws_managed
from broker.errors import Refusal
from broker.iam import entities, resources
from broker.iam.attached_policies import sort_key
from broker.iam.documents import require_document, require_size
from broker.iam.entities import require_new
from broker.iam.policy_usage import PolicyUsage, count_usage
from broker.iam.tags import new_tags, tag_shapes
from broker.names import ids
from broker.operation import Call, Prepared, operation
from broker.paging import page
from broker.protocol.shapes import iam as shapes
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
    shown = msgspec.structs.replace(policy_shape(policy, await count_usage(call)), description=None)
    return shapes.CreatePolicyResponse(policy=shown)  # as AWS answers: without the description


@operation("iam:GetPolicy", prepare=resources.found_policy)
async def get_policy(
    call: Call, request: shapes.GetPolicyRequest, prepared: Prepared[AnyManagedPolicy]
) -> shapes.GetPolicyResponse:
    policy = prepared.found
    return shapes.GetPolicyResponse(policy=policy_shape(policy, await count_usage(call)))


@operation("iam:ListPolicies", prepare=resources.listed("policy"))
async def list_policies(
    call: Call, request: shapes.ListPoliciesRequest, prepared: Prepared[None]
) -> shapes.ListPoliciesResponse:
    usage = await count_usage(call)
    must_be_used = request.only_attached or request.policy_usage_filter is not None
    policies = [
        policy
        for policy in await _in_scope(call, request.scope)
        if policy.path.startswith(request.path_prefix or "/")
        and (not must_be_used or usage.count(policy.arn, request.policy_usage_filter))
    ]
    chosen = page(policies, lambda policy: sort_key(policy.arn), request.marker, request.max_items)
    return shapes.ListPoliciesResponse(
        policies=tuple(_listed_policy_shape(policy, usage) for policy in chosen.items),
        is_truncated=chosen.is_truncated,
        marker=chosen.marker,
    )


@operation("iam:DeletePolicy", prepare=resources.found_own_policy)
async def delete_policy(
    call: Call, request: shapes.DeletePolicyRequest, prepared: Prepared[ManagedPolicy]
) -> None:
    policy = prepared.found
    if (await count_usage(call)).count(policy.arn, None):
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


async def _in_scope(call: Call, scope: str | None) -> list[AnyManagedPolicy]:
    own = () if scope == "AWS" else await call.store.scan(POLICIES, call.account)
    return [*own] if scope == "Local" else [*own, *all_aws_managed()]


def policy_shape(policy: AnyManagedPolicy, usage: PolicyUsage) -> shapes.Policy:
    """A policy as GetPolicy shows it: description and tags included."""
    return msgspec.structs.replace(
        _listed_policy_shape(policy, usage), description=policy.description, tags=tag_shapes(policy.tags)
    )


def _listed_policy_shape(policy: AnyManagedPolicy, usage: PolicyUsage) -> shapes.Policy:
    return shapes.Policy(
        policy_name=policy.policy_name,
        policy_id=policy.policy_id,
        arn=policy.arn,
        path=policy.path,
        default_version_id=policy.default_version_id,
        attachment_count=usage.attachments[policy.arn],
        permissions_boundary_usage_count=usage.boundaries[policy.arn],
        is_attachable=True,
        create_date=policy.created_at,
        update_date=policy.updated_at,
    )
