"""Users, groups, access keys, MFA devices and the account, as boto3 meets them on the wire."""

import json
import time
from base64 import b32decode
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from broker.sealing.totp import STEP_SECONDS, totp
from tests.e2e.conftest import REGION, Account, Keys, Server
from tests.e2e.scenes import allow, new_user, who_am_i

ALLOW_IAM_OF_SELF = {
    "Version": "2012-10-17",
    "Statement": {
        "Effect": "Allow",
        "Action": ["iam:GetUser", "iam:*AccessKey*", "iam:ListGroupsForUser"],
        "Resource": "arn:aws:iam::*:user/${aws:username}",
    },
}


def refused(call: Any, **arguments: Any) -> tuple[int, str, str]:
    """HTTP status, code and message of a refusal."""
    with pytest.raises(ClientError) as error:
        call(**arguments)
    answer = error.value.response
    assert answer["ResponseMetadata"]["RequestId"]
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"], answer["Error"]["Message"]


def pages(client: Any, operation: str, key: str, **arguments: Any) -> list[Any]:
    paginator = client.get_paginator(operation)
    return [item for page in paginator.paginate(**arguments) for item in page[key]]


def test_a_user_lives_through_creation_tags_renaming_and_deletion(account: Account, root: Any) -> None:
    created = root.create_user(
        UserName="Alice", Path="/staff/ops/", Tags=[{"Key": "Team", "Value": "naïve red+blue"}]
    )["User"]
    assert created["Arn"] == f"arn:aws:iam::{account.account_id}:user/staff/ops/Alice"
    assert abs((datetime.now(UTC) - created["CreateDate"]).total_seconds()) < 60
    assert root.get_user(UserName="alice")["User"] == created

    root.tag_user(UserName="Alice", Tags=[{"Key": "team", "Value": "blue"}, {"Key": "cost", "Value": ""}])
    assert root.list_user_tags(UserName="Alice")["Tags"] == [
        {"Key": "cost", "Value": ""},
        {"Key": "team", "Value": "blue"},
    ]
    root.untag_user(UserName="Alice", TagKeys=["TEAM"])

    root.update_user(UserName="Alice", NewUserName="Alicia", NewPath="/")
    renamed = root.get_user(UserName="Alicia")["User"]
    assert (renamed["UserId"], renamed["Tags"]) == (created["UserId"], [{"Key": "cost", "Value": ""}])
    assert renamed["Arn"] == f"arn:aws:iam::{account.account_id}:user/Alicia"
    root.delete_user(UserName="Alicia")
    assert refused(root.get_user, UserName="Alicia") == (
        404,
        "NoSuchEntity",
        "The user with name Alicia cannot be found.",
    )


def test_refusals_carry_awss_status_code_and_message(root: Any) -> None:
    root.create_user(UserName="bob")
    assert refused(root.create_user, UserName="BOB") == (
        409,
        "EntityAlreadyExists",
        "User with name BOB already exists.",
    )
    root.create_access_key(UserName="bob")
    assert refused(root.delete_user, UserName="bob") == (
        409,
        "DeleteConflict",
        "Cannot delete entity, must delete access keys first.",
    )
    root.create_access_key(UserName="bob")
    assert refused(root.create_access_key, UserName="bob") == (
        409,
        "LimitExceeded",
        "Cannot exceed quota for AccessKeysPerUser: 2",
    )
    twice = [{"Key": "a", "Value": "1"}, {"Key": "A", "Value": "2"}]
    assert refused(root.tag_user, UserName="bob", Tags=twice) == (
        400,
        "InvalidInput",
        "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
    )
    status, code, message = refused(root.create_user, UserName="no spaces")
    assert (status, code) == (400, "ValidationError")
    assert message.startswith("The specified value for userName is invalid. It must contain only")


def test_lists_are_paged_by_the_sdks_paginators(root: Any) -> None:
    names = [f"user{number:02}" for number in range(7)]
    for name in names:
        root.create_user(UserName=name, Path="/many/")
    root.create_user(UserName="other")
    users = pages(root, "list_users", "Users", PathPrefix="/many/", PaginationConfig={"PageSize": 3})
    assert [user["UserName"] for user in users] == names
    assert refused(root.list_users, Marker="forged") == (400, "ValidationError", "Invalid Marker.")


