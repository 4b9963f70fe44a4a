"""Console passwords of users: made, changed, taken away; AWS's sentences for what is refused."""

import msgspec
import pytest

from broker.access.caller import root_caller
from broker.credentials.password_changes import find_login_profile
from broker.names.secret import SecretKey
from broker.protocol.shapes import iam as shapes
from broker.storage.records import Usage
from broker.storage.store import USAGE, Transaction
from tests.unit.iam.conftest import ACCOUNT, NOW, Iam
from tests.unit.simulator.simulating import allow, deny, document

OLD, NEW = "Old-Password-1", "New-Password-1"
OWN_PASSWORD = document(allow("iam:ChangePassword", on="arn:aws:iam::*:user/staff/${aws:username}"))


async def create(
    iam: Iam, name: str = "alice", password: str | None = OLD, **more: object
) -> shapes.LoginProfile:
    request = shapes.CreateLoginProfileRequest(user_name=name, password=password, **more)  # type: ignore[arg-type]
    answer: shapes.CreateLoginProfileResponse = await iam(request)
    return answer.login_profile


async def opens(iam: Iam, password: str, name: str | None = "alice") -> bool:
    profile = await find_login_profile(iam.store.transaction(), ACCOUNT, name)
    assert profile is not None
    return await iam.passwords.verify(profile.password_hash, SecretKey(password))


def change(old: str = OLD, new: str = NEW) -> shapes.ChangePasswordRequest:
    return shapes.ChangePasswordRequest(old_password=old, new_password=new)


@pytest.fixture
async def alice(iam: Iam) -> Iam:
    """Alice, who may change her own password, and has none yet."""
    await iam(shapes.CreateUserRequest(user_name="alice", path="/staff/"))
    await iam(shapes.PutUserPolicyRequest(user_name="alice", policy_name="own", policy_document=OWN_PASSWORD))
    return iam


async def test_a_login_profile_is_made_shown_changed_and_deleted(alice: Iam) -> None:
    made = await create(alice, password_reset_required=True, max_signin_session_duration=7200)
    assert made == shapes.LoginProfile(
        user_name="alice",
        create_date=int(NOW),
        password_reset_required=True,
        max_signin_session_duration=7200,
    )
    alice.now += 100
    assert (await alice(shapes.GetLoginProfileRequest(user_name="ALICE"))).login_profile == made
    assert await opens(alice, OLD)
    await alice(shapes.UpdateLoginProfileRequest(user_name="alice", password=NEW))
    shown = (await alice(shapes.GetLoginProfileRequest(user_name="alice"))).login_profile
    assert shown == msgspec.structs.replace(made, password_reset_required=False)
    assert (await opens(alice, NEW), await opens(alice, OLD)) == (True, False)
    await alice(shapes.DeleteLoginProfileRequest(user_name="alice"))
    assert await alice.refused(shapes.GetLoginProfileRequest(user_name="alice")) == (
        "NoSuchEntity",
        "Login Profile for User alice cannot be found.",
    )


async def test_an_update_leaves_what_it_does_not_name(alice: Iam) -> None:
    await create(alice, password_reset_required=True)
    await alice(shapes.UpdateLoginProfileRequest(user_name="alice", max_signin_session_duration=3600))
    shown = (await alice(shapes.GetLoginProfileRequest(user_name="alice"))).login_profile
    assert (shown.password_reset_required, shown.max_signin_session_duration) == (True, 3600)
    assert await opens(alice, OLD)
    reset = shapes.UpdateLoginProfileRequest(
        user_name="alice", password_reset_required=False, reset_max_signin_session_duration=True
    )
    await alice(reset)
    shown = (await alice(shapes.GetLoginProfileRequest(user_name="alice"))).login_profile
    assert (shown.password_reset_required, shown.max_signin_session_duration) == (False, None)
    both = msgspec.structs.replace(reset, max_signin_session_duration=3600)
    assert (await alice.refused(both))[0] == "InvalidInput"


