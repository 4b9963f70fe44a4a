from typing import Any

import pytest

from broker.operation import Quotas
from broker.protocol.shapes import iam as shapes

ACCOUNT = "111122223333"


@pytest.fixture
async def red(iam: Any) -> shapes.Group:
    """The group red, whose member is bob."""
    await iam(shapes.CreateUserRequest(user_name="bob"))
    group = (await iam(shapes.CreateGroupRequest(group_name="Red", path="/teams/"))).group
    await iam(shapes.AddUserToGroupRequest(group_name="red", user_name="BOB"))
    return group


async def groups_of(iam: Any, name: str) -> list[str]:
    answer = await iam(shapes.ListGroupsForUserRequest(user_name=name))
    return [group.group_name for group in answer.groups]


async def test_a_created_group_has_id_arn_and_path(iam: Any, red: shapes.Group) -> None:
    assert red.arn == f"arn:aws:iam::{ACCOUNT}:group/teams/Red"
    assert red.group_id.startswith("AGPA") and len(red.group_id) == 21
    answer = await iam(shapes.GetGroupRequest(group_name="RED"))
    assert answer.group == red
    assert [user.user_name for user in answer.users] == ["bob"]


async def test_a_group_that_exists_in_another_case_is_refused(iam: Any, red: shapes.Group) -> None:
    refusal = await iam.refused(shapes.CreateGroupRequest(group_name="rED"))
    assert refusal == ("EntityAlreadyExists", "Group with name rED already exists.")


async def test_a_missing_group_is_named_in_the_refusal(iam: Any) -> None:
    await iam(shapes.CreateUserRequest(user_name="bob"))
    for request in (
        shapes.GetGroupRequest(group_name="blue"),
        shapes.DeleteGroupRequest(group_name="blue"),
        shapes.UpdateGroupRequest(group_name="blue", new_path="/a/"),
        shapes.AddUserToGroupRequest(group_name="blue", user_name="bob"),
        shapes.RemoveUserFromGroupRequest(group_name="blue", user_name="bob"),
    ):
        refusal = await iam.refused(request)
        assert refusal == ("NoSuchEntity", "The group with name blue cannot be found.")


async def test_joining_twice_and_leaving_twice_change_nothing(iam: Any, red: shapes.Group) -> None:
    await iam(shapes.AddUserToGroupRequest(group_name="Red", user_name="bob"))
    assert await groups_of(iam, "bob") == ["Red"]
    await iam(shapes.RemoveUserFromGroupRequest(group_name="red", user_name="bob"))
    await iam(shapes.RemoveUserFromGroupRequest(group_name="red", user_name="bob"))
    assert await groups_of(iam, "bob") == []


async def test_more_groups_per_user_than_the_quota_are_refused(iam: Any, red: shapes.Group) -> None:
    iam.quotas = Quotas(groups_per_user=1)
    await iam(shapes.CreateGroupRequest(group_name="blue"))
    refusal = await iam.refused(shapes.AddUserToGroupRequest(group_name="blue", user_name="bob"))
    assert refusal == ("LimitExceeded", "Cannot exceed quota for GroupsPerUser: 1")


async def test_members_follow_a_renamed_group(iam: Any, red: shapes.Group) -> None:
    await iam(shapes.UpdateGroupRequest(group_name="red", new_group_name="Crimson", new_path="/x/"))
    assert await groups_of(iam, "bob") == ["Crimson"]
    answer = await iam(shapes.GetGroupRequest(group_name="crimson"))
    assert answer.group.arn == f"arn:aws:iam::{ACCOUNT}:group/x/Crimson"
    assert answer.group.group_id == red.group_id
    assert (await iam.refused(shapes.GetGroupRequest(group_name="red")))[0] == "NoSuchEntity"


async def test_members_follow_a_group_renamed_in_case_only(iam: Any, red: shapes.Group) -> None:
    await iam(shapes.UpdateGroupRequest(group_name="red", new_group_name="RED"))
    assert await groups_of(iam, "bob") == ["RED"]


async def test_a_group_is_not_renamed_onto_another(iam: Any, red: shapes.Group) -> None:
    await iam(shapes.CreateGroupRequest(group_name="blue"))
    refusal = await iam.refused(shapes.UpdateGroupRequest(group_name="red", new_group_name="Blue"))
    assert refusal == ("EntityAlreadyExists", "Group with name Blue already exists.")


async def test_a_group_with_members_is_not_deleted(iam: Any, red: shapes.Group) -> None:
    refusal = await iam.refused(shapes.DeleteGroupRequest(group_name="red"))
    assert refusal == ("DeleteConflict", "Cannot delete entity, must remove users from group first.")
    await iam(shapes.RemoveUserFromGroupRequest(group_name="red", user_name="bob"))
    await iam(shapes.DeleteGroupRequest(group_name="red"))
    assert (await iam(shapes.ListGroupsRequest())).groups == ()


async def test_groups_and_members_are_listed_in_pages(iam: Any, red: shapes.Group) -> None:
    for name in ("blue", "Azure"):
        await iam(shapes.CreateGroupRequest(group_name=name))
        await iam(shapes.AddUserToGroupRequest(group_name=name, user_name="bob"))
    await iam(shapes.CreateUserRequest(user_name="amy"))
    await iam(shapes.AddUserToGroupRequest(group_name="blue", user_name="amy"))

    first = await iam(shapes.ListGroupsRequest(max_items=2))
    assert [group.group_name for group in first.groups] == ["Azure", "blue"]
    second = await iam(shapes.ListGroupsRequest(max_items=2, marker=first.marker))
    assert [group.group_name for group in second.groups] == ["Red"]
    assert [g.group_name for g in (await iam(shapes.ListGroupsRequest(path_prefix="/teams/"))).groups] == [
        "Red"
    ]

    mine = await iam(shapes.ListGroupsForUserRequest(user_name="bob", max_items=1))
    assert [group.group_name for group in mine.groups] == ["Azure"]
    assert mine.is_truncated
    members = await iam(shapes.GetGroupRequest(group_name="blue", max_items=1))
    assert [user.user_name for user in members.users] == ["amy"]
    rest = await iam(shapes.GetGroupRequest(group_name="blue", max_items=1, marker=members.marker))
    assert [user.user_name for user in rest.users] == ["bob"]


async def test_the_permission_is_asked_on_the_group_not_on_the_user(iam: Any, red: shapes.Group) -> None:
    code, message = await iam.refused(
        shapes.RemoveUserFromGroupRequest(group_name="red", user_name="bob"), user="bob"
    )
    assert code == "AccessDenied"
    assert "on resource: group red because" in message


async def test_two_changes_of_one_group_at_once_both_count(iam: Any, red: shapes.Group) -> None:
    import asyncio

    names = [f"user{number}" for number in range(4)]
    for name in names:
        await iam(shapes.CreateUserRequest(user_name=name))
    await asyncio.gather(
        *(iam(shapes.AddUserToGroupRequest(group_name="red", user_name=name)) for name in names)
    )
    members = await iam(shapes.GetGroupRequest(group_name="red"))
    assert [user.user_name for user in members.users] == ["bob", *names]
