"""Instance profiles: the role that machines get credentials for."""

import msgspec

from broker.iam import entities, resources
from broker.iam.entities import (
    ROLE,
    get_role,
    no_such_entity,
    page_by_path,
    require_new,
    require_nothing_left,
    require_room,
)
from broker.iam.protection import require_modifiable
from broker.iam.roles import profiled_role_shape
from broker.iam.rows import sources_naming
from broker.iam.tags import new_tags, tag_shapes
from broker.names import ids
from broker.operation import Call, Prepared, operation
from broker.paging import Page, first_key, page_of_rows
from broker.protocol.shapes import iam as shapes
from broker.storage.derived_records import target
from broker.storage.records import InstanceProfile, Role
from broker.storage.store import INSTANCE_PROFILES, ROLES


@operation(
    "iam:CreateInstanceProfile", prepare=resources.new(entities.INSTANCE_PROFILE, "instance_profile_name")
)
async def create_instance_profile(
    call: Call, request: shapes.CreateInstanceProfileRequest, prepared: Prepared[None]
) -> shapes.CreateInstanceProfileResponse:
    await require_new(call, entities.INSTANCE_PROFILE, request.instance_profile_name)
    profile = InstanceProfile(
        account_id=call.account,
        instance_profile_name=request.instance_profile_name,
        instance_profile_id=call.new_id(ids.INSTANCE_PROFILE),
        path=request.path or "/",
        created_at=int(call.now),
        tags=await new_tags(call, "iam:TagInstanceProfile", prepared.resource, request),
    )
    call.store.put(INSTANCE_PROFILES, call.account, profile)
    return shapes.CreateInstanceProfileResponse(instance_profile=await instance_profile_shape(call, profile))


@operation("iam:GetInstanceProfile", prepare=resources.found_instance_profile)
async def get_instance_profile(
    call: Call, request: shapes.GetInstanceProfileRequest, prepared: Prepared[InstanceProfile]
) -> shapes.GetInstanceProfileResponse:
    profile = prepared.found
    return shapes.GetInstanceProfileResponse(instance_profile=await instance_profile_shape(call, profile))


@operation("iam:ListInstanceProfiles", prepare=resources.listed("instance-profile"))
async def list_instance_profiles(
    call: Call, request: shapes.ListInstanceProfilesRequest, prepared: Prepared[None]
) -> shapes.ListInstanceProfilesResponse:
    chosen = await page_by_path(call, entities.INSTANCE_PROFILE, request)
    return shapes.ListInstanceProfilesResponse(
        instance_profiles=await _listed(call, chosen),
        is_truncated=chosen.is_truncated,
        marker=chosen.marker,
    )


@operation("iam:ListInstanceProfilesForRole", prepare=resources.found_role)
async def list_instance_profiles_for_role(
    call: Call, request: shapes.ListInstanceProfilesForRoleRequest, prepared: Prepared[Role]
) -> shapes.ListInstanceProfilesForRoleResponse:
    role = target("role", prepared.found.role_name)
    chosen = await page_of_rows(
        sources_naming(call, role, INSTANCE_PROFILES, first_key(request.marker), request.max_items),
        lambda profile: profile.instance_profile_name.lower(),
        request.marker,
        request.max_items,
    )
    return shapes.ListInstanceProfilesForRoleResponse(
        instance_profiles=await _listed(call, chosen),
        is_truncated=chosen.is_truncated,
        marker=chosen.marker,
    )


@operation("iam:AddRoleToInstanceProfile", prepare=resources.found_instance_profile)
async def add_role_to_instance_profile(
    call: Call, request: shapes.AddRoleToInstanceProfileRequest, prepared: Prepared[InstanceProfile]
) -> None:
    profile = prepared.found
    await require_pass_role(call, request.role_name)
    role = await get_role(call, request.role_name)
    require_modifiable(role)
    require_room(call, profile.role_names, "roles_per_instance_profile", "InstanceSessionsPerInstanceProfile")
    changed = msgspec.structs.replace(profile, role_names=(*profile.role_names, role.role_name))
    call.store.put(INSTANCE_PROFILES, call.account, changed)


async def require_pass_role(call: Call, role_name: str) -> None:
    """Adding a role to a profile needs iam:PassRole for EC2; the condition keys are those the model documents."""
    keys: resources.Keys = {
        "iam:PassedToService": "ec2.amazonaws.com",
        "iam:AssociatedResourceArn": f"arn:aws:ec2:*:{call.account}:instance/*",
    }
    passed = await resources.prepare_entity(call, ROLE, role_name, keys)
    await call.require("iam:PassRole", passed.resource)


@operation("iam:RemoveRoleFromInstanceProfile", prepare=resources.found_instance_profile)
async def remove_role_from_instance_profile(
    call: Call, request: shapes.RemoveRoleFromInstanceProfileRequest, prepared: Prepared[InstanceProfile]
) -> None:
    profile = prepared.found
    role = await get_role(call, request.role_name)
    require_modifiable(role)
    if role.role_name not in profile.role_names:
        raise no_such_entity(ROLE, request.role_name)
    left = tuple(name for name in profile.role_names if name != role.role_name)
    call.store.put(INSTANCE_PROFILES, call.account, msgspec.structs.replace(profile, role_names=left))


@operation("iam:DeleteInstanceProfile", prepare=resources.found_instance_profile)
async def delete_instance_profile(
    call: Call, request: shapes.DeleteInstanceProfileRequest, prepared: Prepared[InstanceProfile]
) -> None:
    profile = prepared.found
    require_nothing_left((profile.role_names, "remove roles from instance profile"))
    call.store.delete(INSTANCE_PROFILES, call.account, profile.instance_profile_name)


async def _listed(call: Call, chosen: Page[InstanceProfile]) -> tuple[shapes.InstanceProfile, ...]:
    return tuple([await listed_profile_shape(call, profile) for profile in chosen.items])


async def listed_profile_shape(call: Call, profile: InstanceProfile) -> shapes.InstanceProfile:
    """A profile as lists show it: IAM leaves tags out."""
    return msgspec.structs.replace(await instance_profile_shape(call, profile), tags=())


async def instance_profile_shape(call: Call, profile: InstanceProfile) -> shapes.InstanceProfile:
    """A profile with its roles."""
    roles = [await call.store.find(ROLES, call.account, name) for name in profile.role_names]
    return shapes.InstanceProfile(
        path=profile.path,
        instance_profile_name=profile.instance_profile_name,
        instance_profile_id=profile.instance_profile_id,
        arn=profile.arn,
        create_date=profile.created_at,
        roles=tuple([await profiled_role_shape(call, role) for role in roles if role is not None]),
        tags=tag_shapes(profile.tags),
    )
