"""Groups: created, read, renamed, moved, deleted. Their members: `memberships.py`."""

import msgspec

from broker.access.resource import Resource
from broker.iam import entities, resources
from broker.iam.answers import group_shape, listed_user_shapes
from broker.iam.entities import page_by_path, require_new, require_nothing_left, require_renamable
from broker.iam.memberships import has_members, member_rows, rename_membership
from broker.names import ids
from broker.operation import Call, Prepared, operation
from broker.paging import first_key, page_of_rows
from broker.protocol.shapes import iam as shapes
from broker.storage.records import Group
from broker.storage.store import GROUPS


@operation("iam:CreateGroup", prepare=resources.new(entities.GROUP, "group_name"))
async def create_group(
    call: Call, request: shapes.CreateGroupRequest, prepared: Prepared[None]
) -> shapes.CreateGroupResponse:
    await require_new(call, entities.GROUP, request.group_name)
    group = Group(
        account_id=call.account,
        group_name=request.group_name,
        group_id=call.new_id(ids.GROUP),
        path=request.path or "/",
        created_at=int(call.now),
    )
    call.store.put(GROUPS, call.account, group)
    return shapes.CreateGroupResponse(group=group_shape(group))


@operation("iam:GetGroup", prepare=resources.found_group)
async def get_group(
    call: Call, request: shapes.GetGroupRequest, prepared: Prepared[Group]
) -> shapes.GetGroupResponse:
    group = prepared.found
    members = member_rows(call, group, first_key(request.marker), request.max_items)
    chosen = await page_of_rows(
        members, lambda user: user.user_name.lower(), request.marker, request.max_items
    )
    return shapes.GetGroupResponse(
        group=group_shape(group),
        users=await listed_user_shapes(call, chosen.items),
        is_truncated=chosen.is_truncated,
        marker=chosen.marker,
    )


@operation("iam:ListGroups", prepare=resources.listed("group"))
async def list_groups(
    call: Call, request: shapes.ListGroupsRequest, prepared: Prepared[None]
) -> shapes.ListGroupsResponse:
    chosen = await page_by_path(call, entities.GROUP, request)
    return shapes.ListGroupsResponse(
        groups=tuple(group_shape(group) for group in chosen.items),
        is_truncated=chosen.is_truncated,
        marker=chosen.marker,
    )


@operation("iam:UpdateGroup", prepare=resources.found_group)
async def update_group(call: Call, request: shapes.UpdateGroupRequest, prepared: Prepared[Group]) -> None:
    """Rename or move; the caller needs the permission on both names ("Renaming an IAM group")."""
    group = prepared.found
    renamed = msgspec.structs.replace(
        group, group_name=request.new_group_name or group.group_name, path=request.new_path or group.path
    )
    if renamed.arn != group.arn:
        await call.require("iam:UpdateGroup", Resource(renamed.arn))
    await require_renamable(call, entities.GROUP, group, renamed.group_name)
    await rename_membership(call, group, renamed.group_name)
    call.store.delete(GROUPS, call.account, group.group_name)
    call.store.put(GROUPS, call.account, renamed)


@operation("iam:DeleteGroup", prepare=resources.found_group)
async def delete_group(call: Call, request: shapes.DeleteGroupRequest, prepared: Prepared[Group]) -> None:
    group = prepared.found
    require_nothing_left(
        (await has_members(call, group), "remove users from group"),
        (group.inline_policies, "delete policies"),
        (group.attached_policies, "detach all policies"),
    )
    call.store.delete(GROUPS, call.account, group.group_name)
