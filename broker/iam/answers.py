"""Records as IAM's answers show them."""

from collections.abc import Sequence

import msgspec

from broker.iam.tags import tag_shapes
from broker.operation import Call
from broker.protocol.shapes import iam as shapes
from broker.storage.records import Group, Usage, User
from broker.storage.store import LOGIN_PROFILES, USAGE

# The model's enum says PermissionsBoundaryPolicy, its documentation and AWS's answers say this.
BOUNDARY_TYPE = "Policy"


def user_shape(user: User, usage: Usage | None = None) -> shapes.User:
    """A user as GetUser and CreateUser show it: tags and boundary included. `usage` is that of the password."""
    return msgspec.structs.replace(
        _listed_user_shape(user, usage),
        permissions_boundary=boundary_shape(user.permissions_boundary),
        tags=tag_shapes(user.tags),
    )


async def listed_user_shapes(call: Call, users: Sequence[User]) -> tuple[shapes.User, ...]:
    """Users as lists show them. When a password was last used is looked up of those alone who have one.

    Most users of a large account are programs, which have none.
    """
    profiles = await call.store.find_all(LOGIN_PROFILES, call.account, [user.user_name for user in users])
    with_password = [user.user_id for user, one in zip(users, profiles, strict=True) if one is not None]
    usages = await call.store.find_all(USAGE, call.account, with_password)
    usage_of = dict(zip(with_password, usages, strict=True))
    return tuple(_listed_user_shape(user, usage_of.get(user.user_id)) for user in users)


def _listed_user_shape(user: User, usage: Usage | None) -> shapes.User:
    """IAM leaves tags and boundary out of lists."""
    return shapes.User(
        path=user.path,
        user_name=user.user_name,
        user_id=user.user_id,
        arn=user.arn,
        create_date=user.created_at,
        password_last_used=usage.last_used_at if usage is not None else None,
    )


def group_shape(group: Group) -> shapes.Group:
    return shapes.Group(
        path=group.path,
        group_name=group.group_name,
        group_id=group.group_id,
        arn=group.arn,
        create_date=group.created_at,
    )


def last_used_shape(usage: Usage | None) -> shapes.RoleLastUsed:
    """When and where a role was last used; empty for one that never was."""
    if usage is None:
        return shapes.RoleLastUsed()
    return shapes.RoleLastUsed(last_used_date=usage.last_used_at, region=usage.region or None)


def boundary_shape(policy_arn: str | None) -> shapes.AttachedPermissionsBoundary | None:
    if policy_arn is None:
        return None
    return shapes.AttachedPermissionsBoundary(
        permissions_boundary_type=BOUNDARY_TYPE, permissions_boundary_arn=policy_arn
    )