def test_groups_keep_their_members_through_renaming(root: Any) -> None:
    root.create_group(GroupName="Red", Path="/teams/")
    for name in ("amy", "bob", "carl"):
        root.create_user(UserName=name)
        root.add_user_to_group(GroupName="red", UserName=name)
    root.update_group(GroupName="Red", NewGroupName="Crimson")
    root.update_user(UserName="carl", NewUserName="zoe")
    members = pages(root, "get_group", "Users", GroupName="crimson", PaginationConfig={"PageSize": 2})
    assert [user["UserName"] for user in members] == ["amy", "bob", "zoe"]
    groups = pages(root, "list_groups_for_user", "Groups", UserName="zoe")
    assert [group["GroupName"] for group in groups] == ["Crimson"]
    assert refused(root.delete_group, GroupName="Crimson")[1] == "DeleteConflict"
    for name in ("amy", "bob", "zoe"):
        root.remove_user_from_group(GroupName="Crimson", UserName=name)
    root.delete_group(GroupName="Crimson")
    assert root.list_groups()["Groups"] == []


def test_a_group_gives_its_members_what_its_policies_allow(server: Server, root: Any) -> None:
    root.create_user(UserName="amy")
    keys = Keys.of(root.create_access_key(UserName="amy")["AccessKey"])
    amy = server.client("iam", keys)
    assert refused(amy.list_users)[1] == "AccessDenied"
    root.create_group(GroupName="readers")
    root.attach_group_policy(GroupName="readers", PolicyArn="arn:aws:iam::aws:policy/IAMReadOnlyAccess")
    root.add_user_to_group(GroupName="readers", UserName="amy")
    assert [user["UserName"] for user in amy.list_users()["Users"]] == ["amy"]
    assert refused(amy.create_user, UserName="eve")[1] == "AccessDenied"
    root.remove_user_from_group(GroupName="readers", UserName="amy")
    assert refused(amy.list_users)[1] == "AccessDenied"


def test_a_user_rotates_its_own_access_key(server: Server, root: Any) -> None:
    root.create_user(UserName="amy")
    root.create_user(UserName="bob")
    root.put_user_policy(UserName="amy", PolicyName="self", PolicyDocument=json.dumps(ALLOW_IAM_OF_SELF))
    old = Keys.of(root.create_access_key(UserName="amy")["AccessKey"])
    amy = server.client("iam", old)
    assert amy.get_user()["User"]["UserName"] == "amy"
    new = Keys.of(amy.create_access_key()["AccessKey"])
    amy_again = server.client("iam", new)
    amy_again.update_access_key(AccessKeyId=old.access_key_id, Status="Inactive")
    assert refused(amy.get_user)[1] == "InvalidClientTokenId"
    listed = {key["AccessKeyId"]: key["Status"] for key in amy_again.list_access_keys()["AccessKeyMetadata"]}
    assert listed == {old.access_key_id: "Inactive", new.access_key_id: "Active"}
    amy_again.delete_access_key(AccessKeyId=old.access_key_id)
    assert refused(amy.get_user)[1] == "InvalidClientTokenId"
    assert refused(amy_again.list_access_keys, UserName="bob")[1] == "AccessDenied"


def test_a_renamed_users_key_acts_under_the_new_name(server: Server, account: Account, root: Any) -> None:
    root.create_user(UserName="amy")
    keys = Keys.of(root.create_access_key(UserName="amy")["AccessKey"])
    root.update_user(UserName="amy", NewUserName="amelia")
    identity = server.client("sts", keys).get_caller_identity()
    assert identity["Arn"] == f"arn:aws:iam::{account.account_id}:user/amelia"


