"""Users: created, read, renamed, moved, deleted. Their tags: `tagging.py`."""

import msgspec

from broker.access.resource import Resource
from broker.iam import entities, resources
from broker.iam.answers import listed_user_shapes, user_shape
from broker.iam.entities import (
    page_by_path,
    require_boundary,
    require_new,
    require_nothing_left,
    require_renamable,
)
from broker.iam.owned_credentials import items_of
from broker.iam.owners import Owner, root_shape
from broker.iam.tags import new_tags
from broker.names import ids
from broker.operation import Call, Prepared, operation
from broker.protocol.shapes import iam as shapes
from broker.storage.records import RenamedUser, User
from broker.storage.store import (
    ACCESS_KEYS,
    LOGIN_PROFILES,
    MFA_DEVICES,
    PASSKEYS,
    RENAMED_USERS,
    SERVICE_SPECIFIC_CREDENTIALS,
    SIGNING_CERTIFICATES,
    SSH_PUBLIC_KEYS,
    USAGE,
    USERS,
)


@operation("iam:CreateUser", prepare=resources.new(entities.USER, "user_name", resources.boundary_keys))
async def create_user(
    call: Call, request: shapes.CreateUserRequest, prepared: Prepared[None]
) -> shapes.CreateUserResponse:
    await require_new(call, entities.USER, request.user_name)
    await require_boundary(call, request.permissions_boundary)
    user = User(
        account_id=call.account,
        user_name=request.user_name,
        user_id=call.new_id(ids.USER),
        path=request.path or "/",
        created_at=int(call.now),
        tags=await new_tags(call, "iam:TagUser", prepared.resource, request),
        permissions_boundary=request.permissions_boundary,
    )
    call.store.put(USERS, call.account, user)
    return shapes.CreateUserResponse(user=user_shape(user))


@operation("iam:GetUser", prepare=resources.found_owner)
async def get_user(
    call: Call, request: shapes.GetUserRequest, prepared: Prepared[Owner]
) -> shapes.GetUserResponse:
    owner = prepared.found
    if not isinstance(owner, User):
        return shapes.GetUserResponse(user=await root_shape(call))
    usage = await call.store.find(USAGE, call.account, owner.user_id)
    return shapes.GetUserResponse(user=user_shape(owner, usage))


@operation("iam:ListUsers", prepare=resources.listed("user"))
async def list_users(
    call: Call, request: shapes.ListUsersRequest, prepared: Prepared[None]
) -> shapes.ListUsersResponse:
    chosen = await page_by_path(call, entities.USER, request)
    return shapes.ListUsersResponse(
        users=await listed_user_shapes(call, chosen.items),
        is_truncated=chosen.is_truncated,
        marker=chosen.marker,
    )


@operation("iam:UpdateUser", prepare=resources.found_user)
async def update_user(call: Call, request: shapes.UpdateUserRequest, prepared: Prepared[User]) -> None:
    """Rename or move; the caller needs the permission on both names ("Renaming an IAM user")."""
    user = prepared.found
    renamed = msgspec.structs.replace(
        user, user_name=request.new_user_name or user.user_name, path=request.new_path or user.path
    )
    if renamed.arn != user.arn:
        await call.require("iam:UpdateUser", Resource(renamed.arn, tags=user.tags))
    await require_renamable(call, entities.USER, user, renamed.user_name)
    call.store.delete(USERS, call.account, user.user_name)
    call.store.put(USERS, call.account, renamed)
    if renamed.user_name != user.user_name:
        await _rename_credentials(call, user.user_name, renamed)


async def _rename_credentials(call: Call, former_name: str, user: User) -> None:
    """Write the user's new name to its keys, MFA devices and login profile, and to a record for its sessions."""
    renamed = RenamedUser(user_id=user.user_id, user_name=user.user_name)
    call.store.put(RENAMED_USERS, call.account, renamed)
    for key_id in user.access_key_ids:
        key = await call.store.find(ACCESS_KEYS, call.account, key_id)
        if key is not None:
            call.store.put(ACCESS_KEYS, call.account, msgspec.structs.replace(key, user_name=user.user_name))
    for serial_number in user.mfa_serial_numbers:
        device = await entities.find_mfa_device(call, serial_number)
        if device is not None:
            renamed_device = msgspec.structs.replace(device, user_name=user.user_name)
            call.store.put(MFA_DEVICES, call.account, renamed_device)
        passkey = await entities.find_passkey(call, serial_number)
        if passkey is not None:
            renamed_passkey = msgspec.structs.replace(passkey, user_name=user.user_name)
            call.store.put(PASSKEYS, call.account, renamed_passkey)
    profile = await call.store.find(LOGIN_PROFILES, call.account, former_name)
    if profile is not None:
        call.store.delete(LOGIN_PROFILES, call.account, former_name)
        renamed_profile = msgspec.structs.replace(profile, user_name=user.user_name)
        call.store.put(LOGIN_PROFILES, call.account, renamed_profile)


@operation("iam:DeleteUser", prepare=resources.found_user)
async def delete_user(call: Call, request: shapes.DeleteUserRequest, prepared: Prepared[User]) -> None:
    user = prepared.found
    login_profile = await call.store.find(LOGIN_PROFILES, call.account, user.user_name)
    require_nothing_left(
        (login_profile, "delete login profile"),
        (user.inline_policies, "delete policies"),
        (user.attached_policies, "detach all policies"),
        (user.access_key_ids, "delete access keys"),
        (await items_of(call, SIGNING_CERTIFICATES, user), "delete signing certificates"),
        (await items_of(call, SSH_PUBLIC_KEYS, user), "delete SSH public keys"),
        (
            await items_of(call, SERVICE_SPECIFIC_CREDENTIALS, user),
            "delete service-specific credentials",
        ),
        (user.mfa_serial_numbers, "delete MFA device"),
        (user.groups, "remove users from group"),
    )
    call.store.delete(USERS, call.account, user.user_name)
    if await call.store.find(RENAMED_USERS, call.account, user.user_id) is not None:
        call.store.delete(RENAMED_USERS, call.account, user.user_id)
