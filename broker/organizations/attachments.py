"""Policies attached to roots, units and accounts: what is attached counts from the next request on."""

from typing import Any

from msgspec.structs import replace

from broker.access.organization import find_policy, policies_at
from broker.errors import Refusal
from broker.names.organizations import RCP_FULL_AWS_ACCESS, SERVICE_CONTROL_POLICY
from broker.operation import Call, Prepared, operation
from broker.organizations.membership import Inside, inside
from broker.organizations.nodes import accounts_of, arn_of, find_node, name_of, node, roots, with_node
from broker.organizations.pages import page_of
from broker.organizations.policies import named_policy, summary
from broker.organizations.policy_types import require_supported
from broker.organizations.refusals import constraint, invalid_input, missing
from broker.protocol.shapes import organizations as shapes
from broker.storage.organization_records import Organization, OrganizationalUnit, OrganizationPolicy
from broker.storage.store import ACCOUNTS, ORGANIZATION


@operation("organizations:AttachPolicy", prepare=inside("AttachPolicy", named_policy))
async def attach_policy(call: Call, request: shapes.AttachPolicyRequest, prepared: Prepared[Inside]) -> None:
    organization, policy = prepared.found.organization, prepared.found.found
    unit = await _get_target(call, "AttachPolicy", request, prepared)
    if request.policy_id in unit.policies or request.policy_id == RCP_FULL_AWS_ACCESS:
        raise Refusal(
            "DuplicatePolicyAttachmentException", "The policy is already attached to the specified target."
        )
    is_scp = policy.type == SERVICE_CONTROL_POLICY
    most = (
        call.quotas.service_control_policies_per_target
        if is_scp
        else call.quotas.resource_control_policies_per_target
    )
    if len(policies_at(organization, unit, policy.type)) >= most:
        raise constraint(
            "MAX_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED",
            "You have attached the maximum number of policies to the specified target.",
        )
    _put(call, organization, request.target_id, (*unit.policies, request.policy_id))


@operation("organizations:DetachPolicy", prepare=inside("DetachPolicy", named_policy))
async def detach_policy(call: Call, request: shapes.DetachPolicyRequest, prepared: Prepared[Inside]) -> None:
    organization, policy = prepared.found.organization, prepared.found.found
    unit = await _get_target(call, "DetachPolicy", request, prepared)
    if request.policy_id == RCP_FULL_AWS_ACCESS:
        raise invalid_input("NON_DETACHABLE_POLICY", "You can't detach this AWS managed policy.")
    if request.policy_id not in unit.policies:
        raise Refusal(
            "PolicyNotAttachedException",
            "The policy isn't attached to the specified target in the specified root.",
        )
    is_scp = policy.type == SERVICE_CONTROL_POLICY
    if is_scp and len(policies_at(organization, unit, policy.type)) == 1:
        raise constraint(
            "MIN_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED",
            "You cannot remove the last policy attached to the specified target. You must have at least one "
            "attached at all times.",
        )
    rest = tuple(one for one in unit.policies if one != request.policy_id)
    _put(call, organization, request.target_id, rest)


async def _get_target(
    call: Call,
    name: str,
    request: shapes.AttachPolicyRequest | shapes.DetachPolicyRequest,
    prepared: Prepared[Inside],
) -> OrganizationalUnit:
    """The target, once the gate allows the action on it as well; raises where its policies are not enabled."""
    organization, policy = prepared.found.organization, prepared.found.found
    target_id = request.target_id
    unit = find_node(organization, target_id)
    tags = {} if unit is None else unit.tags
    keys = {"organizations:PolicyType": policy.type}
    await call.require(
        f"organizations:{name}", prepared.found.resource_of(arn_of(organization, target_id), tags, keys)
    )
    if unit is None:
        raise missing("target")
    if policy.type not in organization.features:
        raise Refusal(
            "PolicyTypeNotEnabledException",
            "This operation can be performed only for enabled policy types.",
        )
    return unit


def _put(call: Call, organization: Organization, target_id: str, policies: tuple[str, ...]) -> None:
    unit = find_node(organization, target_id)
    assert unit is not None
    call.store.put(ORGANIZATION, "", with_node(organization, target_id, replace(unit, policies=policies)))


def _type_key(request: shapes.ListPoliciesForTargetRequest) -> dict[str, str | tuple[str, ...]]:
    return {"organizations:PolicyType": request.filter}


@operation(
    "organizations:ListPoliciesForTarget",
    prepare=inside("ListPoliciesForTarget", node("target_id", lambda: missing("target"), _type_key)),
)
async def list_policies_for_target(
    call: Call, request: shapes.ListPoliciesForTargetRequest, prepared: Prepared[Inside]
) -> shapes.ListPoliciesForTargetResponse:
    organization = prepared.found.organization
    require_supported(request.filter)
    attached: dict[str, OrganizationPolicy] = {}
    if request.filter in organization.features:
        attached = dict(policies_at(organization, prepared.found.found, request.filter))
    chosen, token = page_of(attached, str, request.next_token, request.max_results)
    return shapes.ListPoliciesForTargetResponse(
        policies=tuple(summary(organization, one, attached[one]) for one in chosen), next_token=token
    )


@operation("organizations:ListTargetsForPolicy", prepare=inside("ListTargetsForPolicy", named_policy))
async def list_targets_for_policy(
    call: Call, request: shapes.ListTargetsForPolicyRequest, prepared: Prepared[Inside]
) -> shapes.ListTargetsForPolicyResponse:
    organization = prepared.found.organization
    nodes: dict[str, OrganizationalUnit] = {**organization.units, **accounts_of(organization)}
    targets = [one for one, unit in nodes.items() if _has(organization, unit, request.policy_id)]
    chosen, token = page_of(targets, str, request.next_token, request.max_results)
    return shapes.ListTargetsForPolicyResponse(
        targets=tuple([await _summary(call, organization, one, nodes[one]) for one in chosen]),
        next_token=token,
    )


def _has(organization: Organization, unit: OrganizationalUnit, policy_id: str) -> bool:
    policy: Any = find_policy(organization, policy_id)
    if policy_id == RCP_FULL_AWS_ACCESS:
        return policy.type in organization.features
    return policy_id in unit.policies


async def _summary(
    call: Call, organization: Organization, target_id: str, unit: OrganizationalUnit
) -> shapes.PolicyTargetSummary:
    if target_id in organization.units:
        kind = "ROOT" if target_id in roots(organization) else "ORGANIZATIONAL_UNIT"
        name = name_of(target_id, unit)
    else:
        record = await call.store.find(ACCOUNTS, "", target_id)
        kind, name = "ACCOUNT", (record.name if record else "") or target_id
    return shapes.PolicyTargetSummary(
        target_id=target_id, arn=arn_of(organization, target_id), name=name, type=kind
    )
