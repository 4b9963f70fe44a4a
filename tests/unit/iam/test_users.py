from typing import Any

import pytest

from broker.operation import Quotas
from broker.protocol.shapes import iam as shapes
from broker.storage.store import USERS, Store

ACCOUNT = "111122223333"
ALLOW_ALL_OF_IAM = '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:*","Resource":"*"}}'


def tags(**values: str) -> tuple[shapes.Tag, ...]:
    return tuple(shapes.Tag(key=key, value=value) for key, value in values.items())


async def create(iam: Any, name: str, **fields: Any) -> shapes.User:
    answer = await iam(shapes.CreateUserRequest(user_name=name, **fields))
    return answer.user


async def get(iam: Any, name: str | None, **who: Any) -> shapes.User:
    return (await iam(shapes.GetUserRequest(user_name=name), **who)).user


async def give(store: Store, name: str, policy: str) -> None:
    """An inline policy, straight into the record."""

    async def work(transaction: Any) -> None:
        user = await transaction.find(USERS, ACCOUNT, name)
        fields = {field: getattr(user, field) for field in user.__struct_fields__}
        transaction.put(USERS, ACCOUNT, type(user)(**{**fields, "inline_policies": {"given": policy}}))

    await store.transact(work)


async def test_a_created_user_has_id_arn_path_and_tags(iam: Any) -> None:
    user = await create(iam, "Bob", path="/dev/", tags=tags(team="red"))
    assert user.arn == f"arn:aws:iam::{ACCOUNT}:user/dev/Bob"
    assert user.user_id.startswith("AIDA") and len(user.user_id) == 21
    assert user.create_date == iam.now
    assert user.tags == tags(team="red")
    assert await get(iam, "Bob") == user


async def test_names_are_unique_without_case_and_keep_their_spelling(iam: Any) -> None:
    await create(iam, "Bob")
    refusal = await iam.refused(shapes.CreateUserRequest(user_name="bOB"))
    assert refusal == ("EntityAlreadyExists", "User with name bOB already exists.")
    assert (await get(iam, "BOB")).user_name == "Bob"


async def test_a_missing_user_is_named_in_the_refusal(iam: Any) -> None:
    for request in (
        shapes.GetUserRequest(user_name="bob"),
        shapes.DeleteUserRequest(user_name="bob"),
        shapes.UpdateUserRequest(user_name="bob", new_path="/a/"),
        shapes.TagUserRequest(user_name="bob", tags=()),
        shapes.UntagUserRequest(user_name="bob", tag_keys=()),
        shapes.ListUserTagsRequest(user_name="bob"),
    ):
        refusal = await iam.refused(request)
        assert refusal == ("NoSuchEntity", "The user with name bob cannot be found.")


async def test_more_users_than_the_quota_are_refused(iam: Any) -> None:
    iam.quotas = Quotas(users=1)
    await create(iam, "one")
    refusal = await iam.refused(shapes.CreateUserRequest(user_name="two"))
    assert refusal == ("LimitExceeded", "Cannot exceed quota for UsersPerAccount: 1")


async def test_a_boundary_must_name_a_policy_that_exists(iam: Any) -> None:
    user = await create(iam, "bob", permissions_boundary="arn:aws:iam::aws:policy/ReadOnlyAccess")
    assert user.permissions_boundary == shapes.AttachedPermissionsBoundary(
        permissions_boundary_type="Policy",
        permissions_boundary_arn="arn:aws:iam::aws:policy/ReadOnlyAccess",
    )
    missing = f"arn:aws:iam::{ACCOUNT}:policy/none"
    code, message = await iam.refused(shapes.CreateUserRequest(user_name="eve", permissions_boundary=missing))
    assert (code, message) == ("NoSuchEntity", f"Scope ARN: {missing} does not exist or is not attachable.")


async def test_users_are_listed_by_path_prefix_in_pages_without_tags(iam: Any) -> None:
    for name in ("dora", "Carl", "bob"):
        await create(iam, name, path="/dev/", tags=tags(a="b"))
    await create(iam, "amy", path="/ops/")
    first = await iam(shapes.ListUsersRequest(path_prefix="/dev/", max_items=2))
    assert [user.user_name for user in first.users] == ["bob", "Carl"]
    assert first.is_truncated
    second = await iam(shapes.ListUsersRequest(path_prefix="/dev/", max_items=2, marker=first.marker))
    assert [user.user_name for user in second.users] == ["dora"]
    assert (second.is_truncated, second.marker) == (False, None)
    everybody = await iam(shapes.ListUsersRequest())
    assert [user.user_name for user in everybody.users] == ["amy", "bob", "Carl", "dora"]
    assert all(user.tags == () for user in everybody.users)