def test_a_renamed_users_sessions_go_on_until_the_user_is_deleted(
    server: Server, account: Account, root: Any
) -> None:
    keys = new_user(server, account, "maria", allow("sts:GetFederationToken"))
    sts = server.client("sts", keys)
    session = Keys.of(sts.get_session_token()["Credentials"])
    federated = Keys.of(sts.get_federation_token(Name="guest")["Credentials"])
    root.update_user(UserName="maria", NewUserName="marie", NewPath="/staff/")
    root.update_user(UserName="marie", NewUserName="mary")
    root.create_user(UserName="maria")
    answer = server.client("sts", session).get_caller_identity()
    assert answer["Arn"] == f"arn:aws:iam::{account.account_id}:user/staff/mary"
    assert server.client("sts", federated).get_caller_identity()["Arn"].endswith(":federated-user/guest")
    root.delete_user_policy(UserName="mary", PolicyName="scene")
    root.delete_access_key(UserName="mary", AccessKeyId=keys.access_key_id)
    root.delete_user(UserName="mary")
    root.create_user(UserName="mary")
    for gone in (session, federated):
        assert who_am_i(server, gone)[:2] == (403, "InvalidClientTokenId")


def test_iam_has_one_region_whatever_a_client_signs_for(server: Server, account: Account) -> None:
    """Or who may act in one region alone would sign for it: the clients of these tests sign for REGION."""
    regions = {"Condition": {"StringEquals": {"aws:RequestedRegion": REGION}}}
    keys = new_user(server, account, "amy", allow("iam:ListUsers", "sts:GetAccessKeyInfo", **regions))
    server.client("sts", keys).get_access_key_info(AccessKeyId=keys.access_key_id)
    assert refused(server.client("iam", keys).list_users)[1] == "AccessDenied"
    iam = server.client("iam", account.root)
    used = iam.get_access_key_last_used(AccessKeyId=keys.access_key_id)["AccessKeyLastUsed"]
    assert (used["ServiceName"], used["Region"]) == ("iam", "us-east-1")


def test_the_last_use_of_a_key_is_seen(server: Server, root: Any) -> None:
    root.create_user(UserName="amy")
    keys = Keys.of(root.create_access_key(UserName="amy")["AccessKey"])
    unused = root.get_access_key_last_used(AccessKeyId=keys.access_key_id)
    assert unused["UserName"] == "amy"
    assert unused["AccessKeyLastUsed"] == {"ServiceName": "N/A", "Region": "N/A"}
    server.client("sts", keys).get_caller_identity()
    used = root.get_access_key_last_used(AccessKeyId=keys.access_key_id)["AccessKeyLastUsed"]
    assert (used["ServiceName"], used["Region"]) == ("sts", "eu-central-1")
    assert abs((datetime.now(UTC) - used["LastUsedDate"]).total_seconds()) < 60


def test_root_sees_itself_and_its_own_keys(account: Account, root: Any) -> None:
    user = root.get_user()["User"]
    assert (user["UserId"], user["Arn"]) == (
        account.account_id,
        f"arn:aws:iam::{account.account_id}:root",
    )
    assert "UserName" not in user and "Path" not in user
    (key,) = root.list_access_keys()["AccessKeyMetadata"]
    assert key["AccessKeyId"] == account.root.access_key_id
    assert root.list_users()["Users"] == []


