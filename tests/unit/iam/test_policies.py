import json

import pytest

from broker.access.aws_managed import all_aws_managed
from broker.operation import Quotas
from broker.protocol.shapes import iam as shapes

ACCOUNT = "111122223333"
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"
EC2 = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
)


def allowing(*actions):
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


READ = allowing("s3:GetObject")


def arn_of(name, path="/"):
    return f"arn:aws:iam::{ACCOUNT}:policy{path}{name}"


def new_policy(name="reader", document=READ, **fields):
    return shapes.CreatePolicyRequest(policy_name=name, policy_document=document, **fields)


async def get(iam, name="reader"):
    return (await iam(shapes.GetPolicyRequest(policy_arn=arn_of(name)))).policy


async def test_a_policy_is_created_with_a_first_version_in_force(iam):
    created = await iam(
        new_policy(path="/team/", description="reads", tags=(shapes.Tag(key="a", value="1"),))
    )
    policy = created.policy
    assert policy.arn == arn_of("reader", "/team/")
    assert policy.policy_id.startswith("ANPA")
    read = (await iam(shapes.GetPolicyRequest(policy_arn=policy.arn))).policy
    assert (read.default_version_id, read.attachment_count, read.permissions_boundary_usage_count) == (
        "v1",
        0,
        0,
    )
    assert (read.description, read.is_attachable, read.path) == ("reads", True, "/team/")
    assert read.tags == (shapes.Tag(key="a", value="1"),)
    version = await iam(shapes.GetPolicyVersionRequest(policy_arn=policy.arn, version_id="v1"))
    assert version.policy_version.document == READ
    assert version.policy_version.is_default_version


async def test_a_second_policy_of_the_name_is_refused_at_any_path_and_in_any_case(iam):
    await iam(new_policy("Reader"))
    assert await iam.refused(new_policy("reader", path="/other/")) == (
        "EntityAlreadyExists",
        "A policy called reader already exists. Duplicate names are not allowed.",
    )


async def test_an_own_policy_may_bear_the_name_of_one_that_aws_keeps(iam):
    await iam(new_policy("AdministratorAccess"))
    listed = await iam(shapes.ListPoliciesRequest())
    arns = [policy.arn for policy in listed.policies if policy.policy_name == "AdministratorAccess"]
    assert arns == [arn_of("AdministratorAccess"), ADMINISTRATOR]


@pytest.mark.parametrize(
    "arn", [arn_of("ghost"), "arn:aws:iam::aws:policy/Ghost", "arn:aws:iam::999988887777:policy/reader"]
)
async def test_a_policy_that_is_not_there_was_not_found(iam, arn):
    await iam(new_policy())
    code, message = await iam.refused(shapes.GetPolicyRequest(policy_arn=arn))
    assert (code, message) == ("NoSuchEntity", f"Policy {arn} was not found.")


async def test_the_path_is_part_of_the_name_that_an_arn_is(iam):
    await iam(new_policy(path="/team/"))
    code, _ = await iam.refused(shapes.GetPolicyRequest(policy_arn=arn_of("reader")))
    assert code == "NoSuchEntity"


async def test_a_document_with_a_principal_is_malformed(iam):
    code, _ = await iam.refused(new_policy(document=EC2))
    assert code == "MalformedPolicyDocument"


async def test_the_size_of_a_policy_is_counted_without_white_space(iam):
    await iam(new_policy("wide", json.dumps(json.loads(READ), indent=1000)))
    long = allowing(*(f"s3:Get{index:06d}*" for index in range(400)))
    assert await iam.refused(new_policy("long", long)) == (
        "LimitExceeded",
        "Cannot exceed quota for PolicySize: 6144",
    )
    code, _ = await iam.refused(
        shapes.CreatePolicyVersionRequest(policy_arn=arn_of("wide"), policy_document=long)
    )
    assert code == "LimitExceeded"


