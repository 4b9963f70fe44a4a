"""Instance profiles: the role that machines get credentials for."""

import msgspec

from broker.iam import entities, resources
from broker.iam.entities import (
    ROLE,
    get_instance_profile,
    get_role,
    no_such_entity,
    require_new,
    require_nothing_left,
    require_room,
)
from broker.iam.paging import Page, page
from broker.iam.protection import require_modifiable
from broker.iam.roles import listed_role_shape
from broker.iam.tags import new_tags, tag_shapes
from broker.names import ids
from broker.operation import Call, operation
from broker.protocol.shapes import iam as shapes
from broker.storage.records import InstanceProfile
from broker.storage.store import INSTANCE_PROFILES, ROLES


@operation(
    "iam:CreateInstanceProfile", resource=resources.new(entities.INSTANCE_PROFILE, "instance_profile_name")
)
async def create_instance_profile(
    call: Call, request: shapes.CreateInstanceProfileRequest
) -> shapes.CreateInstanceProfileResponse:
    await require_new(call, entities.INSTANCE_PROFILE, request.instance_profile_name)
    profile = InstanceProfile(
        account_id=call.account,
        instance_profile_name=request.instance_profile_name,
        instance_profile_id=call.new_id(ids.INSTANCE_PROFILE),
        path=request.path or "/",
        created_at=int(call.now),
        tags=await new_tags(call, "iam:TagInstanceProfile", request),
    )
    call.store.put(INSTANCE_PROFILES, call.account, profile)
    return shapes.CreateInstanceProfileResponse(instance_profile=await instance_profile_shape(call, profile))


@operation("iam:GetInstanceProfile", resource=resources.instance_profile_resource)
async def get_instance_profile_(
    call: Call, request: shapes.GetInstanceProfileRequest
) -> shapes.GetInstanceProfileResponse:
    profile = await get_instance_profile(call, request.instance_profile_name)
    return shapes.GetInstanceProfileResponse(instance_profile=await instance_profile_shape(call, profile))


@operation("iam:ListInstanceProfiles", resource=resources.listed("instance-profile"))
async def list_instance_profiles(
    call: Call, request: shapes.ListInstanceProfilesRequest
) -> shapes.ListInstanceProfilesResponse:
    prefix = request.path_prefix or "/"
    profiles = [
        profile
        for profile in await call.store.scan(INSTANCE_PROFILES, call.account)
        if profile.path.startswith(prefix)
    ]
    chosen = _page(profiles, request.marker, request.max_items)
    return shapes.ListInstanceProfilesResponse(
        instance_profiles=await _listed(call, chosen),
        is_truncated=chosen.is_truncated,
        marker=chosen.marker,
    )


@operation("iam:ListInstanceProfilesForRole", resource=resources.role_resource)
async def list_instance_profiles_for_role(
    call: Call, request: shapes.ListInstanceProfilesForRoleRequest
) -> shapes.ListInstanceProfilesForRoleResponse:
    role = await get_role(call, request.role_name)
    profiles = [
        profile
        for profile in await call.store.scan(INSTANCE_PROFILES, call.account)
        if role.role_name in profile.role_names
    ]
    chosen = _page(profiles, request.marker, request.max_items)
    return shapes.ListInstanceProfilesForRoleResponse(
        instance_profiles=await _listed(call, chosen),
        is_truncated=chosen.is_truncated,
        marker=chosen.marker,
    )


@operation("iam:AddRoleToInstanceProfile", resource=resources.instance_profile_resource)
async def add_role_to_instance_profile(call: Call, request: shapes.AddRoleToInstanceProfileRequest) -> None:
    profile = await get_instance_profile(call, request.instance_profile_name)
    await _require_pass_role(call, request.role_name)
    role = await get_role(call, request.role_name)
    require_modifiable(role)
    require_room(call, profile.role_names, "roles_per_instance_profile", "InstanceSessionsPerInstanceProfile")
    changed = msgspec.structs.replace(profile, role_names=(*profile.role_names, role.role_name))
    call.store.put(INSTANCE_PROFILES, call.account, changed)


async def _require_pass_role(call: Call, role_name: str) -> None:
    """Whoever gives machines a role must be allowed to pass it to EC2; the keys are those the model documents."""
    resource = await resources.entity_resource(
        call,
        ROLE,
        role_name,
        {
            "iam:PassedToService": "ec2.amazonaws.com",
            "iam:AssociatedResourceArn": f"arn:aws:ec2:*:{call.account}:instance/*",
        },
    )
    await call.require("iam:PassRole", resource)


@operation("iam:RemoveRoleFromInstanceProfile", resource=resources.instance_profile_resource)
async def remove_role_from_instance_profile(
    call: Call, request: shapes.RemoveRoleFromInstanceProfileRequest
) -> None:
    profile = await get_instance_profile(call, request.instance_profile_name)
    role = await get_role(call, request.role_name)
    require_modifiable(role)
    if role.role_name not in profile.role_names:
        raise no_such_entity(ROLE, request.role_name)
    left = tuple(name for name in profile.role_names if name != role.role_name)
    call.store.put(INSTANCE_PROFILES, call.account, msgspec.structs.replace(profile, role_names=left))


@operation("iam:DeleteInstanceProfile", resource=resources.instance_profile_resource)
async def delete_instance_profile(call: Call, request: shapes.DeleteInstanceProfileRequest) -> None:
    profile = await get_instance_profile(call, request.instance_profile_name)
    require_nothing_left((profile.role_names, "remove roles from instance profile"))
    call.store.delete(INSTANCE_PROFILES, call.account, profile.instance_profile_name)


def _page(
    profiles: list[InstanceProfile], marker: str | None, max_items: int | None
) -> Page[InstanceProfile]:
    return page(profiles, lambda profile: profile.instance_profile_name.lower(), marker, max_items)


async def _listed(call: Call, chosen: Page[InstanceProfile]) -> tuple[shapes.InstanceProfile, ...]:
    """Profiles as lists show them: IAM leaves tags out."""
    listed = [await instance_profile_shape(call, profile) for profile in chosen.items]
    return tuple(msgspec.structs.replace(shape, tags=()) for shape in listed)


async def instance_profile_shape(call: Call, profile: InstanceProfile) -> shapes.InstanceProfile:
    """A profile with its roles in full."""
    roles = [await call.store.find(ROLES, call.account, name) for name in profile.role_names]
    return shapes.InstanceProfile(
        path=profile.path,
        instance_profile_name=profile.instance_profile_name,
        instance_profile_id=profile.instance_profile_id,
        arn=profile.arn,
        create_date=profile.created_at,
        roles=tuple([await listed_role_shape(call, role) for role in roles if role is not None]),
        tags=tag_shapes(profile.tags),
    )
