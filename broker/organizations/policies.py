"""Service and resource control policies: created, described, changed, deleted, listed."""

from typing import Any

from msgspec.structs import replace

from broker.access.organization import AWS_POLICIES, find_policy
from broker.errors import Refusal
from broker.names.organizations import (
    ID_ENTROPY,
    SERVICE_CONTROL_POLICY,
    new_id,
    organizations_arn,
    policy_arn,
)
from broker.operation import Call, Prepared, operation
from broker.organizations.membership import Inside, Target, inside
from broker.organizations.pages import page_of
from broker.organizations.policy_types import require_supported
from broker.organizations.refusals import constraint, invalid_input, missing
from broker.organizations.tags import new_tags
from broker.policy import MalformedPolicy, PolicyKind, parse_policy
from broker.protocol.shapes import organizations as shapes
from broker.storage.organization_records import Organization, OrganizationPolicy
from broker.storage.store import ORGANIZATION


def arn_of_policy(organization: Organization, policy_id: str, policy: OrganizationPolicy) -> str:
    return policy_arn(
        organization.management_account_id, organization.organization_id, policy.type, policy_id
    )


def summary(organization: Organization, policy_id: str, policy: OrganizationPolicy) -> shapes.PolicySummary:
    return shapes.PolicySummary(
        id=policy_id,
        arn=arn_of_policy(organization, policy_id, policy),
        name=policy.name,
        description=policy.description,
        type=policy.type,
        aws_managed=policy_id in AWS_POLICIES,
    )


def _shape(organization: Organization, policy_id: str, policy: OrganizationPolicy) -> shapes.Policy:
    return shapes.Policy(policy_summary=summary(organization, policy_id, policy), content=policy.content)


def named_policy(organization: Organization, request: Any) -> Target:
    """The policy with the request's `policy_id`."""
    return policy_target(organization, request.policy_id)


def policy_target(organization: Organization, policy_id: str) -> Target:
    policy = find_policy(organization, policy_id)
    if policy is None:
        # Its type, which is in the ARN, is not known.
        own = f"policy/{organization.organization_id}/*/{policy_id}"
        return Target(
            arn=organizations_arn(organization.management_account_id, own), refusal=missing("policy")
        )
    keys = {"organizations:PolicyType": policy.type}
    return Target(policy, arn_of_policy(organization, policy_id, policy), policy.tags, keys)


def _new_policy(organization: Organization, request: shapes.CreatePolicyRequest) -> Target:
    arn = policy_arn(organization.management_account_id, organization.organization_id, request.type, "p-*")
    return Target(arn=arn, keys={"organizations:PolicyType": request.type})


@operation("organizations:CreatePolicy", prepare=inside("CreatePolicy", _new_policy))
async def create_policy(
    call: Call, request: shapes.CreatePolicyRequest, prepared: Prepared[Inside]
) -> shapes.CreatePolicyResponse:
    organization = prepared.found.organization
    require_supported(request.type)
    _require_unused_name(organization, request.type, request.name)
    _require_content(call, request.type, request.content)
    own = [one for one in organization.policies.values() if one.type == request.type]
    if len(own) >= call.quotas.organization_policies:
        raise constraint(
            "POLICY_NUMBER_LIMIT_EXCEEDED",
            "You have exceeded the number of policies that you can have in an organization.",
        )
    policy = OrganizationPolicy(
        name=request.name,
        type=request.type,
        content=request.content,
        description=request.description,
        tags=await new_tags(call, prepared.resource, request),
    )
    policy_id = new_id("p", call.entropy(ID_ENTROPY))
    _put(call, organization, policy_id, policy)
    return shapes.CreatePolicyResponse(policy=_shape(organization, policy_id, policy))


def _put(call: Call, organization: Organization, policy_id: str, policy: OrganizationPolicy) -> None:
    policies = {**organization.policies, policy_id: policy}
    call.store.put(ORGANIZATION, "", replace(organization, policies=policies))


