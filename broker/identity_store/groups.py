"""The groups of an identity store, as `identitystore` reads and writes them."""

from typing import Any

from msgspec.structs import replace

from broker.identity_store.errors import invalid, resource_not_found
from broker.identity_store.naming import (
    GROUP,
    external_ids,
    group_reference,
    named_group,
    people_arn,
    people_in,
    require_own_issuer,
    service_refusals,
    text_of,
)
from broker.identity_store.pages import key_before_page, page_after
from broker.identity_store.people import require_version
from broker.identity_store.scim import random_id
from broker.identity_store.stores import named_store
from broker.operation import Call, Prepared, operation
from broker.protocol.shapes import identitystore as shapes
from broker.storage import identity_store_records as records
from broker.storage.identity_store_records import IdentityStoreRecord, StoreGroup

_MOST = 100


def _shown(record: IdentityStoreRecord, group: StoreGroup) -> dict[str, Any]:
    return {
        **group_reference(record, group),
        "display_name": group.display_name,
        "external_ids": external_ids(record, group.external_id),
        "description": group.description or None,
        "created_at": float(group.created_at),
        "updated_at": float(group.modified_at),
    }


@operation("identitystore:DescribeGroup", prepare=named_store)
async def describe_group(
    call: Call, request: shapes.DescribeGroupRequest, prepared: Prepared[IdentityStoreRecord]
) -> shapes.DescribeGroupResponse:
    group = await named_group(people_in(call, prepared.found), request.group_id)
    return shapes.DescribeGroupResponse(**_shown(prepared.found, group))


@operation("identitystore:ListGroups", prepare=named_store)
async def list_groups_of_store(
    call: Call, request: shapes.ListGroupsRequest, prepared: Prepared[IdentityStoreRecord]
) -> shapes.ListGroupsResponse:
    """The filter is by display name, as AWS's is."""
    people, most = people_in(call, prepared.found), request.max_results or _MOST
    if request.filters:
        (asked,) = request.filters
        if asked.attribute_path != "DisplayName":
            raise invalid("A filter of groups has the AttributePath DisplayName.")
        named = await people.find_named(records.group_name_key(asked.attribute_value))
        found = await people.find_group(named) if named is not None else None
        groups = [found] if found is not None else []
    else:
        groups = await people.groups(most + 1, key_before_page(request.next_token))
    shown, next_token = page_after(groups, lambda one: one.group_id, request.next_token, most)
    return shapes.ListGroupsResponse(
        groups=tuple(shapes.Group(**_shown(prepared.found, one)) for one in shown), next_token=next_token
    )


@operation("identitystore:GetGroupId", prepare=named_store)
async def get_group_id(
    call: Call, request: shapes.GetGroupIdRequest, prepared: Prepared[IdentityStoreRecord]
) -> shapes.GetGroupIdResponse:
    people, given = people_in(call, prepared.found), request.alternate_identifier
    if given.external_id is not None:
        external_id = require_own_issuer(prepared.found, given.external_id)
        key = records.external_id_key(records.GROUP, external_id)
    elif (
        given.unique_attribute is not None and given.unique_attribute.attribute_path.lower() == "displayname"
    ):
        key = records.group_name_key(text_of(given.unique_attribute.attribute_value, "AttributeValue"))
    else:
        raise invalid("AlternateIdentifier is an ExternalId, or the UniqueAttribute displayName.")
    found = await people.find_named(key)
    if found is None:
        raise resource_not_found(GROUP, "GROUP not found.")
    return shapes.GetGroupIdResponse(
        identity_store_id=prepared.found.store_id, group_id=found, group_arn=people_arn("group", found)
    )


@operation("identitystore:CreateGroup", prepare=named_store)
async def create_group_in_store(
    call: Call, request: shapes.CreateGroupRequest, prepared: Prepared[IdentityStoreRecord]
) -> shapes.CreateGroupResponse:
    if request.display_name is None:
        raise invalid("A group has a DisplayName.")
    described = StoreGroup(
        group_id=random_id(call.entropy),
        display_name=request.display_name,
        description=request.description or "",
    )
    with service_refusals():
        group = await people_in(call, prepared.found).create_group(described)
    return shapes.CreateGroupResponse(**group_reference(prepared.found, group))


@operation("identitystore:UpdateGroup", prepare=named_store)
async def update_group_in_store(
    call: Call, request: shapes.UpdateGroupRequest, prepared: Prepared[IdentityStoreRecord]
) -> shapes.UpdateGroupResponse:
    people = people_in(call, prepared.found)
    group = await named_group(people, request.group_id)
    changed = group
    for one in request.operations:
        changed = _changed(changed, one)
    with service_refusals():
        require_version(request.revision, group.version)
        made = await people.change_group(group, changed)
    return shapes.UpdateGroupResponse(**group_reference(prepared.found, made))


def _changed(group: StoreGroup, asked: shapes.AttributeOperation) -> StoreGroup:
    match asked.attribute_path.lower():
        case "displayname":
            return replace(group, display_name=text_of(asked.attribute_value, "displayName"))
        case "description" if asked.attribute_value is None:
            return replace(group, description="")
        case "description":
            return replace(group, description=text_of(asked.attribute_value, "description"))
    raise invalid("The attributes of a group that can be changed are displayName and description.")


@operation("identitystore:DeleteGroup", prepare=named_store)
async def delete_group_of_store(
    call: Call, request: shapes.DeleteGroupRequest, prepared: Prepared[IdentityStoreRecord]
) -> shapes.DeleteGroupResponse:
    people = people_in(call, prepared.found)
    group = await named_group(people, request.group_id)
    with service_refusals():
        require_version(request.revision, group.version)
    await people.delete_group(group)
    return shapes.DeleteGroupResponse()