async def test_a_renamed_user_keeps_id_keys_devices_and_groups(iam: Any) -> None:
    before = await create(iam, "bob")
    key = (await iam(shapes.CreateAccessKeyRequest(user_name="bob"))).access_key
    await iam(shapes.CreateGroupRequest(group_name="red"))
    await iam(shapes.AddUserToGroupRequest(group_name="red", user_name="bob"))
    await iam(shapes.UpdateUserRequest(user_name="bob", new_user_name="robert", new_path="/staff/"))

    after = await get(iam, "robert")
    assert after.user_id == before.user_id
    assert after.arn == f"arn:aws:iam::{ACCOUNT}:user/staff/robert"
    assert (await iam.refused(shapes.GetUserRequest(user_name="bob")))[0] == "NoSuchEntity"
    keys = await iam(shapes.ListAccessKeysRequest(user_name="robert"))
    assert [(k.user_name, k.access_key_id) for k in keys.access_key_metadata] == [
        ("robert", key.access_key_id)
    ]
    used = await iam(shapes.GetAccessKeyLastUsedRequest(access_key_id=key.access_key_id))
    assert used.user_name == "robert"
    members = await iam(shapes.GetGroupRequest(group_name="red"))
    assert [user.user_name for user in members.users] == ["robert"]


async def test_a_user_may_be_renamed_in_case_only_but_not_onto_another(iam: Any) -> None:
    await create(iam, "bob")
    await create(iam, "eve")
    await iam(shapes.UpdateUserRequest(user_name="bob", new_user_name="BOB"))
    assert (await get(iam, "bob")).user_name == "BOB"
    refusal = await iam.refused(shapes.UpdateUserRequest(user_name="bob", new_user_name="Eve"))
    assert refusal == ("EntityAlreadyExists", "User with name Eve already exists.")


async def test_renaming_needs_the_permission_on_the_new_name_too(iam: Any, store: Store) -> None:
    await create(iam, "bob")
    await create(iam, "admin")
    only_bob = (
        '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:UpdateUser",'
        f'"Resource":"arn:aws:iam::{ACCOUNT}:user/bob"}}}}'
    )
    await give(store, "admin", only_bob)
    code, message = await iam.refused(
        shapes.UpdateUserRequest(user_name="bob", new_user_name="robert"), user="admin"
    )
    assert code == "AccessDenied"
    assert f"iam:UpdateUser on resource: arn:aws:iam::{ACCOUNT}:user/robert" in message


@pytest.mark.parametrize("is_there", [True, False])
async def test_who_may_not_ask_learns_nothing_of_what_exists(iam: Any, is_there: bool) -> None:
    await create(iam, "eve")
    if is_there:
        await create(iam, "bob")
    code, message = await iam.refused(shapes.GetUserRequest(user_name="bob"), user="eve")
    assert code == "AccessDenied"
    assert message.startswith(
        f"User: arn:aws:iam::{ACCOUNT}:user/eve is not authorized to perform: iam:GetUser on resource: "
        "user bob because no identity-based policy allows the iam:GetUser action"
    )


async def test_a_user_with_anything_left_is_not_deleted(iam: Any) -> None:
    await create(iam, "bob")
    key = (await iam(shapes.CreateAccessKeyRequest(user_name="bob"))).access_key
    refusal = await iam.refused(shapes.DeleteUserRequest(user_name="bob"))
    assert refusal == ("DeleteConflict", "Cannot delete entity, must delete access keys first.")
    await iam(shapes.DeleteAccessKeyRequest(user_name="bob", access_key_id=key.access_key_id))

    await iam(shapes.CreateGroupRequest(group_name="red"))
    await iam(shapes.AddUserToGroupRequest(group_name="red", user_name="bob"))
    refusal = await iam.refused(shapes.DeleteUserRequest(user_name="bob"))
    assert refusal == ("DeleteConflict", "Cannot delete entity, must remove users from group first.")
    await iam(shapes.RemoveUserFromGroupRequest(group_name="red", user_name="bob"))

    await iam(shapes.DeleteUserRequest(user_name="bob"))
    assert (await iam.refused(shapes.GetUserRequest(user_name="bob")))[0] == "NoSuchEntity"


