"""Tags of roots, units, accounts, policies and the resource policy: set, removed, listed."""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from broker.access.organization import AWS_POLICIES
from broker.names.organizations import resource_policy_arn
from broker.operation import Call, Prepared, operation
from broker.organizations.membership import Inside, Target, inside
from broker.organizations.nodes import find_node, node_target, with_node
from broker.organizations.pages import page_of
from broker.organizations.policies import policy_target
from broker.organizations.refusals import invalid_input, missing
from broker.organizations.tags import merged_tags, require_own_keys, tag_shapes
from broker.protocol.shapes import organizations as shapes
from broker.storage.organization_records import Organization
from broker.storage.store import ORGANIZATION


def _tagged(organization: Organization, request: Any) -> Target:
    resource_id = request.resource_id
    if resource_id.startswith("p-"):
        target = policy_target(organization, resource_id)
        is_missing = target.refusal is not None
        return replace(target, refusal=missing("target")) if is_missing else target
    if resource_id.startswith("rp-"):
        return _resource_policy(organization, resource_id)
    return node_target(organization, resource_id, lambda: missing("target"))


def _resource_policy(organization: Organization, resource_id: str) -> Target:
    own = organization.organization_id
    arn = resource_policy_arn(organization.management_account_id, own, resource_id)
    refusal = None if resource_id == organization.resource_policy_id else missing("target")
    return Target(arn=arn, tags=organization.resource_policy_tags, refusal=refusal)


def _tags_of(organization: Organization, resource_id: str) -> Mapping[str, str]:
    if resource_id in organization.policies:
        return organization.policies[resource_id].tags
    if resource_id == organization.resource_policy_id:
        return organization.resource_policy_tags
    unit = find_node(organization, resource_id)
    return {} if unit is None else unit.tags


def _put(call: Call, organization: Organization, resource_id: str, tags: dict[str, str]) -> None:
    if resource_id in AWS_POLICIES:
        raise invalid_input("IMMUTABLE_POLICY", "You can't tag a policy that is managed by AWS.")
    if resource_id in organization.policies:
        policy = replace(organization.policies[resource_id], tags=tags)
        changed = replace(organization, policies={**organization.policies, resource_id: policy})
    elif resource_id == organization.resource_policy_id:
        changed = replace(organization, resource_policy_tags=tags)
    else:
        unit = find_node(organization, resource_id)
        assert unit is not None, "`prepare` found it"
        changed = with_node(organization, resource_id, replace(unit, tags=tags))
    call.store.put(ORGANIZATION, "", changed)


@operation("organizations:TagResource", prepare=inside("TagResource", _tagged))
async def tag_resource(call: Call, request: shapes.TagResourceRequest, prepared: Prepared[Inside]) -> None:
    organization = prepared.found.organization
    existing = _tags_of(organization, request.resource_id)
    _put(call, organization, request.resource_id, merged_tags(call, existing, request.tags))


@operation("organizations:UntagResource", prepare=inside("UntagResource", _tagged))
async def untag_resource(
    call: Call, request: shapes.UntagResourceRequest, prepared: Prepared[Inside]
) -> None:
    organization = prepared.found.organization
    require_own_keys(request.tag_keys)
    existing = _tags_of(organization, request.resource_id)
    rest = {key: value for key, value in existing.items() if key not in request.tag_keys}
    _put(call, organization, request.resource_id, rest)


@operation("organizations:ListTagsForResource", prepare=inside("ListTagsForResource", _tagged))
async def list_tags_for_resource(
    call: Call, request: shapes.ListTagsForResourceRequest, prepared: Prepared[Inside]
) -> shapes.ListTagsForResourceResponse:
    tags = tag_shapes(_tags_of(prepared.found.organization, request.resource_id))
    chosen, token = page_of(tags, lambda tag: tag.key, request.next_token, None)
    return shapes.ListTagsForResourceResponse(tags=chosen, next_token=token)
