"""Which users belong to which groups.

A membership is the group's name in the user's record, so that one read of a user returns all groups whose policies
apply to it.
"""

from collections.abc import AsyncGenerator
from typing import Any

import msgspec

from broker.iam import resources
from broker.iam.answers import group_shape
from broker.iam.entities import USER, get_group, get_user, no_such_entity, require_room
from broker.iam.rows import is_named, sources_naming
from broker.operation import Absent, Call, Prepared, operation
from broker.paging import page
from broker.protocol.shapes import iam as shapes
from broker.storage.derived_records import target
from broker.storage.records import Group, User
from broker.storage.store import USERS


async def _found_group(call: Call, request: Any) -> Prepared[Group] | Absent:
    """The group; where neither group nor user exists, AWS speaks of the user."""
    prepared = await resources.found_group(call, request)
    if isinstance(prepared, Absent) and await call.store.find(USERS, call.account, request.user_name) is None:
        return Absent(prepared.resource, no_such_entity(USER, request.user_name))
    return prepared


@operation("iam:AddUserToGroup", prepare=_found_group)
async def add_user_to_group(
    call: Call, request: shapes.AddUserToGroupRequest, prepared: Prepared[Group]
) -> None:
    """Adding a member again changes nothing."""
    group = prepared.found
    user = await get_user(call, request.user_name)
    if is_member(user, group):
        return
    require_room(call, user.groups, "groups_per_user", "GroupsPerUser")
    joined = msgspec.structs.replace(user, groups=(*user.groups, group.group_name))
    call.store.put(USERS, call.account, joined)


@operation("iam:RemoveUserFromGroup", prepare=_found_group)
async def remove_user_from_group(
    call: Call, request: shapes.RemoveUserFromGroupRequest, prepared: Prepared[Group]
) -> None:
    """Removing a user who is no member changes nothing."""
    group = prepared.found
    user = await get_user(call, request.user_name)
    if is_member(user, group):
        groups = tuple(name for name in user.groups if not _same(name, group.group_name))
        call.store.put(USERS, call.account, msgspec.structs.replace(user, groups=groups))


@operation("iam:ListGroupsForUser", prepare=resources.found_user)
async def list_groups_for_user(
    call: Call, request: shapes.ListGroupsForUserRequest, prepared: Prepared[User]
) -> shapes.ListGroupsForUserResponse:
    user = prepared.found
    chosen = page(user.groups, str.lower, request.marker, request.max_items)
    groups = [await get_group(call, name) for name in chosen.items]
    return shapes.ListGroupsForUserResponse(
        groups=tuple(group_shape(group) for group in groups),
        is_truncated=chosen.is_truncated,
        marker=chosen.marker,
    )


def member_rows(
    call: Call, group: Group, behind: str = "", max_items: int | None = None
) -> AsyncGenerator[User, None]:
    """The members by name, those behind the name `behind`."""
    return sources_naming(call, target("group", group.group_name), USERS, behind, max_items)


async def has_members(call: Call, group: Group) -> bool:
    return await is_named(call, target("group", group.group_name), USERS)


async def rename_membership(call: Call, group: Group, name: str) -> None:
    """Write the group's new name `name` to every member's record."""
    if name == group.group_name:
        return
    for user in [member async for member in member_rows(call, group)]:
        groups = tuple(name if _same(old, group.group_name) else old for old in user.groups)
        call.store.put(USERS, call.account, msgspec.structs.replace(user, groups=groups))


def is_member(user: User, group: Group) -> bool:
    return any(_same(name, group.group_name) for name in user.groups)


def _same(name: str, other: str) -> bool:
    return name.lower() == other.lower()