async def test_the_quota_of_policies_is_kept(iam):
    iam.quotas = Quotas(customer_policies=1)
    await iam(new_policy("one"))
    assert (await iam.refused(new_policy("two")))[0] == "LimitExceeded"


async def test_uses_are_counted_as_they_are(iam):
    await iam(new_policy())
    await iam(shapes.CreateUserRequest(user_name="bob", permissions_boundary=arn_of("reader")))
    await iam(shapes.CreateGroupRequest(group_name="people"))
    await iam(
        shapes.CreateRoleRequest(
            role_name="app", assume_role_policy_document=EC2, permissions_boundary=arn_of("reader")
        )
    )
    await iam(shapes.AttachUserPolicyRequest(user_name="bob", policy_arn=arn_of("reader")))
    await iam(shapes.AttachGroupPolicyRequest(group_name="people", policy_arn=arn_of("reader")))
    await iam(shapes.AttachRolePolicyRequest(role_name="app", policy_arn=arn_of("reader")))
    policy = await get(iam)
    assert (policy.attachment_count, policy.permissions_boundary_usage_count) == (3, 2)
    await iam(shapes.DetachRolePolicyRequest(role_name="app", policy_arn=arn_of("reader")))
    await iam(shapes.DeleteUserPermissionsBoundaryRequest(user_name="bob"))
    policy = await get(iam)
    assert (policy.attachment_count, policy.permissions_boundary_usage_count) == (2, 1)


async def test_policies_are_listed_by_scope_path_and_use(iam):
    await iam(new_policy("attached", path="/a/"))
    await iam(new_policy("boundary", path="/a/b/"))
    await iam(new_policy("idle", description="not shown in lists"))
    await iam(shapes.CreateUserRequest(user_name="bob", permissions_boundary=arn_of("boundary", "/a/b/")))
    await iam(shapes.AttachUserPolicyRequest(user_name="bob", policy_arn=arn_of("attached", "/a/")))
    await iam(shapes.AttachUserPolicyRequest(user_name="bob", policy_arn=ADMINISTRATOR))

    async def names(**fields):
        listed = await iam(shapes.ListPoliciesRequest(**fields))
        assert all(policy.description is None and policy.tags == () for policy in listed.policies)
        return [policy.policy_name for policy in listed.policies]

    assert await names(scope="Local") == ["attached", "boundary", "idle"]
    assert await names(scope="Local", path_prefix="/a/") == ["attached", "boundary"]
    assert await names(scope="Local", only_attached=True) == ["attached", "boundary"]
    assert await names(scope="AWS", only_attached=True) == ["AdministratorAccess"]
    assert await names(policy_usage_filter="PermissionsBoundary") == ["boundary"]
    assert await names(policy_usage_filter="PermissionsPolicy") == ["AdministratorAccess", "attached"]
    assert "IAMDeleteRootUserCredentials" in await names(scope="AWS", path_prefix="/root-task/")
    assert await names(path_prefix="/a/") == ["attached", "boundary"]


async def test_all_policies_are_listed_in_pages_by_name(iam):
    await iam(new_policy("idle"))
    everything, marker = [], None
    while True:
        listed = await iam(shapes.ListPoliciesRequest(max_items=500, marker=marker))
        everything += [policy.arn for policy in listed.policies]
        marker = listed.marker
        if not listed.is_truncated:
            break
    assert len(everything) == len(set(everything)) == len(all_aws_managed()) + 1
    assert everything == sorted(everything, key=lambda arn: (arn.rpartition("/")[2].lower(), arn))


