"""Login profiles: the console passwords of users, and of root by a session of AssumeRoot.

Root's password itself is set by `broker root-password`: what a session of AssumeRoot makes is a profile without one, as
on AWS, where the root user then chooses a password by way of its mail address.

Where a password is replaced, taken away, or has to be changed, the person's sessions end (`portal_sessions`), but for
the one that asks for it.
"""

from typing import Any

import msgspec

from broker.access.resource import Resource
from broker.credentials.failed_attempts import count_failure, counter, find_wait, forget
from broker.credentials.password_changes import change_password as put_password
from broker.credentials.password_changes import delete_login_profile as remove_login_profile
from broker.credentials.password_changes import find_login_profile, put_login_profile, require_change
from broker.credentials.passwords import Passwords
from broker.errors import Refusal, access_denied, validation_error
from broker.iam import resources
from broker.iam.owners import Owner, name_of
from broker.iam.password_policy import permission_to_change_password
from broker.names.arn import iam_arn
from broker.names.principal import IamUser, Root
from broker.names.secret import SecretKey
from broker.operation import Absent, Call, Prepared, operation
from broker.protocol.shapes import iam as shapes
from broker.storage.password_records import LoginProfile
from broker.storage.records import User

_TOO_MANY = "Too many attempts to change the password failed. Wait a while, then try again."


async def found_login_owner(call: Call, request: Any) -> Prepared[Owner] | Absent:
    """The user named in the request, or else the caller: a user, or root by a session of AssumeRoot."""
    caller = call.caller
    if request.user_name is None and isinstance(caller.principal, Root) and not caller.is_assumed_root:
        refusal = validation_error("Must specify userName when calling with non-User credentials")
        return Absent(Resource(caller.principal.arn), refusal)
    return await resources.found_owner(call, request)


async def own_user(call: Call, request: shapes.ChangePasswordRequest) -> Prepared[User] | Absent:
    """The calling user, with the permission that the account's password policy may give to all users."""
    user = call.caller.user
    if user is None or not isinstance(call.caller.principal, IamUser):
        refusal = Refusal("InvalidUserType", "Only IAM Users can change their own password")
        return Absent(Resource(call.caller.principal.arn), refusal)
    asked_for = iam_arn(call.account, f"user/{user.user_name}")
    permission = await permission_to_change_password(call, "iam:ChangePassword", user.arn)
    return Prepared(Resource(user.arn, tags=user.tags, policy=permission, asked_for=asked_for), user)


@operation("iam:CreateLoginProfile", prepare=found_login_owner)
async def create_login_profile(
    call: Call, request: shapes.CreateLoginProfileRequest, prepared: Prepared[Owner]
) -> shapes.CreateLoginProfileResponse:
    name = name_of(prepared.found)
    if await find_login_profile(call.store, call.account, name) is not None:
        raise Refusal("EntityAlreadyExists", f"Login Profile for user {name or call.account} already exists.")
    profile = LoginProfile(
        user_name=name,
        password_hash=None,
        created_at=int(call.now),
        changed_at=int(call.now),
        is_reset_required=bool(request.password_reset_required),
        maximum_session_seconds=request.max_signin_session_duration,
    )
    if name is None:
        _require_no_password(request)
        put_login_profile(call.store, call.account, profile)
    elif request.password is None:
        raise validation_error("The request must contain the parameter Password.")
    else:
        profile = await _put_password(call, profile, request.password, profile.is_reset_required)
    return shapes.CreateLoginProfileResponse(login_profile=_shape(call, profile))


@operation("iam:GetLoginProfile", prepare=found_login_owner)
async def get_login_profile(
    call: Call, request: shapes.GetLoginProfileRequest, prepared: Prepared[Owner]
) -> shapes.GetLoginProfileResponse:
    profile = await _get_profile(call, name_of(prepared.found))
    return shapes.GetLoginProfileResponse(login_profile=_shape(call, profile))


