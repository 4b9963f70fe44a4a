"""Records as IAM's answers show them."""

import msgspec

from broker.iam.tags import tag_shapes
from broker.protocol.shapes import iam as shapes
from broker.storage.records import Group, Usage, User

# The model's enum says PermissionsBoundaryPolicy, its documentation and AWS's answers say this.
BOUNDARY_TYPE = "Policy"


def user_shape(user: User) -> shapes.User:
    """A user as GetUser and CreateUser show it: tags and boundary included."""
    return msgspec.structs.replace(
        listed_user_shape(user),
        permissions_boundary=boundary_shape(user.permissions_boundary),
        tags=tag_shapes(user.tags),
    )


def listed_user_shape(user: User) -> shapes.User:
    """A user as lists show it: IAM leaves tags and boundary out."""
    return shapes.User(
        path=user.path,
        user_name=user.user_name,
        user_id=user.user_id,
        arn=user.arn,
        create_date=user.created_at,
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
