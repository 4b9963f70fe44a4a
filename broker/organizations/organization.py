"""The organization itself: created, described, deleted, left; its root, and the types of policies enabled there."""

from typing import Any

from msgspec.structs import replace

from broker.access.organization import POLICY_TYPES, find_organization, find_policy, is_member
from broker.errors import Refusal, not_implemented
from broker.names.organizations import (
    FULL_AWS_ACCESS,
    ID_ENTROPY,
    SERVICE_CONTROL_POLICY,
    new_id,
    node_arn,
    organization_arn,
)
from broker.operation import Call, Prepared, no_resource, operation
from broker.organizations.membership import Audience, Inside, Target, inside
from broker.organizations.nodes import ROOT_NAME, arn_of, name_of, node_target, roots
from broker.organizations.pages import page_of
from broker.organizations.policy_types import require_supported
from broker.organizations.refusals import missing
from broker.organizations.removal import without_account
from broker.protocol.shapes import organizations as shapes
from broker.storage.organization_records import Organization, OrganizationalUnit
from broker.storage.store import ACCOUNTS, HANDSHAKES, ORGANIZATION

ALL_FEATURES = "ALL"


async def organization_shape(call: Call, organization: Organization) -> shapes.Organization:
    management = organization.management_account_id
    record = await call.store.find(ACCOUNTS, "", management)
    return shapes.Organization(
        id=organization.organization_id,
        arn=organization_arn(management, organization.organization_id),
        feature_set=ALL_FEATURES,
        master_account_arn=node_arn(management, organization.organization_id, management),
        master_account_id=management,
        master_account_email=(record.email or None) if record else None,
        available_policy_types=_policy_types(organization, POLICY_TYPES),
    )


def _policy_types(organization: Organization, shown: tuple[str, ...]) -> tuple[shapes.PolicyTypeSummary, ...]:
    return tuple(
        shapes.PolicyTypeSummary(type=one, status="ENABLED") for one in shown if one in organization.features
    )


@operation("organizations:CreateOrganization", prepare=no_resource)
async def create_organization(
    call: Call, request: shapes.CreateOrganizationRequest, prepared: Prepared[None]
) -> shapes.CreateOrganizationResponse:
    """A broker has one organization: the first account that creates it has its management account."""
    existing = await find_organization(call.store)
    if existing is not None and is_member(existing, call.account):
        raise Refusal(
            "AlreadyInOrganizationException", "The AWS account is already a member of an organization."
        )
    if existing is not None:
        raise Refusal("ConstraintViolationException", "This broker has one organization, of another account.")
    if request.feature_set not in (None, ALL_FEATURES):
        raise not_implemented("An organization of the broker has all features.")
    root_id = new_id("r", call.entropy(ID_ENTROPY))
    now = int(call.now)
    organization = Organization(
        organization_id=new_id("o", call.entropy(ID_ENTROPY)),
        management_account_id=call.account,
        units={root_id: OrganizationalUnit(parent=None, name=ROOT_NAME, joined_at=now)},
        accounts={call.account: OrganizationalUnit(parent=root_id, joined_at=now, is_invited=True)},
    )
    call.store.put(ORGANIZATION, "", organization)
    return shapes.CreateOrganizationResponse(organization=await organization_shape(call, organization))


@operation(
    "organizations:DescribeOrganization", prepare=inside("DescribeOrganization", audience=Audience.MEMBERS)
)
async def describe_organization(
    call: Call, request: None, prepared: Prepared[Inside]
) -> shapes.DescribeOrganizationResponse:
    shape = await organization_shape(call, prepared.found.organization)
    return shapes.DescribeOrganizationResponse(organization=shape)


@operation("organizations:DeleteOrganization", prepare=inside("DeleteOrganization"))
async def delete_organization(call: Call, request: None, prepared: Prepared[Inside]) -> None:
    organization = prepared.found.organization
    others = {*organization.accounts, *organization.closed_accounts} - {organization.management_account_id}
    units = organization.units.keys() - roots(organization).keys()
    if others:
        raise Refusal(
            "OrganizationNotEmptyException",
            "To delete an organization you must first remove all member accounts (except the master).",
        )
    if units or organization.policies:
        raise Refusal(
            "OrganizationNotEmptyException",
            "To delete an organization you must first delete its organizational units and its policies.",
        )
    for handshake in await call.store.scan(HANDSHAKES, ""):
        call.store.delete(HANDSHAKES, "", handshake.handshake_id)
    call.store.delete(ORGANIZATION, "", "")