@operation("iam:UpdateLoginProfile", prepare=resources.found_user)
async def update_login_profile(
    call: Call, request: shapes.UpdateLoginProfileRequest, prepared: Prepared[User]
) -> None:
    """What is not given stays; a new password has to be changed where the request says so."""
    profile = await _get_profile(call, prepared.found.user_name)
    duration, is_unset = request.max_signin_session_duration, bool(request.reset_max_signin_session_duration)
    if is_unset and duration is not None:
        raise Refusal(
            "InvalidInput",
            "MaxSigninSessionDuration cannot be specified when ResetMaxSigninSessionDuration is true.",
        )
    if is_unset or duration is not None:
        profile = msgspec.structs.replace(profile, maximum_session_seconds=duration)
    if request.password is not None:
        await _put_password(call, profile, request.password, bool(request.password_reset_required))
        return
    if request.password_reset_required:
        await require_change(call.store, call.account, profile, call.caller.access_key_id)
        return
    if request.password_reset_required is not None:
        profile = msgspec.structs.replace(profile, is_reset_required=False)
    put_login_profile(call.store, call.account, profile)


@operation("iam:DeleteLoginProfile", prepare=found_login_owner)
async def delete_login_profile(
    call: Call, request: shapes.DeleteLoginProfileRequest, prepared: Prepared[Owner]
) -> None:
    profile = await _get_profile(call, name_of(prepared.found))
    await remove_login_profile(call.store, call.account, profile.user_name, call.caller.access_key_id)


@operation("iam:ChangePassword", prepare=own_user)
async def change_password(
    call: Call, request: shapes.ChangePasswordRequest, prepared: Prepared[User]
) -> None:
    """A wrong old password slows down the next attempt: a stolen access key must not serve to guess the password.

    It is counted apart from failures at sign-in, so that an access key cannot lock its user out of the console.
    """
    user, settings = prepared.found, call.passwords.settings
    profile = await _get_profile(call, user.user_name)
    failures = counter(
        settings.free_attempts_of_user, settings.longest_wait_of_user_seconds, "change", user.user_id
    )
    wait = await find_wait(call.store, failures, call.now)
    if wait:
        reason = f"too many wrong old passwords; the next is looked at in {wait:.0f} seconds"
        raise Refusal("Throttling", _TOO_MANY, reason=reason)
    if not await _passwords(call).verify(profile.password_hash, SecretKey(request.old_password)):
        await count_failure(call.store, failures, call.now)
        call.store.make_unconditional()
        raise access_denied("The old password was incorrect.")
    await forget(call.store, failures)
    await _put_password(call, profile, request.new_password, is_reset_required=False)


def _passwords(call: Call) -> Passwords:
    """Hashed once for the request, which may be performed several times."""
    return call.passwords.during(call.facts)


async def _put_password(
    call: Call, profile: LoginProfile, password: str, is_reset_required: bool
) -> LoginProfile:
    return await put_password(
        call.store,
        _passwords(call),
        call.account,
        profile,
        SecretKey(password),
        call.now,
        is_reset_required=is_reset_required,
        keeping=call.caller.access_key_id,
    )


async def _get_profile(call: Call, name: str | None) -> LoginProfile:
    profile = await find_login_profile(call.store, call.account, name)
    if profile is None:
        raise Refusal("NoSuchEntity", f"Login Profile for User {name or call.account} cannot be found.")
    return profile


def _require_no_password(request: shapes.CreateLoginProfileRequest) -> None:
    if request.password is not None:
        raise validation_error("The password of the root user cannot be specified.")
    if request.max_signin_session_duration is not None:
        raise validation_error("MaxSigninSessionDuration is not supported for the root user.")


def _shape(call: Call, profile: LoginProfile) -> shapes.LoginProfile:
    """The name is a required member: root, which has none, shows its account's number."""
    return shapes.LoginProfile(
        user_name=profile.user_name or call.account,
        create_date=profile.created_at,
        password_reset_required=profile.is_reset_required,
        max_signin_session_duration=profile.maximum_session_seconds,
    )
