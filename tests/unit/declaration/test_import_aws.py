"""The output of get-account-authorization-details as a declaration: the broker's own answer, and AWS's form."""

import json
from typing import Any

import pytest

from broker.declaration.import_aws import import_aws
from broker.declaration.imported import NoExport
from broker.yaml_text import as_yaml
from tests.unit.commands.conftest import Declare

A = "111111111111"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}
READ = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}],
}


def details(**more: Any) -> dict[str, Any]:
    """An account as AWS shows it: a user in a group, a role with a profile, a policy of two versions."""
    return {
        "UserDetailList": [
            {
                "Path": "/people/",
                "UserName": "alice",
                "UserId": "AIDA1",
                "Arn": f"arn:aws:iam::{A}:user/people/alice",
                "CreateDate": "2024-01-01T00:00:00+00:00",
                "UserPolicyList": [{"PolicyName": "own", "PolicyDocument": READ}],
                "GroupList": ["readers"],
                "AttachedManagedPolicies": [],
                "PermissionsBoundary": {
                    "PermissionsBoundaryType": "Policy",
                    "PermissionsBoundaryArn": "arn:aws:iam::aws:policy/ReadOnlyAccess",
                },
                "Tags": [{"Key": "team", "Value": "data"}],
            }
        ],
        "GroupDetailList": [
            {
                "Path": "/",
                "GroupName": "readers",
                "GroupId": "AGPA1",
                "Arn": f"arn:aws:iam::{A}:group/readers",
                "GroupPolicyList": [],
                "AttachedManagedPolicies": [
                    {"PolicyName": "read", "PolicyArn": f"arn:aws:iam::{A}:policy/team/read"},
                    {"PolicyName": "Gone", "PolicyArn": "arn:aws:iam::aws:policy/GoneAccess"},
                ],
            }
        ],
        "RoleDetailList": [
            {
                "Path": "/",
                "RoleName": "web",
                "RoleId": "AROA1",
                "Arn": f"arn:aws:iam::{A}:role/web",
                "AssumeRolePolicyDocument": TRUST,
                "InstanceProfileList": [
                    {
                        "Path": "/",
                        "InstanceProfileName": "web",
                        "InstanceProfileId": "AIPA1",
                        "Arn": f"arn:aws:iam::{A}:instance-profile/web",
                        "Roles": [],
                    }
                ],
                "RolePolicyList": [],
                "AttachedManagedPolicies": [],
                "Tags": [],
            },
            {
                "Path": "/aws-service-role/support.amazonaws.com/",
                "RoleName": "AWSServiceRoleForSupport",
                "RoleId": "AROA2",
                "Arn": f"arn:aws:iam::{A}:role/aws-service-role/support.amazonaws.com/AWSServiceRoleForSupport",
                "AssumeRolePolicyDocument": TRUST,
                "InstanceProfileList": [],
                "RolePolicyList": [],
                "AttachedManagedPolicies": [],
                "Tags": [],
            },
        ],
        "Policies": [
            {
                "PolicyName": "read",
                "PolicyId": "ANPA1",
                "Arn": f"arn:aws:iam::{A}:policy/team/read",
                "Path": "/team/",
                "DefaultVersionId": "v2",
                "PolicyVersionList": [
                    {"Document": READ, "VersionId": "v2", "IsDefaultVersion": True},
                    {"Document": TRUST, "VersionId": "v1", "IsDefaultVersion": False},
                ],
            }
        ],
        **more,
    }


async def test_what_is_imported_is_applied_and_what_is_not_is_said(declare: Declare) -> None:
    imported = import_aws(json.dumps(details()))
    changes = await declare(as_yaml(imported.values))
    assert {f"+ {what}" for what in ("user alice", "group readers", "role web", "policy read")} <= set(
        changes
    )
    assert "+ instance profile web: role web" in changes
    assert imported.no_counterpart == (
        "role AWSServiceRoleForSupport: a service's own; create it again where it is needed",
        "policy read: 1 older versions",
        f"arn:aws:iam::{A}:group/readers: arn:aws:iam::aws:policy/GoneAccess is no policy of AWS that the broker knows",
    )


async def test_the_account_may_be_another_here_and_its_own_arns_follow(declare: Declare) -> None:
    own = {**TRUST, "Statement": [{**TRUST["Statement"][0], "Principal": {"AWS": f"arn:aws:iam::{A}:root"}}]}
    role = {**details()["RoleDetailList"][0], "AssumeRolePolicyDocument": own}
    imported = import_aws(json.dumps(details(RoleDetailList=[role])), "222222222222")
    text = as_yaml(imported.values)
    assert A not in text
    assert "+ role web" in await declare(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[]", "no JSON object"),
        ("{", "no JSON"),
        ("{}", "no list UserDetailList"),
        (json.dumps(details(IsTruncated=True)), "the first page only"),
        (
            json.dumps(
                {kind: [] for kind in ("UserDetailList", "GroupDetailList", "RoleDetailList", "Policies")}
            ),
            "empty",
        ),
    ],
)
def test_what_is_no_export_is_refused(text: str, why: str) -> None:
    with pytest.raises(NoExport, match=why):
        import_aws(text)


def test_an_entity_whose_boundary_is_unknown_is_not_imported_without_it() -> None:
    boundary = {"PermissionsBoundaryArn": "arn:aws:iam::aws:policy/GoneAccess"}
    user = {**details()["UserDetailList"][0], "PermissionsBoundary": boundary}
    with pytest.raises(NoExport, match="GoneAccess"):
        import_aws(json.dumps(details(UserDetailList=[user])))