@pytest.mark.parametrize(
    "changing",
    [
        shapes.CreatePolicyVersionRequest(policy_arn=ADMINISTRATOR, policy_document=READ),
        shapes.SetDefaultPolicyVersionRequest(policy_arn=ADMINISTRATOR, version_id="v1"),
        shapes.DeletePolicyVersionRequest(policy_arn=ADMINISTRATOR, version_id="v1"),
        shapes.DeletePolicyRequest(policy_arn=ADMINISTRATOR),
        shapes.TagPolicyRequest(policy_arn=ADMINISTRATOR, tags=(shapes.Tag(key="a", value="b"),)),
        shapes.UntagPolicyRequest(policy_arn=ADMINISTRATOR, tag_keys=("a",)),
    ],
)
async def test_a_policy_of_aws_is_changed_by_nobody(iam, changing):
    assert (await iam.refused(changing))[0] == "AccessDenied"
    assert (await iam(shapes.ListPolicyTagsRequest(policy_arn=ADMINISTRATOR))).tags == ()


async def test_versions_of_a_policy_of_aws_are_listed_and_shown(iam):
    arn = "arn:aws:iam::aws:policy/PowerUserAccess"
    policy = (await iam(shapes.GetPolicyRequest(policy_arn=arn))).policy
    assert (policy.default_version_id, policy.path) == ("v12", "/")
    listed = (await iam(shapes.ListPolicyVersionsRequest(policy_arn=arn))).versions
    assert [version.version_id for version in listed][-1] == "v1"
    assert [version.version_id for version in listed if version.is_default_version] == ["v12"]
    first = shapes.GetPolicyVersionRequest(policy_arn=arn, version_id="v1")
    version = (await iam(first)).policy_version
    assert '"NotAction":"iam:*"' in version.document and not version.is_default_version
    assert (await iam.refused(shapes.GetPolicyVersionRequest(policy_arn=arn, version_id="v99")))[0] == (
        "NoSuchEntity"
    )


async def test_policies_are_listed_in_pages(iam):
    for name in ("c", "a", "b"):
        await iam(new_policy(name))
    first = await iam(shapes.ListPoliciesRequest(scope="Local", max_items=2))
    assert [policy.policy_name for policy in first.policies] == ["a", "b"] and first.is_truncated
    second = await iam(shapes.ListPoliciesRequest(scope="Local", marker=first.marker))
    assert [policy.policy_name for policy in second.policies] == ["c"] and not second.is_truncated


async def test_a_policy_in_use_is_not_deleted(iam):
    await iam(new_policy())
    await iam(shapes.CreateUserRequest(user_name="bob", permissions_boundary=arn_of("reader")))
    delete = shapes.DeletePolicyRequest(policy_arn=arn_of("reader"))
    conflict = ("DeleteConflict", "Cannot delete a policy attached to entities.")
    assert await iam.refused(delete) == conflict
    await iam(shapes.DeleteUserPermissionsBoundaryRequest(user_name="bob"))
    await iam(shapes.AttachUserPolicyRequest(user_name="bob", policy_arn=arn_of("reader")))
    assert await iam.refused(delete) == conflict
    await iam(shapes.DetachUserPolicyRequest(user_name="bob", policy_arn=arn_of("reader")))
    await iam(shapes.CreatePolicyVersionRequest(policy_arn=arn_of("reader"), policy_document=READ))
    assert await iam.refused(delete) == (
        "DeleteConflict",
        "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. "
        "The default version is deleted with the policy.",
    )
    await iam(shapes.DeletePolicyVersionRequest(policy_arn=arn_of("reader"), version_id="v2"))
    await iam(delete)
    assert (await iam.refused(delete))[0] == "NoSuchEntity"


