"""A role template that `broker apply` declares, and the roles that boto3 makes of it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.e2e.conftest import ROOT, Account, Server
from tests.e2e.scenes import allow, document, new_user, refused

AUDIT = "arn:aws:iam::aws:policy/SecurityAudit"
TRUST = document(
    {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
)


def apply(server: Server, file: Path, account: Account, templates: dict[str, Any]) -> None:
    file.write_text(json.dumps({"accounts": {account.account_id: {"role_templates": templates}}}))
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BROKER_"))}
    command = [sys.executable, "-m", "broker", "apply", str(file)]
    done = subprocess.run(
        command, cwd=ROOT, env={**plain, **server.settings}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_a_role_is_acquired_of_a_template_within_the_permissions_of_who_asks(
    server: Server, account: Account, tmp_path: Path
) -> None:
    app = {
        "role_name": "app-@{app}",
        "role_path": "/apps/",
        "trust_policy": TRUST,
        "attached_policies": [AUDIT],
        "inline_policies": {"own": document(allow("s3:GetObject"))},
        "tags": {"App": "@{app}"},
        "parameters": {"app": {"type": "String"}},
    }
    apply(server, tmp_path / "declared.yaml", account, {"app": app, "off": {**app, "enabled": False}})
    arn = f"arn:aws:iam::{account.account_id}:role-template/app"
    root = server.client("iam", account.root)
    shown = root.get_role_template_version(TemplateArn=arn)["RoleTemplateVersion"]
    assert (shown["TemplateName"], shown["MinorVersion"], shown["RoleNamePattern"]) == (
        "app",
        1,
        "app-@{app}",
    )
    assert (shown["ManagedPolicyArns"], shown["Enabled"]) == ([AUDIT], True)

    values = {"ReplacementValues": {"app": {"Values": ["web"]}}}
    role = root.acquire_role(TemplateArn=arn, **values)["Role"]
    assert role["Arn"] == f"arn:aws:iam::{account.account_id}:role/apps/app-web"
    read = root.get_role(RoleName="app-web")["Role"]
    assert (read["Tags"], read["AssumeRolePolicyDocument"]) == (
        [{"Key": "App", "Value": "web"}],
        json.loads(TRUST),
    )
    attached = root.list_attached_role_policies(RoleName="app-web")["AttachedPolicies"]
    assert [policy["PolicyArn"] for policy in attached] == [AUDIT]
    assert root.list_role_policies(RoleName="app-web")["PolicyNames"] == ["own"]

    for changed, status, code in (
        ({}, 409, "EntityAlreadyExists"),
        ({"TemplateArn": f"{arn}-gone"}, 404, "NoSuchEntity"),
        ({"TemplateMinorVersion": 2}, 404, "NoSuchEntity"),
        ({"ReplacementValues": {}}, 400, "InvalidInput"),
        ({"ReplacementValues": {"app": {"Values": ["a b"]}}}, 400, "ValidationError"),
        ({"TemplateArn": arn.replace("/app", "/off")}, 400, "RoleTemplateDisabled"),
    ):
        assert refused(root.acquire_role, **{"TemplateArn": arn, **values, **changed})[:2] == (status, code)
    gone = {"TemplateArn": f"{arn}-gone"}
    assert refused(root.get_role_template_version, **gone)[:2] == (404, "NoSuchEntity")
    # Who may acquire and create, but neither attach nor put, gets no role at all.
    half = server.client("iam", new_user(server, account, "half", allow("iam:AcquireRole", "iam:CreateRole")))
    other = {"TemplateArn": arn, "ReplacementValues": {"app": {"Values": ["half"]}}}
    assert refused(half.acquire_role, **other)[:2] == (403, "AccessDenied")
    assert refused(half.get_role_template_version, TemplateArn=arn)[:2] == (403, "AccessDenied")
    assert refused(root.get_role, RoleName="app-half")[:2] == (404, "NoSuchEntity")
