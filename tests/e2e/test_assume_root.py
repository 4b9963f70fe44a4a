"""AssumeRoot: the management account does one task as the root user of a member account."""

from datetime import UTC, datetime

from broker.storage.organization_records import Organization, OrganizationalUnit
from tests.e2e.conftest import Account, Keys, Server
from tests.e2e.scenes import (
    Phone,
    allow,
    new_role,
    new_user,
    organization,
    records_of,
    refused,
    sentence,
    trust,
)

TASK = "arn:aws:iam::aws:policy/root-task/"


def members(
    management: Account,
    *accounts: Account,
    features: tuple[str, ...] = ("ROOT_CREDENTIALS_MANAGEMENT", "ROOT_SESSIONS"),
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
        # As in CloudTrail's userIdentity of such a session.
        request_id = iam.get_user()["ResponseMetadata"]["RequestId"]
        (record,) = records_of(server, request_id)
        assert (record["userIdentity"]["type"], record["userIdentity"]["sessionContext"]["assumedRoot"]) == (
            "Root",
            "true",
        )
        assert iam.get_account_summary()["SummaryMap"]["Users"] == 1
        _, code, message = refused(iam.list_users)
        assert (
            code,
            sentence(message).endswith(
                f"with an explicit deny in a session policy: {TASK}IAMAuditRootUserCredentials"
            ),
        ) == (
            "AccessDenied",
            True,
        )
        sts = server.client("sts", session)
        assert refused(sts.get_session_token)[:2] == (403, "AccessDenied")
        assert refused(sts.get_access_key_info, AccessKeyId=session.access_key_id)[1] == "AccessDenied"


def root_task(server: Server, admin: Keys, member: Account, task: str) -> Keys:
    """A session of the task, as root of the member."""
    request = {"TargetPrincipal": member.account_id, "TaskPolicyArn": {"arn": TASK + task}}
    return Keys.of(server.client("sts", admin).assume_root(**request)["Credentials"])


def test_a_root_task_touches_root_and_no_user(server: Server, account: Account) -> None:
    management, member = account, server.new_account()
    admin = new_user(server, management, "admin", allow("sts:AssumeRoot"))
    dora = new_user(server, member, "dora", allow("*"))
    phone = Phone(server.client("iam", member.root), "dora")
    of_dora = {"UserName": "dora"}
    her_key = {**of_dora, "AccessKeyId": dora.access_key_id}
    with organization(server, members(management, member)):
        deletion = server.client("iam", root_task(server, admin, member, "IAMDeleteRootUserCredentials"))
        audit = server.client("iam", root_task(server, admin, member, "IAMAuditRootUserCredentials"))
        for call, asked in (
            (deletion.update_access_key, {**her_key, "Status": "Inactive"}),
            (deletion.delete_access_key, her_key),
            (deletion.deactivate_mfa_device, {**of_dora, "SerialNumber": phone.serial_number}),
            (deletion.delete_virtual_mfa_device, {"SerialNumber": phone.serial_number}),
            (deletion.get_account_summary, {}),
            (deletion.update_access_key, {"AccessKeyId": member.root.access_key_id, "Status": "Inactive"}),
            (deletion.create_access_key, {}),
            (audit.list_access_keys, of_dora),
            (audit.get_user, of_dora),
            (audit.list_mfa_devices, of_dora),
            (audit.get_access_key_last_used, {"AccessKeyId": dora.access_key_id}),
            (audit.delete_access_key, {"AccessKeyId": member.root.access_key_id}),
        ):
            status, code, message = refused(call, **asked)
            assert (status, code) == (403, "AccessDenied")
            denies, _, policy = sentence(message).rpartition(": ")
            assert denies.endswith("with an explicit deny in a session policy")
            assert policy in (f"{TASK}IAMDeleteRootUserCredentials", f"{TASK}IAMAuditRootUserCredentials")
        without_her_name = {"AccessKeyId": dora.access_key_id}
        assert refused(deletion.delete_access_key, **without_her_name)[1] == "NoSuchEntity"
        devices = server.client("iam", dora).list_mfa_devices()["MFADevices"]
        assert [device["SerialNumber"] for device in devices] == [phone.serial_number]
        assert audit.get_user()["User"]["Arn"] == f"arn:aws:iam::{member.account_id}:root"
        (root_key,) = audit.list_access_keys()["AccessKeyMetadata"]
        assert audit.get_access_key_last_used(AccessKeyId=root_key["AccessKeyId"])["AccessKeyLastUsed"]
        deletion.delete_access_key(AccessKeyId=root_key["AccessKeyId"])
        assert audit.get_account_summary()["SummaryMap"]["AccountAccessKeysPresent"] == 0


def test_a_task_on_buckets_or_queues_does_nothing_here_but_ask_who_it_is(
    server: Server, account: Account
) -> None:
    management, member = account, server.new_account()
    admin = new_user(server, management, "admin", allow("sts:AssumeRoot"))
    role = new_role(server, member, "open", trust("*"))
    with organization(server, members(management, member)):
        for task in ("S3UnlockBucketPolicy", "SQSUnlockQueuePolicy", "IAMCreateRootUserPassword"):
            keys = root_task(server, admin, member, task)
            iam, sts = server.client("iam", keys), server.client("sts", keys)
            assert sts.get_caller_identity()["Account"] == member.account_id
            for call, asked in (
                (iam.get_user, {}),
                (iam.list_access_keys, {}),
                (iam.get_account_summary, {}),
                (iam.list_users, {}),
                (sts.get_session_token, {}),
                (sts.get_federation_token, {"Name": "guest"}),
                (sts.get_access_key_info, {"AccessKeyId": keys.access_key_id}),
                (sts.decode_authorization_message, {"EncodedMessage": "x"}),
                (sts.assume_role, {"RoleArn": role, "RoleSessionName": "session"}),
                (
                    sts.assume_root,
                    {"TargetPrincipal": member.account_id, "TaskPolicyArn": {"arn": TASK + task}},
                ),
            ):
                assert refused(call, **asked)[:2] == (403, "AccessDenied")


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
        assert refused(admin.assume_root, **wrong, **task, DurationSeconds=901) == (
            400,
            "ValidationError",
            "1 validation error detected: Value '901' at 'durationSeconds' failed to satisfy constraint: "
            "Member must have value less than or equal to 900",
        )
        assert refused(admin.assume_root, **wrong, TaskPolicyArn={}) == (
            400,
            "ValidationError",
            "1 validation error detected: Value null at 'taskPolicyArn' failed to satisfy constraint: "
            "Member must not be null",
        )
    assert refused(admin.assume_root, **to_member)[1] == "AccessDenied"