async def test_versions_are_numbered_for_good_and_at_most_five(iam):
    await iam(new_policy())
    arn = arn_of("reader")
    create = shapes.CreatePolicyVersionRequest(policy_arn=arn, policy_document=READ)
    for number in (2, 3, 4, 5):
        version = (await iam(create)).policy_version
        assert (version.version_id, version.is_default_version, version.document) == (
            f"v{number}",
            False,
            None,
        )
    assert await iam.refused(create) == (
        "LimitExceeded",
        "A managed policy can have up to 5 versions. Before you create a new version, you must delete an existing "
        "version.",
    )
    await iam(shapes.DeletePolicyVersionRequest(policy_arn=arn, version_id="v5"))
    assert (await iam(create)).policy_version.version_id == "v6"
    listed = await iam(shapes.ListPolicyVersionsRequest(policy_arn=arn))
    assert [version.version_id for version in listed.versions] == ["v6", "v4", "v3", "v2", "v1"]
    assert all(version.document is None for version in listed.versions)
    page = await iam(shapes.ListPolicyVersionsRequest(policy_arn=arn, max_items=3))
    rest = await iam(shapes.ListPolicyVersionsRequest(policy_arn=arn, marker=page.marker))
    assert [version.version_id for version in rest.versions] == ["v2", "v1"]


async def test_a_version_comes_into_force_when_told_so(iam):
    await iam(new_policy())
    arn = arn_of("reader")
    write = allowing("s3:PutObject")
    await iam(shapes.CreatePolicyVersionRequest(policy_arn=arn, policy_document=write, set_as_default=True))
    assert (await get(iam)).default_version_id == "v2"
    await iam(shapes.SetDefaultPolicyVersionRequest(policy_arn=arn, version_id="v1"))
    assert (await get(iam)).default_version_id == "v1"
    listed = await iam(shapes.ListPolicyVersionsRequest(policy_arn=arn))
    assert [version.is_default_version for version in listed.versions] == [False, True]
    assert await iam.refused(shapes.DeletePolicyVersionRequest(policy_arn=arn, version_id="v1")) == (
        "DeleteConflict",
        "Cannot delete the default version of a policy.",
    )


async def test_what_a_version_in_force_grants_is_granted_at_once(iam):
    await iam(shapes.CreateUserRequest(user_name="bob"))
    await iam(new_policy(document=allowing("iam:ListUsers")))
    await iam(shapes.AttachUserPolicyRequest(user_name="bob", policy_arn=arn_of("reader")))
    await iam(shapes.ListUsersRequest(), user="bob")
    await iam(
        shapes.CreatePolicyVersionRequest(
            policy_arn=arn_of("reader"), policy_document=allowing("iam:ListRoles"), set_as_default=True
        )
    )
    assert (await iam.refused(shapes.ListUsersRequest(), user="bob"))[0] == "AccessDenied"
    await iam(shapes.ListRolesRequest(), user="bob")


@pytest.mark.parametrize(
    "request_of",
    [
        lambda arn: shapes.GetPolicyVersionRequest(policy_arn=arn, version_id="v9"),
        lambda arn: shapes.SetDefaultPolicyVersionRequest(policy_arn=arn, version_id="v9"),
        lambda arn: shapes.DeletePolicyVersionRequest(policy_arn=arn, version_id="v9"),
    ],
)
async def test_a_version_that_is_not_there_is_no_such_entity(iam, request_of):
    await iam(new_policy())
    arn = arn_of("reader")
    assert await iam.refused(request_of(arn)) == (
        "NoSuchEntity",
        f"Policy {arn} version v9 does not exist or is not attachable.",
    )


@pytest.mark.parametrize(
    "request_",
    [
        shapes.DeletePolicyRequest(policy_arn=ADMINISTRATOR),
        shapes.CreatePolicyVersionRequest(
            policy_arn=ADMINISTRATOR, policy_document=READ, set_as_default=True
        ),
        shapes.SetDefaultPolicyVersionRequest(policy_arn=ADMINISTRATOR, version_id="v1"),
        shapes.DeletePolicyVersionRequest(policy_arn=ADMINISTRATOR, version_id="v1"),
        shapes.TagPolicyRequest(policy_arn=ADMINISTRATOR, tags=(shapes.Tag(key="a", value="b"),)),
        shapes.UntagPolicyRequest(policy_arn=ADMINISTRATOR, tag_keys=("a",)),
    ],
    ids=lambda request: type(request).__name__,
)
async def test_not_even_root_changes_a_policy_that_aws_keeps(iam, request_):
    code, message = await iam.refused(request_)
    assert code == "AccessDenied"
    assert ADMINISTRATOR in message


