"""AssumeRoot: the management account does one task as the root user of a member account."""

from datetime import UTC, datetime

from broker.storage.records import Organization, OrganizationalUnit
from tests.e2e.conftest import Account, Keys, Server
from tests.e2e.scenes import (
    allow,
    new_user,
    organization,
    refused,
    sentence,
)

TASK = "arn:aws:iam::aws:policy/root-task/"


def members(
    management: Account, *accounts: Account, features: tuple[str, ...] = ("ROOT_SESSIONS",)
) -> Organization:
    return Organization(
        organization_id="o-scene",
        management_account_id=management.account_id,
        units={"r-root": OrganizationalUnit(parent=None)},
        accounts={
            member.account_id: OrganizationalUnit(parent="r-root") for member in (management, *accounts)
        },
        features=features,
    )


def test_the_management_account_does_one_task_as_root_of_a_member(server: Server, account: Account) -> None:
    management, member = account, server.new_account()
    new_user(server, member, "somebody")
    admin = server.client("sts", new_user(server, management, "admin", allow("sts:AssumeRoot")))
    request = {
        "TargetPrincipal": member.account_id,
        "TaskPolicyArn": {"arn": f"{TASK}IAMAuditRootUserCredentials"},
    }
    with organization(server, members(management, member)):
        answer = admin.assume_root(**request)
        lifetime = (answer["Credentials"]["Expiration"] - datetime.now(UTC)).total_seconds()
        assert 880 < lifetime <= 900
        assert answer["SessionTokenSize"] == len(answer["Credentials"]["SessionToken"])
        session = Keys.of(answer["Credentials"])
        identity = server.client("sts", session).get_caller_identity()
        assert identity["Arn"] == f"arn:aws:iam::{member.account_id}:root"
        iam = server.client("iam", session)
        assert iam.get_account_summary()["SummaryMap"]["Users"] == 1
        _, code, message = refused(iam.list_users)
        assert (
            code,
            sentence(message).endswith("because no session policy allows the iam:ListUsers action"),
        ) == (
            "AccessDenied",
            True,
        )
        sts = server.client("sts", session)
        assert refused(sts.get_session_token)[:2] == (403, "AccessDenied")
        assert refused(sts.get_access_key_info, AccessKeyId=session.access_key_id)[1] == "AccessDenied"


def test_assume_root_is_refused_to_everybody_else(server: Server, account: Account) -> None:
    management, member, outsider = account, server.new_account(), server.new_account()
    new_user(server, management, "admin", allow("sts:AssumeRoot"))
    admin = server.client("sts", new_user(server, management, "second", allow("sts:AssumeRoot")))
    mortal = server.client("sts", new_user(server, management, "mortal"))
    inside = server.client("sts", new_user(server, member, "inside", allow("*")))
    task = {"TaskPolicyArn": {"arn": f"{TASK}S3UnlockBucketPolicy"}}
    to_member = {"TargetPrincipal": f"arn:aws:iam::{member.account_id}:root", **task}
    with organization(server, members(management, member, features=())):
        assert refused(admin.assume_root, **to_member)[1] == "AccessDenied"
    with organization(server, members(management, member)):
        assert admin.assume_root(**to_member)["Credentials"]
        for sts, asked in (
            (mortal, to_member),
            (inside, {"TargetPrincipal": management.account_id, **task}),
            (inside, to_member),
            (server.client("sts", management.root), to_member),
            (admin, {"TargetPrincipal": management.account_id, **task}),
            (admin, {"TargetPrincipal": outsider.account_id, **task}),
        ):
            assert refused(sts.assume_root, **asked)[:2] == (403, "AccessDenied")
        wrong = {"TargetPrincipal": member.account_id}
        administrator = {"arn": "arn:aws:iam::aws:policy/AdministratorAccess"}
        assert refused(admin.assume_root, **wrong, TaskPolicyArn=administrator)[1] == "ValidationError"
        assert refused(admin.assume_root, **wrong, **task, DurationSeconds=901)[1] == "ValidationError"
    assert refused(admin.assume_root, **to_member)[1] == "AccessDenied"
