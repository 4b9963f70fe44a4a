import json
import re
from importlib.resources import files

import pytest

from broker.access.aws_managed import find_aws_managed
from broker.iam.linked_services import find_linked_service
from broker.metadata.credentials import EC2, ECS_TASKS
from broker.policy import PolicyKind, parse_policy
from broker.protocol.shapes import iam as shapes

ACCOUNT = "111122223333"
ECS = "ecs.amazonaws.com"
ROWS = json.loads(files("broker.iam").joinpath("service_linked_roles.json").read_text())


def create(service=ECS, **fields):
    return shapes.CreateServiceLinkedRoleRequest(aws_service_name=service, **fields)


def delete(name="AWSServiceRoleForECS"):
    return shapes.DeleteServiceLinkedRoleRequest(role_name=name)


def status(task_id):
    return shapes.GetServiceLinkedRoleDeletionStatusRequest(deletion_task_id=task_id)


async def new_user(iam, *statements):
    await iam(shapes.CreateUserRequest(user_name="alice"))
    document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    await iam(shapes.PutUserPolicyRequest(user_name="alice", policy_name="p", policy_document=document))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row_names_a_service_a_role_and_the_policy_that_only_such_roles_have(row):
    name, role_name, policy_name, takes_suffix = row
    service = find_linked_service(name)
    assert (service.role_name, service.takes_suffix) == (role_name, takes_suffix)
    assert re.fullmatch(r"[a-z0-9.-]+\.amazonaws\.com", name)
    assert re.fullmatch(r"AWSServiceRoleFor[\w-]{2,47}", role_name)
    assert find_aws_managed(service.policy_arn).policy_name == policy_name
    parse_policy(find_aws_managed(service.policy_arn).document, PolicyKind.IDENTITY)


def test_the_rows_are_in_order_and_no_role_belongs_to_two_services():
    services, roles = [row[0] for row in ROWS], [row[1] for row in ROWS]
    assert services == sorted(set(services)) and len(set(roles)) == len(roles) > 200


def test_no_service_that_the_broker_assumes_roles_for_has_one():
    """Service-linked roles are exempt from an organization's policies: no machine may run with one."""
    assert not {EC2, ECS_TASKS} & {row[0] for row in ROWS}


async def test_a_role_is_what_its_service_defines(iam):
    created = (await iam(create(description="for clusters"))).role
    role = (await iam(shapes.GetRoleRequest(role_name=created.role_name))).role
    assert role.arn == f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/{ECS}/AWSServiceRoleForECS"
    assert role.path == f"/aws-service-role/{ECS}/"
    assert (role.description, role.max_session_duration) == ("for clusters", 3600)
    (statement,) = json.loads(role.assume_role_policy_document)["Statement"]
    assert statement == {
        "Action": ["sts:AssumeRole"],
        "Effect": "Allow",
        "Principal": {"Service": [ECS]},
    }
    attached = await iam(shapes.ListAttachedRolePoliciesRequest(role_name=role.role_name))
    assert [policy.policy_arn for policy in attached.attached_policies] == [
        "arn:aws:iam::aws:policy/aws-service-role/AmazonECSServiceRolePolicy"
    ]
    assert created.role_id == role.role_id


async def test_a_suffix_makes_another_role_where_the_service_allows_it(iam):
    plain = (await iam(create("autoscaling.amazonaws.com"))).role
    suffixed = (await iam(create("autoscaling.amazonaws.com", custom_suffix="blue"))).role
    assert plain.role_name == "AWSServiceRoleForAutoScaling"
    assert suffixed.role_name == "AWSServiceRoleForAutoScaling_blue"
    assert await iam.refused(create(custom_suffix="blue")) == (
        "InvalidInput",
        f"Custom suffix is not allowed for {ECS}",
    )
    assert (await iam.refused(create("autoscaling.amazonaws.com", custom_suffix="b" * 64)))[0] == (
        "InvalidInput"
    )


async def test_a_role_that_is_there_is_not_made_again(iam):
    await iam(create())
    assert await iam.refused(create()) == (
        "InvalidInput",
        "Service role name AWSServiceRoleForECS has been taken in this account, please try a different suffix.",
    )


@pytest.mark.parametrize("service", ["ECS.amazonaws.com", "ecs", "ec2.amazonaws.com", "nothing.example.com"])
async def test_what_is_no_service_with_such_a_role_is_refused(iam, service):
    assert await iam.refused(create(service)) == (
        "InvalidInput",
        f"The service {service} has no service-linked role.",
    )


async def test_the_roles_quota_counts_them(iam):
    iam.quotas = type(iam.quotas)(roles=1)
    await iam(create())
    assert (await iam.refused(create("rds.amazonaws.com")))[0] == "LimitExceeded"