def _require_unused_name(organization: Organization, policy_type: str, name: str) -> None:
    known = (*organization.policies.values(), *AWS_POLICIES.values())
    if any((one.type, one.name) == (policy_type, name) for one in known):
        raise Refusal("DuplicatePolicyException", "A policy with the same name already exists.")


def _require_content(call: Call, policy_type: str, content: str) -> None:
    is_scp = policy_type == SERVICE_CONTROL_POLICY
    longest = call.quotas.service_control_policy_size if is_scp else call.quotas.resource_control_policy_size
    if len(content) > longest:
        raise constraint(
            "POLICY_CONTENT_LIMIT_EXCEEDED",
            "You attempted to create a policy that is larger than the maximum size.",
        )
    try:
        parse_policy(content, PolicyKind.SCP if is_scp else PolicyKind.RCP, is_new=True)
    except MalformedPolicy as error:
        raise Refusal(
            "MalformedPolicyDocumentException",
            "The provided policy document does not meet the requirements of the specified policy type.",
            reason=error.message,
        ) from None


@operation("organizations:DescribePolicy", prepare=inside("DescribePolicy", named_policy))
async def describe_policy(
    call: Call, request: shapes.DescribePolicyRequest, prepared: Prepared[Inside]
) -> shapes.DescribePolicyResponse:
    shape = _shape(prepared.found.organization, request.policy_id, prepared.found.found)
    return shapes.DescribePolicyResponse(policy=shape)


@operation("organizations:UpdatePolicy", prepare=inside("UpdatePolicy", named_policy))
async def update_policy(
    call: Call, request: shapes.UpdatePolicyRequest, prepared: Prepared[Inside]
) -> shapes.UpdatePolicyResponse:
    organization, policy = prepared.found.organization, prepared.found.found
    _require_own(request.policy_id)
    if request.name is not None and request.name != policy.name:
        _require_unused_name(organization, policy.type, request.name)
        policy = replace(policy, name=request.name)
    if request.description is not None:
        policy = replace(policy, description=request.description)
    if request.content is not None:
        _require_content(call, policy.type, request.content)
        policy = replace(policy, content=request.content)
    _put(call, organization, request.policy_id, policy)
    return shapes.UpdatePolicyResponse(policy=_shape(organization, request.policy_id, policy))


@operation("organizations:DeletePolicy", prepare=inside("DeletePolicy", named_policy))
async def delete_policy(call: Call, request: shapes.DeletePolicyRequest, prepared: Prepared[Inside]) -> None:
    organization = prepared.found.organization
    _require_own(request.policy_id)
    nodes = (*organization.units.values(), *organization.accounts.values())
    if any(request.policy_id in unit.policies for unit in nodes):
        raise Refusal(
            "PolicyInUseException",
            "The policy is attached to one or more entities. You must detach it from all roots, OUs, and accounts "
            "before performing this operation.",
        )
    rest = {one: policy for one, policy in organization.policies.items() if one != request.policy_id}
    call.store.put(ORGANIZATION, "", replace(organization, policies=rest))


def _require_own(policy_id: str) -> None:
    if policy_id in AWS_POLICIES:
        raise invalid_input("IMMUTABLE_POLICY", "You can't change a policy that is managed by AWS.")


def _filtered(organization: Organization, request: shapes.ListPoliciesRequest) -> Target:
    return Target(keys={"organizations:PolicyType": request.filter})


@operation("organizations:ListPolicies", prepare=inside("ListPolicies", _filtered))
async def list_policies(
    call: Call, request: shapes.ListPoliciesRequest, prepared: Prepared[Inside]
) -> shapes.ListPoliciesResponse:
    organization = prepared.found.organization
    policies = {**AWS_POLICIES, **organization.policies}
    wanted = [one for one, policy in policies.items() if policy.type == request.filter]
    chosen, token = page_of(wanted, str, request.next_token, request.max_results)
    return shapes.ListPoliciesResponse(
        policies=tuple(summary(organization, one, policies[one]) for one in chosen), next_token=token
    )