async def test_a_policy_that_aws_keeps_is_read_like_any_other(iam):
    policy = (await iam(shapes.GetPolicyRequest(policy_arn=ADMINISTRATOR))).policy
    assert (policy.policy_name, policy.default_version_id) == ("AdministratorAccess", "v1")
    version = await iam(shapes.GetPolicyVersionRequest(policy_arn=ADMINISTRATOR, version_id="v1"))
    assert json.loads(version.policy_version.document)["Statement"][0]["Action"] == "*"
    assert (await iam(shapes.ListPolicyTagsRequest(policy_arn=ADMINISTRATOR))).tags == ()


async def test_tags_of_a_policy_are_laid_over_listed_and_taken_off(iam):
    await iam(new_policy())
    arn = arn_of("reader")
    tags = (shapes.Tag(key="a", value="1"), shapes.Tag(key="b", value="2"))
    await iam(shapes.TagPolicyRequest(policy_arn=arn, tags=tags))
    await iam(shapes.UntagPolicyRequest(policy_arn=arn, tag_keys=("a", "B")))
    assert (await iam(shapes.ListPolicyTagsRequest(policy_arn=arn))).tags == tags[1:]


async def test_who_uses_a_policy_is_listed_by_kind_path_and_manner(iam):
    arn = arn_of("reader")
    await iam(new_policy())
    await iam(shapes.CreateUserRequest(user_name="bob", path="/a/", permissions_boundary=arn))
    await iam(shapes.CreateUserRequest(user_name="idle"))
    await iam(shapes.CreateGroupRequest(group_name="people"))
    await iam(shapes.CreateRoleRequest(role_name="app", path="/a/", assume_role_policy_document=EC2))
    await iam(shapes.AttachGroupPolicyRequest(group_name="people", policy_arn=arn))
    await iam(shapes.AttachRolePolicyRequest(role_name="app", policy_arn=arn))

    async def names(**fields):
        answer = await iam(shapes.ListEntitiesForPolicyRequest(policy_arn=arn, **fields))
        return (
            [group.group_name for group in answer.policy_groups],
            [user.user_name for user in answer.policy_users],
            [role.role_name for role in answer.policy_roles],
        )

    assert await names() == (["people"], ["bob"], ["app"])
    assert await names(path_prefix="/a/") == ([], ["bob"], ["app"])
    assert await names(entity_filter="Role") == ([], [], ["app"])
    assert await names(policy_usage_filter="PermissionsPolicy") == (["people"], [], ["app"])
    assert await names(policy_usage_filter="PermissionsBoundary") == ([], ["bob"], [])
    assert await names(entity_filter="LocalManagedPolicy") == ([], [], [])


async def test_who_uses_a_policy_is_listed_in_pages_across_the_kinds(iam):
    arn = arn_of("reader")
    await iam(new_policy())
    for name in ("ann", "bob"):
        await iam(shapes.CreateUserRequest(user_name=name))
        await iam(shapes.AttachUserPolicyRequest(user_name=name, policy_arn=arn))
    await iam(shapes.CreateGroupRequest(group_name="people"))
    await iam(shapes.AttachGroupPolicyRequest(group_name="people", policy_arn=arn))
    first = await iam(shapes.ListEntitiesForPolicyRequest(policy_arn=arn, max_items=2))
    assert first.is_truncated
    second = await iam(shapes.ListEntitiesForPolicyRequest(policy_arn=arn, marker=first.marker))
    found = [*first.policy_groups, *second.policy_groups, *first.policy_users, *second.policy_users]
    assert len(found) == 3 and not second.is_truncated