async def test_who_may_create_the_role_of_one_service_may_not_that_of_another(iam):
    await new_user(
        iam,
        {
            "Effect": "Allow",
            "Action": "iam:CreateServiceLinkedRole",
            "Resource": f"arn:aws:iam::*:role/aws-service-role/{ECS}/AWSServiceRoleForECS",
            "Condition": {"StringEquals": {"iam:AWSServiceName": ECS}},
        },
    )
    assert (await iam.refused(create("rds.amazonaws.com"), user="alice"))[0] == "AccessDenied"
    assert (await iam.refused(create("nothing.example.com"), user="alice"))[0] == "AccessDenied"
    await iam(create(), user="alice")
    assert (await iam.refused(delete(), user="alice"))[0] == "AccessDenied"


@pytest.mark.parametrize(
    "changing",
    [
        shapes.DeleteRoleRequest(role_name="AWSServiceRoleForECS"),
        shapes.UpdateRoleRequest(role_name="AWSServiceRoleForECS", max_session_duration=7200),
        shapes.UpdateRoleRequest(role_name="AWSServiceRoleForECS", reset_max_signin_session_duration=True),
        shapes.UpdateAssumeRolePolicyRequest(role_name="AWSServiceRoleForECS", policy_document="{}"),
        shapes.AttachRolePolicyRequest(
            role_name="AWSServiceRoleForECS", policy_arn="arn:aws:iam::aws:policy/AdministratorAccess"
        ),
        shapes.DetachRolePolicyRequest(
            role_name="AWSServiceRoleForECS",
            policy_arn="arn:aws:iam::aws:policy/aws-service-role/AmazonECSServiceRolePolicy",
        ),
        shapes.PutRolePolicyRequest(role_name="AWSServiceRoleForECS", policy_name="p", policy_document="{}"),
        shapes.PutRolePermissionsBoundaryRequest(
            role_name="AWSServiceRoleForECS",
            permissions_boundary="arn:aws:iam::aws:policy/AdministratorAccess",
        ),
        shapes.AddRoleToInstanceProfileRequest(instance_profile_name="web", role_name="AWSServiceRoleForECS"),
    ],
    ids=lambda request: type(request).__name__,
)
async def test_a_service_linked_role_is_not_changed_as_others_are(iam, changing):
    await iam(create())
    await iam(shapes.CreateInstanceProfileRequest(instance_profile_name="web"))
    assert await iam.refused(changing) == (
        "UnmodifiableEntity",
        "Cannot perform the operation on the protected role 'AWSServiceRoleForECS' - "
        "this role is only modifiable by AWS",
    )


async def test_its_description_and_its_tags_may_be_changed(iam):
    await iam(create())
    described = shapes.UpdateRoleDescriptionRequest(role_name="AWSServiceRoleForECS", description="mine")
    await iam(described)
    tag = shapes.Tag(key="team", value="red")
    await iam(shapes.TagRoleRequest(role_name="AWSServiceRoleForECS", tags=(tag,)))
    role = (await iam(shapes.GetRoleRequest(role_name="AWSServiceRoleForECS"))).role
    assert (role.description, role.tags) == ("mine", (tag,))


async def test_a_role_is_deleted_and_its_task_says_so(iam):
    await iam(create())
    task_id = (await iam(delete())).deletion_task_id
    assert re.fullmatch(
        rf"task/aws-service-role/{ECS}/AWSServiceRoleForECS/[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}",
        task_id,
    )
    assert (await iam(status(task_id))).status == "SUCCEEDED"
    assert (await iam.refused(delete()))[0] == "NoSuchEntity"
    await iam(create())
    iam.now += 8 * 86_400
    assert await iam.refused(status(task_id)) == (
        "NoSuchEntity",
        f"The deletion task with id {task_id} cannot be found.",
    )


async def test_the_state_of_a_task_is_told_to_who_may_ask_for_the_role(iam):
    arn = f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/{ECS}/AWSServiceRoleForECS"
    await new_user(
        iam, {"Effect": "Allow", "Action": "iam:GetServiceLinkedRoleDeletionStatus", "Resource": arn}
    )
    await iam(create())
    await iam(create("rds.amazonaws.com"))
    of_ecs = (await iam(delete())).deletion_task_id
    of_rds = (await iam(delete("AWSServiceRoleForRDS"))).deletion_task_id
    assert (await iam(status(of_ecs), user="alice")).status == "SUCCEEDED"
    assert (await iam.refused(status(of_rds), user="alice"))[0] == "AccessDenied"


@pytest.mark.parametrize("task_id", ["nothing", "task/", "task/other/ecs.amazonaws.com/Role/1"])
async def test_what_is_no_task_id_is_refused(iam, task_id):
    assert await iam.refused(status(task_id)) == (
        "InvalidInput",
        f"The deletion task id {task_id} is not valid.",
    )


async def test_a_role_of_the_account_is_not_deleted_as_a_service_linked_one(iam):
    trust = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": {"Service": ECS}, "Action": "sts:AssumeRole"}],
        }
    )
    await iam(shapes.CreateRoleRequest(role_name="own", assume_role_policy_document=trust))
    assert await iam.refused(delete("own")) == ("NoSuchEntity", "The role with name own cannot be found.")
    await iam(shapes.GetRoleRequest(role_name="own"))
