"""Service-linked roles through boto3: made, protected, deleted with a task."""

import json
from typing import Any

from tests.e2e.conftest import Account, Server
from tests.e2e.scenes import allow, document, new_user, refusal

NAME = "AWSServiceRoleForAutoScaling"


def test_a_service_linked_role_lives_as_on_aws(server: Server, account: Account, root: Any):
    role = root.create_service_linked_role(AWSServiceName="autoscaling.amazonaws.com", Description="d")[
        "Role"
    ]
    assert role["Path"] == "/aws-service-role/autoscaling.amazonaws.com/"
    assert role["RoleName"] == NAME
    assert role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] == {
        "Service": ["autoscaling.amazonaws.com"]
    }
    assert [one["RoleName"] for one in root.list_roles(PathPrefix="/aws-service-role/")["Roles"]] == [NAME]
    attached = root.list_attached_role_policies(RoleName=NAME)["AttachedPolicies"]
    assert [one["PolicyName"] for one in attached] == ["AutoScalingServiceRolePolicy"]
    assert refusal(root.create_service_linked_role, AWSServiceName="autoscaling.amazonaws.com") == (
        "InvalidInput",
        f"Service role name {NAME} has been taken in this account, please try a different suffix.",
        400,
    )
    assert refusal(root.create_service_linked_role, AWSServiceName="ecs.amazonaws.com", CustomSuffix="x") == (
        "InvalidInput",
        "Custom suffix is not allowed for ecs.amazonaws.com",
        400,
    )
    for change in (
        lambda: refusal(root.delete_role, RoleName=NAME),
        lambda: refusal(
            root.put_role_policy, RoleName=NAME, PolicyName="p", PolicyDocument=document(allow("*"))
        ),
        lambda: refusal(root.update_assume_role_policy, RoleName=NAME, PolicyDocument=json.dumps({})),
        lambda: refusal(root.update_role, RoleName=NAME, MaxSessionDuration=7200),
    ):
        code, message, status = change()
        assert (code, status) == ("UnmodifiableEntity", 400)
        assert f"the protected role '{NAME}'" in message
    root.update_role(RoleName=NAME, Description="another")
    assert root.get_role(RoleName=NAME)["Role"]["Description"] == "another"
    keys = new_user(server, account, "alice")
    code, message, status = refusal(
        server.client("iam", keys).create_service_linked_role, AWSServiceName="ecs.amazonaws.com"
    )
    assert (code, status) == ("AccessDenied", 403)
    assert "role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS" in message
    task = root.delete_service_linked_role(RoleName=NAME)["DeletionTaskId"]
    assert root.get_service_linked_role_deletion_status(DeletionTaskId=task)["Status"] == "SUCCEEDED"
    assert refusal(root.delete_service_linked_role, RoleName=NAME)[::2] == ("NoSuchEntity", 404)
    missing = refusal(root.get_service_linked_role_deletion_status, DeletionTaskId=f"{task[:-1]}-")
    assert missing[::2] == ("NoSuchEntity", 404)