async def test_what_is_not_there_or_there_already_is_refused_in_awss_words(alice: Iam) -> None:
    absent = "NoSuchEntity", "Login Profile for User alice cannot be found."
    assert await alice.refused(shapes.UpdateLoginProfileRequest(user_name="alice", password=NEW)) == absent
    assert await alice.refused(shapes.DeleteLoginProfileRequest(user_name="alice")) == absent
    assert await alice.refused(change(), user="alice") == absent
    nobody = shapes.CreateLoginProfileRequest(user_name="nobody", password=OLD)
    assert (await alice.refused(nobody))[1] == "The user with name nobody cannot be found."
    assert (await alice.refused(shapes.CreateLoginProfileRequest(user_name="alice")))[0] == "ValidationError"
    await create(alice)
    assert await alice.refused(shapes.CreateLoginProfileRequest(user_name="alice", password=NEW)) == (
        "EntityAlreadyExists",
        "Login Profile for user alice already exists.",
    )


async def test_a_user_with_a_login_profile_is_not_deleted_and_keeps_it_when_renamed(alice: Iam) -> None:
    await create(alice)
    await alice(shapes.UpdateUserRequest(user_name="alice", new_user_name="Alicia"))
    assert await opens(alice, OLD, "alicia")
    assert (
        await alice(shapes.GetLoginProfileRequest(user_name="alicia"))
    ).login_profile.user_name == "Alicia"
    await alice(shapes.UpdateUserRequest(user_name="Alicia", new_user_name="ALICIA"))
    assert await opens(alice, OLD, "alicia")
    await alice(shapes.DeleteUserPolicyRequest(user_name="alicia", policy_name="own"))
    assert await alice.refused(shapes.DeleteUserRequest(user_name="alicia")) == (
        "DeleteConflict",
        "Cannot delete entity, must delete login profile first.",
    )
    await alice(shapes.DeleteLoginProfileRequest(user_name="alicia"))
    await alice(shapes.DeleteUserRequest(user_name="alicia"))
    await alice(shapes.CreateUserRequest(user_name="alice"))
    assert (await alice.refused(shapes.GetLoginProfileRequest(user_name="alice")))[0] == "NoSuchEntity"


async def test_every_password_that_is_set_obeys_the_accounts_policy(alice: Iam) -> None:
    short = "PasswordPolicyViolation", "Password should have a minimum length of 8"
    assert await alice.refused(shapes.CreateLoginProfileRequest(user_name="alice", password="Ab1-")) == short
    await create(alice)
    assert await alice.refused(shapes.UpdateLoginProfileRequest(user_name="alice", password="Ab1-")) == short
    assert await alice.refused(change(new="Ab1-"), user="alice") == short
    await alice(shapes.UpdateAccountPasswordPolicyRequest(minimum_password_length=6, require_symbols=True))
    assert await alice.refused(change(new="abcdef"), user="alice") == (
        "PasswordPolicyViolation",
        "Password should have at least one symbol",
    )
    await alice(change(new="abcde!"), user="alice")
    assert await opens(alice, "abcde!")


async def test_a_user_changes_their_own_password_and_need_not_any_more(alice: Iam) -> None:
    await create(alice, password_reset_required=True)
    await alice(change(), user="alice")
    assert (await opens(alice, NEW), await opens(alice, OLD)) == (True, False)
    shown = (await alice(shapes.GetLoginProfileRequest(user_name="alice"))).login_profile
    assert shown.password_reset_required is False


async def test_only_users_change_their_own_passwords(alice: Iam) -> None:
    expected = "InvalidUserType", "Only IAM Users can change their own password"
    assert await alice.refused(change()) == expected


async def test_wrong_old_passwords_make_the_next_attempt_wait_and_the_console_does_not(alice: Iam) -> None:
    await create(alice)
    wrong = "AccessDenied", "The old password was incorrect."
    for _ in range(5):
        assert await alice.refused(change("Wrong-Password-1"), user="alice") == wrong
    assert (await alice.refused(change(), user="alice"))[0] == "Throttling"
    alice.now += 1
    await alice(change(), user="alice")
    assert await opens(alice, NEW)


async def test_the_passwords_that_the_policy_remembers_are_not_used_again(alice: Iam) -> None:
    await alice(
        shapes.UpdateAccountPasswordPolicyRequest(minimum_password_length=8, password_reuse_prevention=2)
    )
    await create(alice, password="password-1")
    await alice(change("password-1", "password-2"), user="alice")
    reused = (
        "PasswordPolicyViolation",
        "Policy constraint violation with password reuse prevention during password change.",
    )
    for used in ("password-1", "password-2"):
        assert await alice.refused(change("password-2", used), user="alice") == reused
    await alice(change("password-2", "password-3"), user="alice")
    await alice(change("password-3", "password-1"), user="alice")


