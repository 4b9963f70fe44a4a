"""Roles, policies, boundaries and instance profiles as boto3 sees them, and what they grant, through the wire."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Account, Keys, Server
from tests.e2e.scenes import refusal

READ_ONLY = "arn:aws:iam::aws:policy/ReadOnlyAccess"
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(*actions: str, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": "*", **more}


def trust(principal: Any, **more: Any) -> str:
    return policy({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", **more})


EC2 = trust({"Service": "ec2.amazonaws.com"})


def new_user(
    server: Server, root: Any, name: str, *statements: dict[str, Any]
) -> tuple[dict[str, Any], Keys]:
    """A user with one inline policy, and their keys."""
    user = root.create_user(UserName=name)["User"]
    if statements:
        root.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=policy(*statements))
    return user, Keys.of(root.create_access_key(UserName=name)["AccessKey"])


def test_a_role_comes_back_as_it_was_made(account: Account, root: Any):
    root.create_role(
        RoleName="app",
        Path="/service/",
        AssumeRolePolicyDocument=EC2,
        Description="runs the app, ünd more",
        MaxSessionDuration=7200,
        PermissionsBoundary=READ_ONLY,
        Tags=[{"Key": "Team", "Value": "blue"}],
    )
    role = root.get_role(RoleName="app")["Role"]
    assert role["Arn"] == f"arn:aws:iam::{account.account_id}:role/service/app"
    assert role["AssumeRolePolicyDocument"] == json.loads(EC2)
    assert role["Description"] == "runs the app, ünd more"
    assert role["MaxSessionDuration"] == 7200
    assert role["PermissionsBoundary"] == {
        "PermissionsBoundaryType": "Policy",
        "PermissionsBoundaryArn": READ_ONLY,
    }
    assert role["Tags"] == [{"Key": "Team", "Value": "blue"}]
    assert role["RoleLastUsed"] == {}


def test_roles_are_listed_through_the_paginator(root: Any):
    names = [f"role-{index:02d}" for index in range(7)]
    for name in names:
        root.create_role(RoleName=name, Path="/many/", AssumeRolePolicyDocument=EC2)
    root.create_role(RoleName="elsewhere", AssumeRolePolicyDocument=EC2)
    pages = list(
        root.get_paginator("list_roles").paginate(PathPrefix="/many/", PaginationConfig={"PageSize": 3})
    )
    assert [len(page["Roles"]) for page in pages] == [3, 3, 1]
    assert [role["RoleName"] for page in pages for role in page["Roles"]] == names
    assert refusal(root.list_roles, Marker="forged")[0] == "ValidationError"


def test_refusals_of_roles_arrive_with_aws_words_and_status(account: Account, root: Any):
    root.create_role(RoleName="app", AssumeRolePolicyDocument=EC2)
    assert refusal(root.create_role, RoleName="APP", AssumeRolePolicyDocument=EC2) == (
        "EntityAlreadyExists",
        "Role with name APP already exists.",
        409,
    )
    assert refusal(root.get_role, RoleName="ghost") == (
        "NoSuchEntity",
        "The role with name ghost cannot be found.",
        404,
    )
    code, _, status = refusal(root.create_role, RoleName="bad", AssumeRolePolicyDocument="{}")
    assert (code, status) == ("MalformedPolicyDocument", 400)
    ghost = f"arn:aws:iam::{account.account_id}:user/ghost"
    assert refusal(root.create_role, RoleName="bad", AssumeRolePolicyDocument=trust({"AWS": ghost})) == (
        "MalformedPolicyDocument",
        f'Invalid principal in policy: "AWS":"{ghost}"',
        400,
    )
    root.attach_role_policy(RoleName="app", PolicyArn=READ_ONLY)
    assert refusal(root.delete_role, RoleName="app") == (
        "DeleteConflict",
        "Cannot delete entity, must detach all policies first.",
        409,
    )
    with pytest.raises(root.exceptions.NoSuchEntityException):
        root.get_role(RoleName="ghost")


def test_a_user_assumes_the_role_that_trusts_them_and_a_namesake_does_not(server: Server, root: Any):
    alice, keys = new_user(server, root, "alice")
    role = root.create_role(RoleName="app", AssumeRolePolicyDocument=trust({"AWS": alice["Arn"]}))["Role"]
    sts = server.client("sts", keys)
    session = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="one")
    assert session["AssumedRoleUser"]["AssumedRoleId"] == f"{role['RoleId']}:one"

    root.delete_access_key(UserName="alice", AccessKeyId=keys.access_key_id)
    root.delete_user(UserName="alice")
    namesake, keys = new_user(server, root, "alice")
    assert namesake["Arn"] == alice["Arn"]
    code, _, status = refusal(
        server.client("sts", keys).assume_role, RoleArn=role["Arn"], RoleSessionName="two"
    )
    assert (code, status) == ("AccessDenied", 403)
    shown = root.get_role(RoleName="app")["Role"]["AssumeRolePolicyDocument"]
    assert shown["Statement"][0]["Principal"] == {"AWS": alice["UserId"]}


def test_the_last_use_of_a_role_is_shown_once_its_session_has_acted(server: Server, root: Any):
    alice, keys = new_user(server, root, "alice")
    role = root.create_role(RoleName="app", AssumeRolePolicyDocument=trust({"AWS": alice["Arn"]}))["Role"]
    answer = server.client("sts", keys).assume_role(RoleArn=role["Arn"], RoleSessionName="one")
    server.client("sts", Keys.of(answer["Credentials"])).get_caller_identity()
    used = root.get_role(RoleName="app")["Role"]["RoleLastUsed"]
    assert used["Region"] == "eu-central-1"
    assert used["LastUsedDate"] >= role["CreateDate"]


def test_a_managed_policy_lives_through_its_versions(server: Server, root: Any):
    _, keys = new_user(server, root, "alice")
    iam = server.client("iam", keys)
    made = root.create_policy(
        PolicyName="lists", Path="/team/", PolicyDocument=policy(allow("iam:ListUsers")), Description="d"
    )["Policy"]
    arn = made["Arn"]
    root.attach_user_policy(UserName="alice", PolicyArn=arn)
    assert iam.list_users()["Users"]
    assert refusal(iam.list_groups)[0] == "AccessDenied"

    other = policy(allow("iam:ListGroups"))
    version = root.create_policy_version(PolicyArn=arn, PolicyDocument=other)["PolicyVersion"]
    assert (version["VersionId"], version["IsDefaultVersion"]) == ("v2", False)
    assert iam.list_users()["Users"]
    root.set_default_policy_version(PolicyArn=arn, VersionId="v2")
    assert refusal(iam.list_users)[0] == "AccessDenied"
    assert iam.list_groups()["Groups"] == []

    read = root.get_policy_version(PolicyArn=arn, VersionId="v2")["PolicyVersion"]
    assert read["Document"] == json.loads(other)
    versions = root.list_policy_versions(PolicyArn=arn)["Versions"]
    assert [(version["VersionId"], version["IsDefaultVersion"]) for version in versions] == [
        ("v2", True),
        ("v1", False),
    ]
    shown = root.get_policy(PolicyArn=arn)["Policy"]
    assert (shown["AttachmentCount"], shown["DefaultVersionId"], shown["Description"]) == (1, "v2", "d")
    assert refusal(root.delete_policy, PolicyArn=arn)[::2] == ("DeleteConflict", 409)
    root.detach_user_policy(UserName="alice", PolicyArn=arn)
    root.delete_policy_version(PolicyArn=arn, VersionId="v1")
    root.delete_policy(PolicyArn=arn)
    assert refusal(root.get_policy, PolicyArn=arn) == ("NoSuchEntity", f"Policy {arn} was not found.", 404)


def test_policies_that_aws_keeps_are_listed_read_and_never_changed(root: Any):
    listed = {
        policy["PolicyName"]: policy["Arn"]
        for page in root.get_paginator("list_policies").paginate(
            Scope="AWS", PaginationConfig={"PageSize": 400}
        )
        for policy in page["Policies"]
    }
    assert listed["AdministratorAccess"] == ADMINISTRATOR
    assert listed["S3UnlockBucketPolicy"] == "arn:aws:iam::aws:policy/root-task/S3UnlockBucketPolicy"
    assert len(listed) > 1_500
    default = root.get_policy(PolicyArn=READ_ONLY)["Policy"]["DefaultVersionId"]
    versions = [
        version
        for page in root.get_paginator("list_policy_versions").paginate(PolicyArn=READ_ONLY)
        for version in page["Versions"]
    ]
    assert [one["VersionId"] for one in versions if one["IsDefaultVersion"]] == [default]
    for number in ("v1", default):
        found = root.get_policy_version(PolicyArn=READ_ONLY, VersionId=number)["PolicyVersion"]
        assert "s3:Get*" in json.dumps(found["Document"])
    linked = "arn:aws:iam::aws:policy/aws-service-role/AWSSupportServiceRolePolicy"
    root.create_role(RoleName="app", AssumeRolePolicyDocument=EC2)
    assert refusal(root.attach_role_policy, RoleName="app", PolicyArn=linked) == (
        "PolicyNotAttachable",
        "Cannot attach a Service Role Policy to a Customer Role.",
        400,
    )
    root.attach_role_policy(RoleName="app", PolicyArn=READ_ONLY)
    attached = root.list_policies(Scope="AWS", OnlyAttached=True)["Policies"]
    assert [(one["Arn"], one["AttachmentCount"]) for one in attached] == [(READ_ONLY, 1)]
    users = root.list_entities_for_policy(PolicyArn=READ_ONLY)
    assert [role["RoleName"] for role in users["PolicyRoles"]] == ["app"]
    root.detach_role_policy(RoleName="app", PolicyArn=READ_ONLY)
    root.delete_role(RoleName="app")
    code, _, status = refusal(root.delete_policy, PolicyArn=ADMINISTRATOR)
    assert (code, status) == ("AccessDenied", 403)


def test_read_only_access_reads_and_changes_nothing(server: Server, root: Any):
    _, keys = new_user(server, root, "reader")
    root.attach_user_policy(UserName="reader", PolicyArn=READ_ONLY)
    iam = server.client("iam", keys)
    assert iam.get_user()["User"]["UserName"] == "reader"
    assert iam.list_roles()["Roles"] == []
    assert refusal(iam.create_group, GroupName="mine")[0] == "AccessDenied"


def test_a_group_lends_its_policies_and_a_boundary_limits_them(server: Server, root: Any):
    _, keys = new_user(server, root, "alice")
    iam = server.client("iam", keys)
    root.create_group(GroupName="admins")
    root.attach_group_policy(GroupName="admins", PolicyArn=ADMINISTRATOR)
    assert refusal(iam.create_group, GroupName="one")[0] == "AccessDenied"
    root.add_user_to_group(GroupName="admins", UserName="alice")
    iam.create_group(GroupName="one")
    root.put_user_permissions_boundary(UserName="alice", PermissionsBoundary=READ_ONLY)
    code, message, _ = refusal(iam.create_group, GroupName="two")
    assert code == "AccessDenied"
    assert "because no permissions boundary allows the iam:CreateGroup action" in message
    root.delete_user_permissions_boundary(UserName="alice")
    iam.create_group(GroupName="two")
    groups = root.list_entities_for_policy(PolicyArn=ADMINISTRATOR)["PolicyGroups"]
    assert [group["GroupName"] for group in groups] == ["admins"]


@pytest.mark.parametrize(("kind", "quota"), [("user", 2048), ("group", 5120), ("role", 10240)])
def test_inline_policies_of_each_kind_come_back_as_documents(root: Any, kind: str, quota: int):
    name = {f"{kind.title()}Name": "it"}
    trusting = {"AssumeRolePolicyDocument": EC2} if kind == "role" else {}
    getattr(root, f"create_{kind}")(**name, **trusting)
    put, get = getattr(root, f"put_{kind}_policy"), getattr(root, f"get_{kind}_policy")
    document = policy(allow("s3:GetObject", Sid="One"))
    put(**name, PolicyName="p", PolicyDocument=document)
    assert get(**name, PolicyName="p")["PolicyDocument"] == json.loads(document)
    assert getattr(root, f"list_{kind}_policies")(**name)["PolicyNames"] == ["p"]
    long = policy(allow("s3:GetObject", Sid="x" * quota))
    assert refusal(put, **name, PolicyName="q", PolicyDocument=long) == (
        "LimitExceeded",
        f"Maximum policy size of {quota} bytes exceeded for {kind} it",
        409,
    )
    getattr(root, f"delete_{kind}_policy")(**name, PolicyName="p")
    assert refusal(get, **name, PolicyName="p") == (
        "NoSuchEntity",
        f"The {kind} policy with name p cannot be found.",
        404,
    )


def test_an_instance_profile_gets_the_role_that_its_giver_may_pass(
    account: Account, server: Server, root: Any
):
    passing = {
        "Effect": "Allow",
        "Action": "iam:PassRole",
        "Resource": f"arn:aws:iam::{account.account_id}:role/app",
        "Condition": {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
    }
    _, keys = new_user(server, root, "operator", allow("iam:AddRoleToInstanceProfile"), passing)
    for name in ("app", "other"):
        root.create_role(RoleName=name, AssumeRolePolicyDocument=EC2)
    root.create_instance_profile(InstanceProfileName="machines", Tags=[{"Key": "a", "Value": "1"}])
    operator = server.client("iam", keys)
    code, message, _ = refusal(
        operator.add_role_to_instance_profile, InstanceProfileName="machines", RoleName="other"
    )
    assert code == "AccessDenied"
    assert f"iam:PassRole on resource: arn:aws:iam::{account.account_id}:role/other" in message
    operator.add_role_to_instance_profile(InstanceProfileName="machines", RoleName="app")
    profile = root.get_instance_profile(InstanceProfileName="machines")["InstanceProfile"]
    assert [role["RoleName"] for role in profile["Roles"]] == ["app"]
    assert profile["Roles"][0]["AssumeRolePolicyDocument"] == json.loads(EC2)
    assert profile["Tags"] == [{"Key": "a", "Value": "1"}]
    found = root.list_instance_profiles_for_role(RoleName="app")["InstanceProfiles"]
    assert [one["InstanceProfileName"] for one in found] == ["machines"]
    assert root.get_waiter("instance_profile_exists").wait(InstanceProfileName="machines") is None
    assert refusal(root.delete_role, RoleName="app")[0] == "DeleteConflict"
    root.remove_role_from_instance_profile(InstanceProfileName="machines", RoleName="app")
    root.delete_instance_profile(InstanceProfileName="machines")
    root.delete_role(RoleName="app")


def test_tags_of_each_noun_come_and_go(account: Account, root: Any):
    arn = root.create_policy(PolicyName="p", PolicyDocument=policy(allow("s3:*")))["Policy"]["Arn"]
    root.create_role(RoleName="r", AssumeRolePolicyDocument=EC2)
    root.create_instance_profile(InstanceProfileName="i")
    tags = [{"Key": "One", "Value": "1"}, {"Key": "Two", "Value": ""}]
    for noun, named in (
        ("role", {"RoleName": "r"}),
        ("policy", {"PolicyArn": arn}),
        ("instance_profile", {"InstanceProfileName": "i"}),
    ):
        getattr(root, f"tag_{noun}")(**named, Tags=tags)
        listing = getattr(root, f"list_{noun}_tags")
        assert listing(**named)["Tags"] == tags
        key = "one" if noun == "role" else "One"  # keys of users' and roles' tags have no case
        getattr(root, f"untag_{noun}")(**named, TagKeys=[key, "two" if noun != "role" else "three"])
        assert listing(**named)["Tags"] == tags[1:]


def test_a_tag_of_a_role_decides_who_may_change_it(server: Server, root: Any):
    mine = {"StringEquals": {"aws:ResourceTag/Owner": "alice"}}
    _, keys = new_user(server, root, "alice", allow("iam:UpdateRole", Condition=mine))
    iam = server.client("iam", keys)
    root.create_role(RoleName="a", AssumeRolePolicyDocument=EC2, Tags=[{"Key": "Owner", "Value": "alice"}])
    root.create_role(RoleName="b", AssumeRolePolicyDocument=EC2, Tags=[{"Key": "Owner", "Value": "bob"}])
    iam.update_role(RoleName="a", MaxSessionDuration=3600)
    assert refusal(iam.update_role, RoleName="b", MaxSessionDuration=3600)[0] == "AccessDenied"


def test_a_service_that_is_none_is_refused_but_for_the_operators_own(tmp_path: Path):
    environment = {"BROKER_POLICIES_SERVICE_PRINCIPALS": "scheduler.corp.example,runner.corp.example"}
    store = f"sqlite:{tmp_path / 'broker.db'}"
    with Server(tmp_path, store, environment=environment).running() as server:
        iam = server.client("iam", server.new_account().root)
        misspelt = trust({"Service": "esc-tasks.amazonaws.com"})
        assert refusal(iam.create_role, RoleName="tasks", AssumeRolePolicyDocument=misspelt) == (
            "MalformedPolicyDocument",
            'Invalid principal in policy: "SERVICE":"esc-tasks.amazonaws.com"',
            400,
        )
        assert "did you mean ecs-tasks.amazonaws.com?" in server.log
        document = trust({"Service": ["runner.corp.example", "ecs-tasks.amazonaws.com"]})
        assert iam.create_role(RoleName="tasks", AssumeRolePolicyDocument=document)
