"""`broker import aws` with what an unmodified AWS CLI shows of an account of a running broker."""

import subprocess
from pathlib import Path

from tests.e2e.conftest import CLI_1, REGION, Server
from tests.e2e.scenes import allow, document, new_role, new_user, trust
from tests.e2e.test_commands import Commands

ELSEWHERE = "222222222222"


def test_what_the_aws_cli_shows_of_an_account_is_imported_into_another_broker(
    own: Server, tmp_path: Path
) -> None:
    account = own.new_account()
    iam = own.client("iam", account.root)
    iam.create_policy(PolicyName="read", PolicyDocument=document(allow("s3:GetObject")), Path="/team/")
    policy = f"arn:aws:iam::{account.account_id}:policy/team/read"
    iam.create_policy_version(
        PolicyArn=policy, PolicyDocument=document(allow("s3:ListBucket")), SetAsDefault=True
    )
    new_user(own, account, "alice", allow("sts:AssumeRole"))
    iam.create_group(GroupName="readers")
    iam.attach_group_policy(GroupName="readers", PolicyArn=policy)
    iam.add_user_to_group(GroupName="readers", UserName="alice")
    iam.put_user_permissions_boundary(UserName="alice", PermissionsBoundary=policy)
    iam.tag_user(UserName="alice", Tags=[{"Key": "team", "Value": "data"}])
    new_role(own, account, "reader", trust(f"arn:aws:iam::{account.account_id}:user/alice"), allow("s3:*"))
    iam.create_instance_profile(InstanceProfileName="reader")
    iam.add_role_to_instance_profile(InstanceProfileName="reader", RoleName="reader")
    iam.create_service_linked_role(AWSServiceName="autoscaling.amazonaws.com")

    shown = subprocess.run(
        [CLI_1, "iam", "get-account-authorization-details", "--output", "json"],
        env={**account.root.environment, "AWS_ENDPOINT_URL": own.url, "AWS_DEFAULT_REGION": REGION},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert shown.returncode == 0, shown.stderr
    other = Commands(
        {
            "BROKER_STORE_URL": f"sqlite:{tmp_path}/other.db",
            "BROKER_KEYS_MASTER_KEY_FILE": f"{tmp_path}/other.key",
            "BROKER_AUDIT_PATH": f"{tmp_path}/other.jsonl",
        },
        tmp_path,
    )
    imported = other.run("import", "aws", other.write("details.json", shown.stdout), "--account", ELSEWHERE)
    assert imported.returncode == 0, imported.stderr
    assert "AWSServiceRoleForAutoScaling" in imported.stderr
    other("apply", other.write("imported.yaml", imported.stdout))
    assert other("apply", "imported.yaml") == "no changes\n"
    exported = other("export", "--account", ELSEWHERE)
    for part in ("path: /team/", "s3:ListBucket", f"arn:aws:iam::{ELSEWHERE}:user/alice", "team: data"):
        assert part in exported