@operation("organizations:LeaveOrganization", prepare=inside("LeaveOrganization", audience=Audience.MEMBERS))
async def leave_organization(call: Call, request: None, prepared: Prepared[Inside]) -> None:
    call.store.put(ORGANIZATION, "", without_account(prepared.found.organization, call.account))


@operation("organizations:ListRoots", prepare=inside("ListRoots"))
async def list_roots(
    call: Call, request: shapes.ListRootsRequest, prepared: Prepared[Inside]
) -> shapes.ListRootsResponse:
    organization = prepared.found.organization
    chosen, token = page_of(roots(organization), str, request.next_token, request.max_results)
    return shapes.ListRootsResponse(
        roots=tuple(_root_shape(organization, root_id) for root_id in chosen), next_token=token
    )


def _root_shape(organization: Organization, root_id: str) -> shapes.Root:
    return shapes.Root(
        id=root_id,
        arn=arn_of(organization, root_id),
        name=name_of(root_id, organization.units[root_id]),
        policy_types=_policy_types(organization, POLICY_TYPES),
    )


def _root(organization: Organization, request: Any) -> Target:
    keys = {"organizations:PolicyType": request.policy_type}
    target = node_target(organization, request.root_id, lambda: missing("root"), keys)
    is_root = request.root_id in roots(organization)
    return target if is_root else replace(target, refusal=missing("root"))


@operation("organizations:EnablePolicyType", prepare=inside("EnablePolicyType", _root))
async def enable_policy_type(
    call: Call, request: shapes.EnablePolicyTypeRequest, prepared: Prepared[Inside]
) -> shapes.EnablePolicyTypeResponse:
    """With service control policies, FullAWSAccess is attached everywhere: else nothing would be allowed any more."""
    organization = prepared.found.organization
    require_supported(request.policy_type)
    if request.policy_type in organization.features:
        raise Refusal("PolicyTypeAlreadyEnabledException", "The specified policy type is already enabled.")
    changed = replace(organization, features=(*organization.features, request.policy_type))
    if request.policy_type == SERVICE_CONTROL_POLICY:
        changed = _with_full_access(changed)
    call.store.put(ORGANIZATION, "", changed)
    return shapes.EnablePolicyTypeResponse(root=_root_shape(changed, request.root_id))


@operation("organizations:DisablePolicyType", prepare=inside("DisablePolicyType", _root))
async def disable_policy_type(
    call: Call, request: shapes.DisablePolicyTypeRequest, prepared: Prepared[Inside]
) -> shapes.DisablePolicyTypeResponse:
    """All policies of the type are detached."""
    organization = prepared.found.organization
    require_supported(request.policy_type)
    if request.policy_type not in organization.features:
        raise Refusal(
            "PolicyTypeNotEnabledException",
            "This operation can be performed only for enabled policy types.",
        )
    features = tuple(one for one in organization.features if one != request.policy_type)
    changed = _without_type(replace(organization, features=features), request.policy_type)
    call.store.put(ORGANIZATION, "", changed)
    return shapes.DisablePolicyTypeResponse(root=_root_shape(changed, request.root_id))


def _with_full_access(organization: Organization) -> Organization:
    def limited(unit: OrganizationalUnit) -> OrganizationalUnit:
        return replace(unit, policies=tuple(dict.fromkeys((FULL_AWS_ACCESS, *unit.policies))))

    return replace(
        organization,
        units={name: limited(unit) for name, unit in organization.units.items()},
        accounts={name: limited(unit) for name, unit in organization.accounts.items()},
    )


def _without_type(organization: Organization, policy_type: str) -> Organization:
    def other(policy_id: str) -> bool:
        policy = find_policy(organization, policy_id)
        return policy is None or policy.type != policy_type

    def unlimited(unit: OrganizationalUnit) -> OrganizationalUnit:
        return replace(unit, policies=tuple(filter(other, unit.policies)))

    return replace(
        organization,
        units={name: unlimited(unit) for name, unit in organization.units.items()},
        accounts={name: unlimited(unit) for name, unit in organization.accounts.items()},
    )


@operation("organizations:EnableAllFeatures", prepare=inside("EnableAllFeatures"))
async def enable_all_features(
    call: Call, request: None, prepared: Prepared[Inside]
) -> shapes.EnableAllFeaturesResponse:
    """An organization of the broker has all features from its beginning."""
    raise Refusal(
        "HandshakeConstraintViolationException",
        "The organization has all features already.",
        members={"Reason": "ORGANIZATION_ALREADY_HAS_ALL_FEATURES"},
    )
