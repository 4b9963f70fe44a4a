import json

from broker.operation import Quotas
from broker.protocol.shapes import iam as shapes

ACCOUNT = "111122223333"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
)


def new_profile(name="machines", **fields):
    return shapes.CreateInstanceProfileRequest(instance_profile_name=name, **fields)


def new_role(name="app", **fields):
    return shapes.CreateRoleRequest(role_name=name, assume_role_policy_document=TRUST, **fields)


def add(role_name="app", name="machines"):
    return shapes.AddRoleToInstanceProfileRequest(instance_profile_name=name, role_name=role_name)


def remove(role_name="app", name="machines"):
    return shapes.RemoveRoleFromInstanceProfileRequest(instance_profile_name=name, role_name=role_name)


async def get(iam, name="machines"):
    request = shapes.GetInstanceProfileRequest(instance_profile_name=name)
    return (await iam(request)).instance_profile


async def test_a_profile_is_created_and_read(iam):
    created = (await iam(new_profile(path="/web/", tags=(shapes.Tag(key="a", value="1"),)))).instance_profile
    assert created.arn == f"arn:aws:iam::{ACCOUNT}:instance-profile/web/machines"
    assert created.instance_profile_id.startswith("AIPA")
    read = await get(iam, "Machines")
    assert read == created
    assert (read.roles, read.tags) == ((), (shapes.Tag(key="a", value="1"),))


async def test_a_second_profile_of_the_name_is_refused(iam):
    await iam(new_profile())
    assert await iam.refused(new_profile("MACHINES")) == (
        "EntityAlreadyExists",
        "Instance Profile MACHINES already exists.",
    )
    iam.quotas = Quotas(instance_profiles=1)
    assert (await iam.refused(new_profile("other")))[0] == "LimitExceeded"


async def test_a_profile_that_is_not_there_is_no_such_entity(iam):
    refusal = ("NoSuchEntity", "Instance Profile ghost cannot be found.")
    assert await iam.refused(shapes.GetInstanceProfileRequest(instance_profile_name="ghost")) == refusal
    assert await iam.refused(shapes.DeleteInstanceProfileRequest(instance_profile_name="ghost")) == refusal
    await iam(new_role())
    assert await iam.refused(add(name="ghost")) == refusal
    assert await iam.refused(remove(name="ghost")) == refusal


async def test_a_profile_holds_one_role_and_shows_it_whole(iam):
    role = (await iam(new_role(path="/x/"))).role
    await iam(new_role("second"))
    await iam(new_profile())
    await iam(add("APP"))
    (held,) = (await get(iam)).roles
    assert (held.arn, held.role_id, held.assume_role_policy_document) == (role.arn, role.role_id, TRUST)
    for name in ("second", "app"):
        assert await iam.refused(add(name)) == (
            "LimitExceeded",
            "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1",
        )
    await iam(remove("app"))
    assert (await get(iam)).roles == ()
    await iam(add("second"))


async def test_a_role_that_is_not_there_or_not_held_is_no_such_entity(iam):
    await iam(new_profile())
    await iam(new_role())
    refusal = ("NoSuchEntity", "The role with name ghost cannot be found.")
    assert await iam.refused(add("ghost")) == refusal
    assert await iam.refused(remove("ghost")) == refusal
    assert await iam.refused(remove("app")) == ("NoSuchEntity", "The role with name app cannot be found.")


async def test_a_profile_with_a_role_is_not_deleted(iam):
    await iam(new_profile())
    await iam(new_role())
    await iam(add())
    delete = shapes.DeleteInstanceProfileRequest(instance_profile_name="machines")
    assert await iam.refused(delete) == (
        "DeleteConflict",
        "Cannot delete entity, must remove roles from instance profile first.",
    )
    await iam(remove())
    await iam(delete)
    assert (await iam.refused(delete))[0] == "NoSuchEntity"


async def test_profiles_are_listed_by_path_in_pages_and_without_tags(iam):
    for name, path in (("b", "/x/"), ("A", "/x/"), ("c", "/x/y/"), ("d", "/")):
        await iam(new_profile(name, path=path, tags=(shapes.Tag(key="k", value="v"),)))
    first = await iam(shapes.ListInstanceProfilesRequest(path_prefix="/x/", max_items=2))
    assert [profile.instance_profile_name for profile in first.instance_profiles] == ["A", "b"]
    assert first.instance_profiles[0].tags == ()
    second = await iam(shapes.ListInstanceProfilesRequest(path_prefix="/x/", marker=first.marker))
    assert [profile.instance_profile_name for profile in second.instance_profiles] == ["c"]
    assert not second.is_truncated


async def test_the_profiles_of_a_role_are_listed(iam):
    await iam(new_role())
    for name in ("one", "two", "three"):
        await iam(new_profile(name))
    await iam(add(name="one"))
    await iam(add(name="two"))
    answer = await iam(shapes.ListInstanceProfilesForRoleRequest(role_name="app"))
    assert [profile.instance_profile_name for profile in answer.instance_profiles] == ["one", "two"]
    code, _ = await iam.refused(shapes.ListInstanceProfilesForRoleRequest(role_name="ghost"))
    assert code == "NoSuchEntity"


async def test_tags_of_a_profile_are_laid_over_listed_and_taken_off(iam):
    await iam(new_profile())
    tags = (shapes.Tag(key="a", value="1"), shapes.Tag(key="b", value="2"))
    await iam(shapes.TagInstanceProfileRequest(instance_profile_name="machines", tags=tags))
    await iam(shapes.UntagInstanceProfileRequest(instance_profile_name="machines", tag_keys=("b", "A")))
    listed = await iam(shapes.ListInstanceProfileTagsRequest(instance_profile_name="machines"))
    assert listed.tags == tags[:1]


async def test_to_give_machines_a_role_one_must_be_allowed_to_pass_it_to_ec2(iam):
    await iam(new_role())
    await iam(new_profile())
    await iam(shapes.CreateUserRequest(user_name="bob"))

    async def grant(*statements):
        document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        await iam(shapes.PutUserPolicyRequest(user_name="bob", policy_name="p", policy_document=document))

    profile = {
        "Effect": "Allow",
        "Action": "iam:AddRoleToInstanceProfile",
        "Resource": f"arn:aws:iam::{ACCOUNT}:instance-profile/machines",
    }
    passing = {
        "Effect": "Allow",
        "Action": "iam:PassRole",
        "Resource": f"arn:aws:iam::{ACCOUNT}:role/app",
        "Condition": {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}},
    }
    await grant(profile)
    code, message = await iam.refused(add(), user="bob")
    assert code == "AccessDenied" and "iam:PassRole" in message
    await grant(profile, passing)
    assert (await iam.refused(add(), user="bob"))[0] == "AccessDenied"
    passing["Condition"] = {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}
    await grant(profile, passing)
    await iam(add(), user="bob")
    assert [role.role_name for role in (await get(iam)).roles] == ["app"]
