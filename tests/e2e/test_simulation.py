"""The simulator and its neighbours through boto3: every member of their requests and answers on the wire, and real
requests beside what was simulated of them.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from broker.storage.organization_records import Organization, OrganizationalUnit
from tests.e2e.conftest import REGION, Account, Server
from tests.e2e.scenes import (
    allow,
    assume,
    deny,
    document,
    new_role,
    new_user,
    organization,
    refused,
    sentence,
    trust,
)

CLI = Path(sys.executable).with_name("aws")
A, B = "arn:aws:s3:::reports/a", "arn:aws:s3:::reports/b"
POLICY = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}'


def arn(account: Account, resource: str) -> str:
    return f"arn:aws:iam::{account.account_id}:{resource}"


def entry(name: str, kind: str, *values: str) -> dict[str, Any]:
    return {"ContextKeyName": name, "ContextKeyValues": list(values), "ContextKeyType": kind}


def results(answer: dict[str, Any]) -> dict[str, str]:
    return {result["EvalActionName"]: result["EvalDecision"] for result in answer["EvaluationResults"]}


def decisions(answer: dict[str, Any]) -> list[str]:
    (result,) = answer["EvaluationResults"]
    return [specific["EvalResourceDecision"] for specific in result["ResourceSpecificResults"]]


def test_a_custom_policy_is_answered_as_aws_answers_it(root: Any) -> None:
    answer = root.simulate_custom_policy(
        PolicyInputList=[POLICY], ActionNames=["s3:GetObject"], ResourceArns=[A]
    )
    matched = [
        {
            "SourcePolicyId": "PolicyInputList.1",
            "SourcePolicyType": "IAM Policy",
            "StartPosition": {"Line": 1, "Column": 38},
            "EndPosition": {"Line": 1, "Column": 95},
        }
    ]
    assert answer["IsTruncated"] is False and "Marker" not in answer
    assert answer["EvaluationResults"] == [
        {
            "EvalActionName": "s3:GetObject",
            "EvalResourceName": A,
            "EvalDecision": "allowed",
            "MatchedStatements": matched,
            "MissingContextValues": [],
            "EvalDecisionDetails": {},
            "ResourceSpecificResults": [
                {
                    "EvalResourceName": A,
                    "EvalResourceDecision": "allowed",
                    "MatchedStatements": matched,
                    "MissingContextValues": [],
                }
            ],
        }
    ]


def test_every_layer_of_a_custom_simulation_is_read_from_the_wire(root: Any, account: Account) -> None:
    given = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": {
                "Effect": "Allow",
                "Principal": {"AWS": arn(account, "user/alice")},
                "Action": "s3:*",
                "Resource": "arn:aws:s3:::reports/*",
            },
        }
    )
    answer = root.simulate_custom_policy(
        PolicyInputList=[document(allow("s3:*"))],
        PermissionsBoundaryPolicyInputList=[document(allow("s3:GetObject"))],
        OrderedOrganizationPolicyInputList=[
            {"ServiceControlPolicyInputList": [document(allow("*")), document(deny("s3:DeleteObject"))]},
            {"ServiceControlPolicyInputList": [document(allow("*"))]},
        ],
        ActionNames=["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
        ResourceArns=[A, B],
        ResourcePolicy=given,
        ResourceOwner="arn:aws:iam::999999999999:root",
        CallerArn=arn(account, "user/alice"),
    )
    read, written, deleted = answer["EvaluationResults"]
    assert [read["EvalDecision"], written["EvalDecision"], deleted["EvalDecision"]] == [
        "allowed",
        "implicitDeny",
        "explicitDeny",
    ]
    assert {one["SourcePolicyId"] for one in read["MatchedStatements"]} == {
        "PolicyInputList.1",
        "ResourcePolicy",
    }
    assert written["EvalDecisionDetails"] == {
        "IAM Policy": "allowed",
        "Resource Policy": "allowed",
        "Permissions Boundary Policy": "implicitDeny",
    }
    assert written["PermissionsBoundaryDecisionDetail"] == {"AllowedByPermissionsBoundary": False}
    assert read["OrganizationsDecisionDetail"] == {"AllowedByOrganizations": True}
    assert deleted["OrganizationsDecisionDetail"] == {"AllowedByOrganizations": False}
    assert deleted["MatchedStatements"] == []


def test_context_entries_of_every_type_come_through(root: Any) -> None:
    wanted = {
        "StringEquals": {"x:text": "a b&c=d"},
        "NumericLessThan": {"x:number": "10"},
        "Bool": {"x:truth": "true"},
        "DateLessThan": {"x:date": "2030-01-01T00:00:00Z"},
        "IpAddress": {"x:address": "192.0.2.0/24"},
        "BinaryEquals": {"x:bytes": "QmluYXJ5"},
        "ForAllValues:StringEquals": {"x:texts": ["a", "b", "c"]},
        "ForAnyValue:NumericEquals": {"x:numbers": "3"},
        "ForAnyValue:Bool": {"x:truths": "false"},
        "ForAnyValue:DateGreaterThan": {"x:dates": "2029-01-01"},
        "ForAllValues:IpAddress": {"x:addresses": "2001:db8::/32"},
        "ForAnyValue:BinaryEquals": {"x:blobs": "QQ=="},
    }
    policy = document(allow("s3:GetObject", Condition=wanted))
    given = [
        entry("x:text", "string", "a b&c=d"),
        entry("x:number", "numeric", "9.5"),
        entry("x:truth", "boolean", "True"),
        entry("x:date", "date", "2029-12-31"),
        entry("x:address", "ip", "192.0.2.200"),
        entry("x:bytes", "binary", "QmluYXJ5"),
        entry("x:texts", "stringList", "c", "a"),
        entry("x:numbers", "numericList", "1", "3.0"),
        entry("x:truths", "booleanList", "true", "false"),
        entry("x:dates", "dateList", "2028-01-01", "2029-06-01T12:00:00Z"),
        entry("x:addresses", "ipList", "2001:db8::1", "2001:db8:1::"),
        entry("x:blobs", "binaryList", "QUE=", "QQ=="),
    ]
    asked = {"PolicyInputList": [policy], "ActionNames": ["s3:GetObject"]}
    assert results(root.simulate_custom_policy(**asked, ContextEntries=given)) == {"s3:GetObject": "allowed"}
    named = set(root.get_context_keys_for_custom_policy(PolicyInputList=[policy])["ContextKeyNames"])
    assert named == {one["ContextKeyName"] for one in given}
    for missing in given:
        rest = [one for one in given if one is not missing]
        answer = root.simulate_custom_policy(**asked, ContextEntries=rest)
        if not missing["ContextKeyType"].endswith("List"):
            (result,) = answer["EvaluationResults"]
            assert result["MissingContextValues"] == [missing["ContextKeyName"]]


def test_the_paginator_of_boto3_gets_every_action_in_order(root: Any) -> None:
    names = [f"s3:Action{number}" for number in range(25)]
    pages = root.get_paginator("simulate_custom_policy").paginate(
        PolicyInputList=[POLICY], ActionNames=names, PaginationConfig={"PageSize": 10}
    )
    found = [[result["EvalActionName"] for result in page["EvaluationResults"]] for page in pages]
    assert [len(page) for page in found] == [10, 10, 5]
    assert [name for page in found for name in page] == names


def test_what_is_simulated_of_a_user_is_what_happens_to_the_user(
    server: Server, root: Any, account: Account
) -> None:
    blue = {"StringEquals": {"aws:RequestTag/team": "${aws:PrincipalTag/team}"}}
    alice = new_user(
        server,
        account,
        "alice",
        allow("iam:Get*", "iam:ListUsers"),
        allow("iam:CreateUser", "iam:TagUser", Condition=blue),
        deny("iam:GetRole", on="*"),
    )
    root.tag_user(UserName="alice", Tags=[{"Key": "team", "Value": "blue"}])
    root.create_group(GroupName="keepers")
    root.add_user_to_group(GroupName="keepers", UserName="alice")
    root.put_group_policy(
        GroupName="keepers",
        PolicyName="keep",
        PolicyDocument=document(allow("iam:DeleteUser", "iam:GetGroup")),
    )
    edge = root.create_policy(PolicyName="edge", PolicyDocument=document(allow("iam:*User*", "iam:GetRole")))[
        "Policy"
    ]["Arn"]
    root.put_user_permissions_boundary(UserName="alice", PermissionsBoundary=edge)
    role = new_role(server, account, "app", trust(account.account_id))
    client = server.client("iam", alice)
    user = arn(account, "user/alice")
    tag = [{"Key": "team", "Value": "blue"}]
    red = [{"Key": "team", "Value": "red"}]

    def happens(call: Any, **arguments: Any) -> tuple[bool, bool]:
        """Whether the request is allowed, and whether it is denied in so many words."""
        try:
            call(**arguments)
        except ClientError as error:
            if error.response["Error"]["Code"] != "AccessDenied":
                return True, False
            return False, "explicit deny" in error.response["Error"]["Message"]
        return True, False

    cases = [
        (client.get_user, {"UserName": "alice"}, "iam:GetUser", user, []),
        (client.list_users, {}, "iam:ListUsers", arn(account, "user/"), []),
        (client.get_role, {"RoleName": "app"}, "iam:GetRole", role, []),
        (client.get_group, {"GroupName": "keepers"}, "iam:GetGroup", arn(account, "group/keepers"), []),
        (client.list_roles, {}, "iam:ListRoles", arn(account, "role/"), []),
        (
            client.create_user,
            {"UserName": "new", "Tags": tag},
            "iam:CreateUser",
            arn(account, "user/new"),
            [entry("aws:RequestTag/team", "string", "blue")],
        ),
        (
            client.create_user,
            {"UserName": "newer", "Tags": red},
            "iam:CreateUser",
            arn(account, "user/newer"),
            [entry("aws:RequestTag/team", "string", "red")],
        ),
        (client.delete_user, {"UserName": "new"}, "iam:DeleteUser", arn(account, "user/new"), []),
    ]
    seen = set()
    for call, arguments, action, resource, entries in cases:
        answer = root.simulate_principal_policy(
            PolicySourceArn=user, ActionNames=[action], ResourceArns=[resource], ContextEntries=entries
        )
        (decision,) = decisions(answer)
        allowed, explicit = happens(call, **arguments)
        assert (decision == "allowed", decision == "explicitDeny") == (allowed, explicit), action
        seen.add(decision)
    assert seen == {"allowed", "implicitDeny", "explicitDeny"}


def test_what_is_simulated_of_a_trust_policy_is_what_assume_role_does(
    server: Server, root: Any, account: Account
) -> None:
    alice = new_user(server, account, "alice", allow("sts:AssumeRole"))
    user = arn(account, "user/alice")
    mfa = trust(account.account_id, Condition={"Bool": {"aws:MultiFactorAuthPresent": "true"}})
    for number, (statements, expected) in enumerate(
        [
            ([trust(account.account_id)], "allowed"),
            ([trust(user)], "allowed"),
            ([trust("999999999999")], "implicitDeny"),
            ([mfa], "implicitDeny"),
            ([trust(user), {**trust(user), "Effect": "Deny"}], "explicitDeny"),
        ]
    ):
        text = document(*statements)
        role = arn(account, f"role/app-{number}")
        asked = {"PolicySourceArn": user, "ActionNames": ["sts:AssumeRole"], "ResourceArns": [role]}
        assert decisions(root.simulate_principal_policy(**asked, ResourcePolicy=text)) == [expected]
        root.create_role(RoleName=f"app-{number}", AssumeRolePolicyDocument=text)
        assert decisions(root.simulate_principal_policy(**asked)) == [expected]
        if expected == "allowed":
            assume(server, alice, role)
        else:
            sts = server.client("sts", alice)
            assert refused(sts.assume_role, RoleArn=role, RoleSessionName="session")[1] == "AccessDenied"


def test_policies_can_be_left_out_over_the_wire(server: Server, root: Any, account: Account) -> None:
    new_user(server, account, "alice", allow("s3:GetObject"))
    managed = root.create_policy(
        PolicyName="deletes", Path="/team/", PolicyDocument=document(allow("s3:DeleteObject"))
    )["Policy"]["Arn"]
    root.attach_user_policy(UserName="alice", PolicyArn=managed)

    def left(*identifiers: dict[str, Any]) -> dict[str, str]:
        return results(
            root.simulate_principal_policy(
                PolicySourceArn=arn(account, "user/alice"),
                ActionNames=["s3:GetObject", "s3:DeleteObject"],
                PolicyExclusionList=list(identifiers),
            )
        )

    inline = {"PolicyName": "scene", "AttachmentType": "user", "AttachmentName": "alice"}
    assert left() == {"s3:GetObject": "allowed", "s3:DeleteObject": "allowed"}
    assert left({"PolicyArn": managed}) == {"s3:GetObject": "allowed", "s3:DeleteObject": "implicitDeny"}
    assert left({"InlinePolicyIdentifier": inline}, {"PolicyType": "scp"}) == {
        "s3:GetObject": "implicitDeny",
        "s3:DeleteObject": "allowed",
    }
    assert set(left({"PolicyType": "inline"}, {"PolicyType": "user-managed"}).values()) == {"implicitDeny"}


def test_the_organization_counts_for_whoever_is_simulated(
    server: Server, root: Any, account: Account
) -> None:
    new_user(server, account, "alice", allow("s3:*"))
    place = OrganizationalUnit(
        parent=None, service_control_policies={"edge": document(allow("*"), deny("s3:DeleteObject"))}
    )
    record = Organization(
        organization_id="o-simulated",
        management_account_id="999999999999",
        accounts={account.account_id: place},
        features=("SERVICE_CONTROL_POLICY",),
    )
    with organization(server, record):
        answer = root.simulate_principal_policy(
            PolicySourceArn=arn(account, "user/alice"), ActionNames=["s3:GetObject", "s3:DeleteObject"]
        )
    assert results(answer) == {"s3:GetObject": "allowed", "s3:DeleteObject": "explicitDeny"}
    assert [
        one["OrganizationsDecisionDetail"]["AllowedByOrganizations"] for one in answer["EvaluationResults"]
    ] == [
        True,
        False,
    ]


def test_an_entitys_context_keys_and_granted_services_are_listed(
    server: Server, root: Any, account: Account
) -> None:
    asks = {"StringEquals": {"aws:SourceVpc": "${aws:PrincipalTag/vpc}"}}
    new_user(server, account, "alice", allow("s3:*", "iam:GetUser", Condition=asks))
    root.attach_user_policy(UserName="alice", PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    user = arn(account, "user/alice")
    keys = root.get_context_keys_for_principal_policy(PolicySourceArn=user, PolicyInputList=[POLICY])
    # Beside her own policy's keys, those of ReadOnlyAccess as AWS publishes it.
    assert {"aws:SourceVpc", "aws:PrincipalTag/vpc", "s3express:SessionMode"} <= set(keys["ContextKeyNames"])
    granted = root.list_policies_granting_service_access(Arn=user, ServiceNamespaces=["iam", "sts"])
    assert granted["IsTruncated"] is False
    services = {one["ServiceNamespace"]: one["Policies"] for one in granted["PoliciesGrantingServiceAccess"]}
    read_only = {
        "PolicyName": "ReadOnlyAccess",
        "PolicyType": "MANAGED",
        "PolicyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess",
    }
    own = {"PolicyName": "scene", "PolicyType": "INLINE", "EntityType": "USER", "EntityName": "alice"}
    assert services["iam"] == [read_only, own]
    assert [one["PolicyName"] for one in services["sts"]] == ["ReadOnlyAccess"]


def test_the_refusals_are_the_models_own(server: Server, root: Any, account: Account) -> None:
    asked = {"PolicySourceArn": arn(account, "user/nobody"), "ActionNames": ["s3:GetObject"]}
    with pytest.raises(root.exceptions.NoSuchEntityException):
        root.simulate_principal_policy(**asked)
    with pytest.raises(root.exceptions.InvalidInputException):
        root.simulate_custom_policy(PolicyInputList=["{"], ActionNames=["s3:GetObject"])
    status, code, _ = refused(
        root.simulate_custom_policy, PolicyInputList=["{"], ActionNames=["s3:GetObject"]
    )
    assert (status, code) == (400, "InvalidInput")
    mallory = server.client("iam", new_user(server, account, "mallory"))
    status, code, message = refused(mallory.simulate_principal_policy, **asked)
    assert (status, code) == (403, "AccessDenied")
    assert sentence(message).endswith(
        "is not authorized to perform: iam:SimulatePrincipalPolicy on resource: "
        f"{arn(account, 'user/nobody')} because no identity-based policy allows the "
        "iam:SimulatePrincipalPolicy action"
    )


def test_the_aws_cli_simulates(server: Server, account: Account) -> None:
    new_user(server, account, "alice", allow("s3:GetObject"))
    command = [CLI, "iam", "simulate-principal-policy", "--policy-source-arn", arn(account, "user/alice")]
    command += ["--action-names", "s3:GetObject", "s3:PutObject", "--resource-arns", A]
    command += [
        "--context-entries",
        "ContextKeyName=aws:SourceIp,ContextKeyValues=192.0.2.1,ContextKeyType=ip",
    ]
    command += ["--endpoint-url", server.url, "--region", REGION, "--output", "json"]
    environment = {**account.root.environment, "PATH": "/usr/bin:/bin", "AWS_EC2_METADATA_DISABLED": "true"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert results(json.loads(ended.stdout)) == {"s3:GetObject": "allowed", "s3:PutObject": "implicitDeny"}