async def test_users_may_change_their_passwords_where_the_policy_lets_them_and_nothing_denies(
    iam: Iam,
) -> None:
    await iam(shapes.CreateUserRequest(user_name="alice"))
    await create(iam)
    assert (await iam.refused(change(), user="alice"))[0] == "AccessDenied"
    assert (await iam.refused("GetAccountPasswordPolicy", user="alice"))[0] == "AccessDenied"
    await iam(shapes.UpdateAccountPasswordPolicyRequest())
    assert (await iam.refused(change(), user="alice"))[0] == "AccessDenied"
    await iam(shapes.UpdateAccountPasswordPolicyRequest(allow_users_to_change_password=True))
    await iam(change(), user="alice")
    assert (
        await iam("GetAccountPasswordPolicy", user="alice")
    ).password_policy.allow_users_to_change_password
    denied = document(deny("iam:*"))
    await iam(shapes.PutUserPolicyRequest(user_name="alice", policy_name="no", policy_document=denied))
    assert (await iam.refused(change(NEW, OLD), user="alice"))[0] == "AccessDenied"
    assert (await iam.refused("GetAccountPasswordPolicy", user="alice"))[0] == "AccessDenied"


async def test_the_permission_of_the_policy_is_for_nothing_else(iam: Iam) -> None:
    for name in ("alice", "bob"):
        await iam(shapes.CreateUserRequest(user_name=name))
        await create(iam, name)
    await iam(shapes.UpdateAccountPasswordPolicyRequest(allow_users_to_change_password=True))
    for request in (
        shapes.UpdateLoginProfileRequest(user_name="alice", password=NEW),
        shapes.UpdateLoginProfileRequest(user_name="bob", password=NEW),
        shapes.DeleteLoginProfileRequest(),
        shapes.GetLoginProfileRequest(),
        shapes.UpdateAccountPasswordPolicyRequest(),
    ):
        assert (await iam.refused(request, user="alice"))[0] == "AccessDenied"


async def test_root_names_a_user_and_its_own_profile_only_by_a_session_of_assume_root(iam: Iam) -> None:
    message = "Must specify userName when calling with non-User credentials"
    for request in (
        shapes.CreateLoginProfileRequest(password=OLD),
        shapes.GetLoginProfileRequest(),
        shapes.DeleteLoginProfileRequest(),
    ):
        assert await iam.refused(request) == ("ValidationError", message)


async def test_a_session_of_assume_root_makes_a_profile_of_root_without_a_password(iam: Iam) -> None:
    from tests.unit.iam.test_root_tasks import task

    create_task, delete_task = task("IAMCreateRootUserPassword"), task("IAMDeleteRootUserCredentials")
    with_password = shapes.CreateLoginProfileRequest(password=OLD)
    assert (await iam.refused(with_password, caller=create_task))[0] == "ValidationError"
    made = (await iam(shapes.CreateLoginProfileRequest(), caller=create_task)).login_profile
    assert made.user_name == ACCOUNT
    assert not await opens(iam, "", None)
    summary = (await iam("GetAccountSummary")).summary_map
    assert summary["AccountPasswordPresent"] == 1
    again = await iam.refused(shapes.CreateLoginProfileRequest(), caller=create_task)
    assert again[0] == "EntityAlreadyExists"
    await iam(shapes.DeleteLoginProfileRequest(), caller=delete_task)
    assert (await iam("GetAccountSummary")).summary_map["AccountPasswordPresent"] == 0


async def test_get_and_lists_show_when_a_password_was_last_used(alice: Iam) -> None:
    await create(alice)
    await alice(shapes.CreateUserRequest(user_name="bob"))
    user_id = (await alice(shapes.GetUserRequest(user_name="alice"))).user.user_id

    async def use(store: Transaction) -> None:
        for key in (user_id, ACCOUNT):
            store.put(USAGE, ACCOUNT, Usage(last_used_at=int(NOW)), key=key)

    await alice.store.transact(use)
    assert (await alice(shapes.GetUserRequest(user_name="alice"))).user.password_last_used == int(NOW)
    listed = (await alice(shapes.ListUsersRequest())).users
    assert {one.user_name: one.password_last_used for one in listed} == {"alice": int(NOW), "bob": None}
    root = await alice(shapes.GetUserRequest(), caller=root_caller(ACCOUNT))
    assert root.user.password_last_used == int(NOW)