async def test_a_user_with_policies_is_not_deleted(iam: Any, store: Store) -> None:
    await create(iam, "bob")
    await give(store, "bob", ALLOW_ALL_OF_IAM)
    refusal = await iam.refused(shapes.DeleteUserRequest(user_name="bob"))
    assert refusal == ("DeleteConflict", "Cannot delete entity, must delete policies first.")


async def test_get_user_without_a_name_is_the_caller(iam: Any, store: Store) -> None:
    await create(iam, "bob", path="/dev/")
    await give(store, "bob", ALLOW_ALL_OF_IAM)
    assert (await get(iam, None, user="bob")).arn == f"arn:aws:iam::{ACCOUNT}:user/dev/bob"


async def test_root_is_shown_without_path_and_with_the_alias_for_a_name(iam: Any) -> None:
    root = await get(iam, None)
    assert (root.arn, root.user_id) == (f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT)
    assert (root.path, root.user_name) == (None, None)
    await iam(shapes.CreateAccountAliasRequest(account_alias="red-team"))
    assert (await get(iam, None)).user_name == "red-team"


async def test_tags_merge_without_case_and_are_listed_by_key(iam: Any) -> None:
    await create(iam, "bob", tags=tags(Team="red", age="7"))
    await iam(shapes.TagUserRequest(user_name="bob", tags=tags(team="blue", Zone="x")))
    listed = await iam(shapes.ListUserTagsRequest(user_name="bob"))
    assert listed.tags == tags(Zone="x", age="7", team="blue")
    await iam(shapes.UntagUserRequest(user_name="bob", tag_keys=("TEAM", "none")))
    assert (await get(iam, "bob")).tags == tags(Zone="x", age="7")


async def test_tag_keys_that_differ_in_case_only_are_refused(iam: Any) -> None:
    refusal = await iam.refused(shapes.CreateUserRequest(user_name="bob", tags=tags(a="1", A="2")))
    assert refusal == (
        "InvalidInput",
        "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
    )


async def test_reserved_tag_keys_are_refused(iam: Any) -> None:
    refusal = await iam.refused(shapes.CreateUserRequest(user_name="bob", tags=tags(**{"AWS:name": "x"})))
    assert refusal[0] == "InvalidInput"


async def test_a_fifty_first_tag_is_refused_and_a_changed_one_is_not(iam: Any) -> None:
    await create(iam, "bob", tags=tags(**{f"key{number}": "x" for number in range(50)}))
    await iam(shapes.TagUserRequest(user_name="bob", tags=tags(KEY7="y")))
    refusal = await iam.refused(shapes.TagUserRequest(user_name="bob", tags=tags(more="x")))
    assert refusal == ("LimitExceeded", "The number of tags has reached the maximum limit.")


async def test_request_tags_are_condition_keys(iam: Any, store: Store) -> None:
    await create(iam, "admin")
    await give(
        store,
        "admin",
        '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["iam:CreateUser","iam:TagUser"],'
        '"Resource":"*","Condition":{"StringEquals":{"aws:RequestTag/team":"red"}}}}',
    )
    refusal = await iam.refused(
        shapes.CreateUserRequest(user_name="eve", tags=tags(team="blue")), user="admin"
    )
    assert refusal[0] == "AccessDenied"
    await iam(shapes.CreateUserRequest(user_name="bob", tags=tags(team="red")), user="admin")
    assert (await get(iam, "bob")).user_name == "bob"


async def test_the_users_own_tags_are_resource_tags(iam: Any, store: Store) -> None:
    await create(iam, "admin")
    await create(iam, "red", tags=tags(team="red"))
    await create(iam, "blue", tags=tags(team="blue"))
    await give(
        store,
        "admin",
        '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:DeleteUser","Resource":"*",'
        '"Condition":{"StringEquals":{"aws:ResourceTag/team":"red"}}}}',
    )
    assert (await iam.refused(shapes.DeleteUserRequest(user_name="blue"), user="admin"))[0] == "AccessDenied"
    await iam(shapes.DeleteUserRequest(user_name="red"), user="admin")
