"""Console passwords as boto3 and the operator meet them: on both engines, and never in the journal."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Account, Keys, Server
from tests.e2e.scenes import allow
from tests.e2e.test_commands import Commands, exported
from tests.e2e.test_iam_users import refused

OLD, NEW = "Old-Password-1", "New-Password-2"


@pytest.fixture
def beside(server: Server, tmp_path: Path) -> Commands:
    return Commands(server.settings, tmp_path)


def a_user(server: Server, root: Any, name: str) -> Any:
    """A user with a password, and a client with the user's own key."""
    root.create_user(UserName=name)
    root.create_login_profile(UserName=name, Password=OLD)
    return server.client("iam", Keys.of(root.create_access_key(UserName=name)["AccessKey"]))


def permit(root: Any, name: str) -> None:
    document = json.dumps({"Version": "2012-10-17", "Statement": allow("iam:ChangePassword")})
    root.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=document)


def test_a_password_lives_through_creation_change_renaming_and_deletion(root: Any) -> None:
    root.create_user(UserName="pw-life")
    made = root.create_login_profile(UserName="pw-life", Password=OLD, PasswordResetRequired=True)[
        "LoginProfile"
    ]
    assert (made["UserName"], made["PasswordResetRequired"]) == ("pw-life", True)
    assert root.get_login_profile(UserName="pw-life")["LoginProfile"] == made
    root.update_login_profile(UserName="pw-life", Password=NEW, PasswordResetRequired=False)
    root.update_user(UserName="pw-life", NewUserName="pw-renamed")
    shown = root.get_login_profile(UserName="pw-renamed")["LoginProfile"]
    assert (shown["UserName"], shown["PasswordResetRequired"]) == ("pw-renamed", False)
    assert "PasswordLastUsed" not in root.get_user(UserName="pw-renamed")["User"]
    assert refused(root.delete_user, UserName="pw-renamed") == (
        409,
        "DeleteConflict",
        "Cannot delete entity, must delete login profile first.",
    )
    root.delete_login_profile(UserName="pw-renamed")
    assert refused(root.get_login_profile, UserName="pw-renamed") == (
        404,
        "NoSuchEntity",
        "Login Profile for User pw-renamed cannot be found.",
    )
    root.delete_user(UserName="pw-renamed")


def test_a_user_changes_their_own_password_with_their_own_key(server: Server, root: Any) -> None:
    own = a_user(server, root, "pw-own")
    status, code, _ = refused(own.change_password, OldPassword=OLD, NewPassword=NEW)
    assert (status, code) == (403, "AccessDenied")
    permit(root, "pw-own")
    assert refused(own.change_password, OldPassword="Wrong-1-Wrong", NewPassword=NEW) == (
        403,
        "AccessDenied",
        "The old password was incorrect.",
    )
    assert refused(own.change_password, OldPassword=OLD, NewPassword="short") == (
        400,
        "PasswordPolicyViolation",
        "Password should have a minimum length of 8",
    )
    own.change_password(OldPassword=OLD, NewPassword=NEW)
    assert refused(own.change_password, OldPassword=OLD, NewPassword=NEW)[1] == "AccessDenied"
    own.change_password(OldPassword=NEW, NewPassword=OLD)
    assert refused(root.change_password, OldPassword=OLD, NewPassword=NEW) == (
        400,
        "InvalidUserType",
        "Only IAM Users can change their own password",
    )


def test_the_accounts_policy_is_kept_and_lets_users_change_their_passwords(
    server: Server, account: Account, root: Any
) -> None:
    assert refused(root.get_account_password_policy) == (
        404,
        "NoSuchEntity",
        f"The Password Policy with domain name {account.account_id} cannot be found.",
    )
    own = a_user(server, root, "pw-policy")
    root.update_account_password_policy(
        MinimumPasswordLength=10, PasswordReusePrevention=3, AllowUsersToChangePassword=True
    )
    assert root.get_account_password_policy()["PasswordPolicy"] == {
        "MinimumPasswordLength": 10,
        "RequireSymbols": False,
        "RequireNumbers": False,
        "RequireUppercaseCharacters": False,
        "RequireLowercaseCharacters": False,
        "AllowUsersToChangePassword": True,
        "ExpirePasswords": False,
        "PasswordReusePrevention": 3,
    }
    assert own.get_account_password_policy()["PasswordPolicy"]["MinimumPasswordLength"] == 10
    own.change_password(OldPassword=OLD, NewPassword="only lower case")
    assert refused(own.change_password, OldPassword="only lower case", NewPassword=OLD) == (
        400,
        "PasswordPolicyViolation",
        "Policy constraint violation with password reuse prevention during password change.",
    )
    assert refused(root.update_account_password_policy, MinimumPasswordLength=129)[1] == "ValidationError"
    root.delete_account_password_policy()
    assert refused(root.delete_account_password_policy)[:2] == (404, "NoSuchEntity")


def test_guesses_of_the_old_password_are_slowed_down(server: Server, root: Any) -> None:
    own = a_user(server, root, "pw-guess")
    permit(root, "pw-guess")
    codes = [
        refused(own.change_password, OldPassword=f"Guess-{number}-Guess", NewPassword=NEW)[1]
        for number in range(7)
    ]
    assert codes[:5] == ["AccessDenied"] * 5
    assert "Throttling" in codes[5:]


def test_no_password_is_in_the_journal_or_the_log(server: Server, root: Any) -> None:
    own = a_user(server, root, "pw-secret")
    permit(root, "pw-secret")
    own.change_password(OldPassword=OLD, NewPassword="Unheard-Of-77")
    root.update_login_profile(UserName="pw-secret", Password="Unheard-Of-78")
    refused(root.update_login_profile, UserName="pw-secret", Password="unheard-of")
    lines = Path(server.settings["BROKER_AUDIT_PATH"]).read_text().splitlines()
    records = [json.loads(line) for line in lines if "pw-secret" in line]
    shown = [one["requestParameters"] for one in records if one["eventName"] == "UpdateLoginProfile"]
    assert shown[0] == {"userName": "pw-secret", "password": "HIDDEN_DUE_TO_SECURITY_REASONS"}
    for word in ("nheard-", "nheard-of", OLD):
        assert not [line for line in lines if word in line]
        assert word not in server.log


def test_the_root_password_is_set_generated_and_removed(server: Server, beside: Commands) -> None:
    account = f"8{time.time_ns() % 10**11:011d}"
    assert "there is no account" in beside.refused("root-password", account, "--generate")
    root = exported(beside("root-key", account, "--create-account"))
    iam = server.client("iam", root)

    def is_present() -> int:
        return int(iam.get_account_summary()["SummaryMap"]["AccountPasswordPresent"])

    assert is_present() == 0
    assert "has no password" in beside.refused("root-password", account, "--remove")
    assert "no password was given" in beside.refused("root-password", account)
    ended = beside.run("root-password", account, standard_input="short\n")
    assert (ended.returncode, "minimum length of 8" in ended.stderr) == (1, True)
    assert is_present() == 0
    said = beside("root-password", account, standard_input="My-Own-Words-1\n")
    assert (is_present(), "My-Own-Words-1" in said) == (1, False)
    generated = beside("root-password", account, "--generate").strip()
    beside("root-password", account, "--remove")
    assert is_present() == 0
    journal = Path(server.settings["BROKER_AUDIT_PATH"]).read_text()
    assert "SetRootPassword" in journal
    assert "DeleteRootPassword" in journal
    assert generated not in journal
    assert "My-Own-Words-1" not in journal