def test_a_virtual_device_is_enabled_used_and_taken_away(server: Server, account: Account, root: Any) -> None:
    root.create_user(UserName="amy")
    keys = Keys.of(root.create_access_key(UserName="amy")["AccessKey"])
    device = root.create_virtual_mfa_device(
        VirtualMFADeviceName="amy", Tags=[{"Key": "kind", "Value": "app"}]
    )
    device = device["VirtualMFADevice"]
    serial_number, seed = device["SerialNumber"], device["Base32StringSeed"]
    assert serial_number == f"arn:aws:iam::{account.account_id}:mfa/amy"
    assert device["QRCodePNG"].startswith(b"\x89PNG")

    now = int(time.time() // STEP_SECONDS)

    def code(steps: int) -> str:
        return totp(b32decode(seed), now + steps)

    def enable(first: str, second: str) -> Any:
        return {
            "UserName": "amy",
            "SerialNumber": serial_number,
            "AuthenticationCode1": first,
            "AuthenticationCode2": second,
        }

    wrong = enable(code(0), code(0))
    assert refused(root.enable_mfa_device, **wrong) == (
        403,
        "InvalidAuthenticationCode",
        "Authentication code for device is not valid.",
    )
    used = code(0)
    root.enable_mfa_device(**enable(code(-1), used))
    (listed,) = root.list_mfa_devices(UserName="amy")["MFADevices"]
    assert (listed["UserName"], listed["SerialNumber"]) == ("amy", serial_number)
    (virtual,) = root.list_virtual_mfa_devices(AssignmentStatus="Assigned")["VirtualMFADevices"]
    assert virtual["User"]["UserName"] == "amy"
    assert "Base32StringSeed" not in virtual
    assert root.list_mfa_device_tags(SerialNumber=serial_number)["Tags"] == [{"Key": "kind", "Value": "app"}]

    sts = server.client("sts", keys)
    replayed = refused(sts.get_session_token, SerialNumber=serial_number, TokenCode=used)
    assert replayed[:2] == (403, "AccessDenied")
    fresh = code(1)
    session = sts.get_session_token(SerialNumber=serial_number, TokenCode=fresh)["Credentials"]
    assert server.client("sts", Keys.of(session)).get_caller_identity()["Arn"].endswith(":user/amy")
    assert refused(sts.get_session_token, SerialNumber=serial_number, TokenCode=fresh)[1] == "AccessDenied"

    assert refused(root.delete_virtual_mfa_device, SerialNumber=serial_number)[:2] == (409, "DeleteConflict")
    root.deactivate_mfa_device(UserName="amy", SerialNumber=serial_number)
    root.delete_virtual_mfa_device(SerialNumber=serial_number)
    assert root.list_virtual_mfa_devices()["VirtualMFADevices"] == []


def test_an_alias_belongs_to_one_account(server: Server, account: Account, root: Any) -> None:
    alias = f"team-{account.account_id}"
    root.create_account_alias(AccountAlias=alias)
    assert root.list_account_aliases()["AccountAliases"] == [alias]
    other = server.client("iam", server.new_account().root)
    assert refused(other.create_account_alias, AccountAlias=alias) == (
        409,
        "EntityAlreadyExists",
        f"The account alias {alias} already exists.",
    )
    assert other.list_account_aliases()["AccountAliases"] == []
    root.delete_account_alias(AccountAlias=alias)
    other.create_account_alias(AccountAlias=alias)
    assert other.get_user()["User"]["UserName"] == alias


def test_the_summary_counts_what_an_account_has(root: Any) -> None:
    before = root.get_account_summary()["SummaryMap"]
    assert (before["Users"], before["AccountAccessKeysPresent"], before["UsersQuota"]) == (0, 1, 5000)
    root.create_user(UserName="amy")
    root.create_group(GroupName="red")
    after = root.get_account_summary()["SummaryMap"]
    assert (after["Users"], after["Groups"]) == (1, 1)


def test_accounts_do_not_see_each_other(server: Server, root: Any) -> None:
    root.create_user(UserName="amy")
    key_id = root.create_access_key(UserName="amy")["AccessKey"]["AccessKeyId"]
    other = server.client("iam", server.new_account().root)
    assert other.list_users()["Users"] == []
    assert refused(other.get_user, UserName="amy")[1] == "NoSuchEntity"
    assert refused(other.get_access_key_last_used, AccessKeyId=key_id)[1] == "AccessDenied"


def test_authorization_details_are_read_by_the_sdk(root: Any) -> None:
    document = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}],
    }
    root.create_user(UserName="amy")
    root.put_user_policy(UserName="amy", PolicyName="inline", PolicyDocument=json.dumps(document))
    root.create_group(GroupName="red")
    details = pages(
        root, "get_account_authorization_details", "UserDetailList", PaginationConfig={"PageSize": 1}
    )
    assert [user["UserName"] for user in details] == ["amy"]
    assert details[0]["UserPolicyList"] == [{"PolicyName": "inline", "PolicyDocument": document}]
