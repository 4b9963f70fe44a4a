"""The organization's resource policy: what members may do with the organization, where their own policies allow it.

"Delegated administrator for Organizations": its principals are members, its actions those that AWS lets be delegated.
"""

from typing import Any

from msgspec.structs import replace

from broker.errors import Refusal
from broker.names.organizations import ID_ENTROPY, new_id, organizations_arn, resource_policy_arn
from broker.operation import Call, Prepared, operation
from broker.organizations.membership import DELEGABLE, Inside, Target, inside
from broker.organizations.refusals import invalid_input
from broker.organizations.tags import new_tags
from broker.policy import MalformedPolicy, PolicyKind, named_actions, parse_policy
from broker.protocol.shapes import organizations as shapes
from broker.storage.organization_records import Organization
from broker.storage.store import ORGANIZATION

_SERVICE = "organizations:"
_READING = ("describe", "list")
_DELEGABLE = frozenset(name.lower() for name in DELEGABLE)


def _arn(organization: Organization) -> str:
    own = organization.resource_policy_id
    if own is None:
        return organizations_arn(
            organization.management_account_id, f"resourcepolicy/{organization.organization_id}/rp-*"
        )
    return resource_policy_arn(organization.management_account_id, organization.organization_id, own)


def _target(organization: Organization, request: Any) -> Target:
    return Target(arn=_arn(organization), tags=organization.resource_policy_tags)


def _shape(organization: Organization) -> shapes.ResourcePolicy:
    return shapes.ResourcePolicy(
        resource_policy_summary=shapes.ResourcePolicySummary(
            id=organization.resource_policy_id, arn=_arn(organization)
        ),
        content=organization.resource_policy,
    )


def _no_policy() -> Refusal:
    return Refusal("ResourcePolicyNotFoundException", "We can't find a resource policy with this parameter.")


@operation("organizations:PutResourcePolicy", prepare=inside("PutResourcePolicy", _target))
async def put_resource_policy(
    call: Call, request: shapes.PutResourcePolicyRequest, prepared: Prepared[Inside]
) -> shapes.PutResourcePolicyResponse:
    organization = prepared.found.organization
    is_new = organization.resource_policy is None
    if request.tags and not is_new:
        raise invalid_input("INVALID_PATTERN", "Tags of an existing resource policy are set by TagResource.")
    _require_delegable(request.content)
    changed = replace(
        organization,
        resource_policy=request.content,
        resource_policy_id=organization.resource_policy_id or new_id("rp", call.entropy(ID_ENTROPY)),
        resource_policy_tags=await new_tags(call, prepared.resource, request)
        if is_new
        else organization.resource_policy_tags,
    )
    call.store.put(ORGANIZATION, "", changed)
    return shapes.PutResourcePolicyResponse(resource_policy=_shape(changed))


def _require_delegable(content: str) -> None:
    """Raises InvalidInputException for a policy that is malformed, or that names what cannot be delegated."""
    try:
        policy = parse_policy(content, PolicyKind.RESOURCE)
    except MalformedPolicy as error:
        raise invalid_input(
            "INVALID_RESOURCE_POLICY_JSON", f"The resource policy is not valid: {error.message}"
        ) from None
    actions = named_actions(policy)
    if actions is None or not all(map(_is_delegable, actions)):
        raise invalid_input(
            "UNSUPPORTED_ACTION_IN_RESOURCE_POLICY",
            "The resource policy names an action that cannot be delegated.",
        )


def _is_delegable(action: str) -> bool:
    """One of the actions, or a pattern of those that read (`organizations:List*`)."""
    service, _, name = action.lower().partition(":")
    return f"{service}:" == _SERVICE and (name in _DELEGABLE or name.startswith(_READING))


@operation("organizations:DescribeResourcePolicy", prepare=inside("DescribeResourcePolicy"))
async def describe_resource_policy(
    call: Call, request: None, prepared: Prepared[Inside]
) -> shapes.DescribeResourcePolicyResponse:
    organization = prepared.found.organization
    if organization.resource_policy is None:
        raise _no_policy()
    return shapes.DescribeResourcePolicyResponse(resource_policy=_shape(organization))


@operation("organizations:DeleteResourcePolicy", prepare=inside("DeleteResourcePolicy"))
async def delete_resource_policy(call: Call, request: None, prepared: Prepared[Inside]) -> None:
    organization = prepared.found.organization
    if organization.resource_policy is None:
        raise _no_policy()
    changed = replace(organization, resource_policy=None, resource_policy_id=None, resource_policy_tags={})
    call.store.put(ORGANIZATION, "", changed)
