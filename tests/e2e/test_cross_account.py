"""A user of account A works in account B if, and only if, A's policies and B's trust both allow it.

With what everybody has: boto3 and both versions of the AWS CLI, an `~/.aws/config` profile and endpoint settings.
"""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import msgspec
import pytest
from botocore.exceptions import ClientError

from broker.storage.store import ROLES, Transaction
from tests.e2e.conftest import CLI_1, REGION, Account, Keys, Server
from tests.e2e.scenes import (
    allow,
    assume,
    deny,
    document,
    in_broker,
    new_role,
    new_user,
    refused,
    sentence,
    trust,
)

EXTERNAL_ID = "contract:42/b"


@dataclass(frozen=True)
class Scene:
    """Alice of account A, the role `deploy/releaser` of account B, and a config file that joins them."""

    server: Server
    account: Account
    other: Account
    alice: Keys
    role_arn: str
    config: Path

    @property
    def environment(self) -> dict[str, str]:
        """Nothing but the config file and the endpoints."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.config.parent),
            "AWS_CONFIG_FILE": str(self.config),
            "AWS_SHARED_CREDENTIALS_FILE": str(self.config.with_name("none")),
            "AWS_ENDPOINT_URL_STS": self.server.url,
            "AWS_ENDPOINT_URL_IAM": self.server.url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "1",
            "AWS_PAGER": "",
        }

    def trust_policy(self, *statements: dict[str, Any]) -> None:
        self.server.client("iam", self.other.root).update_assume_role_policy(
            RoleName="releaser", PolicyDocument=document(*statements)
        )

    def policy(self, *statements: dict[str, Any]) -> None:
        """Alice's one policy; without statements she has none."""
        root = self.server.client("iam", self.account.root)
        if statements:
            root.put_user_policy(UserName="alice", PolicyName="scene", PolicyDocument=document(*statements))
        else:
            root.delete_user_policy(UserName="alice", PolicyName="scene")


def profiles(alice: Keys, role_arn: str) -> str:
    return f"""
[profile alice]
region = {REGION}
aws_access_key_id = {alice.access_key_id}
aws_secret_access_key = {alice.secret_access_key}

[profile releaser]
region = {REGION}
source_profile = alice
role_arn = {role_arn}
role_session_name = release-7
external_id = {EXTERNAL_ID}

[profile wrong]
region = {REGION}
source_profile = alice
role_arn = {role_arn}
external_id = contract:43

[profile missing]
region = {REGION}
source_profile = alice
role_arn = {role_arn}
"""


@pytest.fixture
def scene(server: Server, account: Account, tmp_path: Path) -> Scene:
    other = server.new_account()
    alice = new_user(server, account, "alice", allow("sts:AssumeRole"))
    trusts = trust(account.account_id, Condition={"StringEquals": {"sts:ExternalId": EXTERNAL_ID}})
    role_arn = new_role(
        server, other, "releaser", trusts, allow("iam:ListRoles"), Path="/deploy/", MaxSessionDuration=7200
    )
    config = tmp_path / "config"
    config.write_text(profiles(alice, role_arn))
    return Scene(server, account, other, alice, role_arn, config)


def run(cli: Path, scene: Scene, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(cli), *arguments, "--output", "json"],
        env=scene.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_cli_knows_its_own_user(cli: Path, scene: Scene) -> None:
    done = run(cli, scene, "sts", "get-caller-identity", "--profile", "alice")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["Arn"] == f"arn:aws:iam::{scene.account.account_id}:user/alice"


def test_a_profile_with_a_role_works_in_the_other_account(cli: Path, scene: Scene) -> None:
    done = run(cli, scene, "sts", "get-caller-identity", "--profile", "releaser")
    assert done.returncode == 0, done.stderr
    identity = json.loads(done.stdout)
    assert identity["Account"] == scene.other.account_id
    assert identity["Arn"] == f"arn:aws:sts::{scene.other.account_id}:assumed-role/releaser/release-7"
    listed = run(cli, scene, "iam", "list-roles", "--profile", "releaser")
    assert [role["Arn"] for role in json.loads(listed.stdout)["Roles"]] == [scene.role_arn]
    denied = run(cli, scene, "iam", "list-users", "--profile", "releaser")
    assert denied.returncode == (255 if cli == CLI_1 else 254)
    assert "(AccessDenied)" in denied.stderr and "iam:ListUsers" in denied.stderr


@pytest.mark.parametrize("profile", ["wrong", "missing"])
def test_without_the_right_external_id_the_cli_gets_nothing(cli: Path, scene: Scene, profile: str) -> None:
    done = run(cli, scene, "sts", "get-caller-identity", "--profile", profile)
    assert done.returncode != 0
    assert "(AccessDenied) when calling the AssumeRole operation" in done.stderr


def assumed_by_boto3(scene: Scene, monkeypatch: pytest.MonkeyPatch, profile: str = "releaser") -> str:
    """Who a boto3 program with this profile is."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in scene.environment.items():
        monkeypatch.setenv(name, value)
    session = boto3.session.Session(profile_name=profile)
    return str(session.client("sts").get_caller_identity()["Arn"])


@pytest.mark.parametrize("trusts", [True, False], ids=["trusted", "untrusted"])
@pytest.mark.parametrize("allows", [True, False], ids=["allowed", "unallowed"])
def test_boto3_gets_the_role_only_where_both_accounts_allow_it(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, allows: bool, trusts: bool
) -> None:
    scene.policy(*([allow("sts:AssumeRole", on=scene.role_arn)] if allows else []))
    if not trusts:
        scene.trust_policy(trust(scene.other.account_id))
    if allows and trusts:
        assert assumed_by_boto3(scene, monkeypatch).endswith(":assumed-role/releaser/release-7")
        return
    with pytest.raises(ClientError) as error:
        assumed_by_boto3(scene, monkeypatch)
    refusal = error.value.response["Error"]
    alice = f"arn:aws:iam::{scene.account.account_id}:user/alice"
    asked = f"User: {alice} is not authorized to perform: sts:AssumeRole on resource: {scene.role_arn}"
    # What the other account's trust policy says is not Alice's to read.
    why = " because no identity-based policy allows the sts:AssumeRole action" if trusts else ""
    assert (refusal["Code"], sentence(refusal["Message"])) == ("AccessDenied", asked + why)


def test_a_policy_for_another_role_does_not_help(scene: Scene) -> None:
    scene.policy(allow("sts:AssumeRole", on=scene.role_arn + "2"))
    sts = scene.server.client("sts", scene.alice)
    request = {"RoleArn": scene.role_arn, "RoleSessionName": "release-7", "ExternalId": EXTERNAL_ID}
    assert refused(sts.assume_role, **request)[1] == "AccessDenied"


def test_an_explicit_deny_on_either_side_wins(scene: Scene) -> None:
    sts = scene.server.client("sts", scene.alice)
    request = {"RoleArn": scene.role_arn, "RoleSessionName": "release-7", "ExternalId": EXTERNAL_ID}
    sts.assume_role(**request)
    scene.policy(allow("sts:*"), deny("sts:AssumeRole", on="arn:aws:iam::*:role/deploy/*"))
    _, code, message = refused(sts.assume_role, **request)
    assert code == "AccessDenied"
    assert sentence(message).endswith(" with an explicit deny in an identity-based policy")
    scene.policy(allow("sts:*"))
    alice = f"arn:aws:iam::{scene.account.account_id}:user/alice"
    scene.trust_policy(trust(scene.account.account_id), {**trust(alice), "Effect": "Deny"})
    _, code, message = refused(sts.assume_role, **request)
    assert code == "AccessDenied"
    assert sentence(message).endswith(f"on resource: {scene.role_arn}")


def test_trust_in_the_user_itself_suffices_in_its_own_account(server: Server, account: Account) -> None:
    keys = new_user(server, account, "bob")
    role_arn = new_role(server, account, "own", trust(f"arn:aws:iam::{account.account_id}:user/bob"))
    sts = server.client("sts", keys)
    assumed = sts.assume_role(RoleArn=role_arn, RoleSessionName="session")["AssumedRoleUser"]
    assert assumed["Arn"] == f"arn:aws:sts::{account.account_id}:assumed-role/own/session"


def test_trust_in_the_own_account_needs_an_identity_policy_too(server: Server, account: Account) -> None:
    keys = new_user(server, account, "bob")
    role_arn = new_role(server, account, "own", trust(f"arn:aws:iam::{account.account_id}:root"))
    sts = server.client("sts", keys)
    _, code, message = refused(sts.assume_role, RoleArn=role_arn, RoleSessionName="session")
    assert code == "AccessDenied"
    assert "because no identity-based policy allows the sts:AssumeRole action" in message
    server.client("iam", account.root).put_user_policy(
        UserName="bob", PolicyName="assume", PolicyDocument=document(allow("sts:AssumeRole", on=role_arn))
    )
    sts.assume_role(RoleArn=role_arn, RoleSessionName="session")


def test_an_administrator_of_the_own_account_needs_the_roles_trust(server: Server, account: Account) -> None:
    keys = new_user(server, account, "admin", allow("*"))
    elsewhere = server.new_account()
    role_arn = new_role(server, account, "closed", trust(elsewhere.account_id))
    _, code, message = refused(
        server.client("sts", keys).assume_role, RoleArn=role_arn, RoleSessionName="session"
    )
    assert code == "AccessDenied"
    assert "because no role trust policy allows the sts:AssumeRole action" in message


def test_a_role_that_does_not_exist_looks_like_one_that_trusts_nobody(scene: Scene) -> None:
    sts = scene.server.client("sts", scene.alice)
    scene.trust_policy(trust(scene.other.account_id))
    told = {
        sentence(refused(sts.assume_role, RoleArn=arn, RoleSessionName="release-7")[2]).replace(arn, "ROLE")
        for arn in (scene.role_arn, f"arn:aws:iam::{scene.other.account_id}:role/nowhere")
    }
    assert len(told) == 1


def test_an_old_not_principal_spares_none_but_whom_it_lists_whole(server: Server, account: Account) -> None:
    """As an earlier version stored it: a new one with NotPrincipal is refused."""
    root = server.client("iam", account.root)
    listed = new_user(server, account, "listed", allow("sts:AssumeRole"))
    other = new_user(server, account, "other", allow("sts:AssumeRole"))
    role_arn = new_role(server, account, "guarded", trust(account.account_id))
    user_arn = f"arn:aws:iam::{account.account_id}:user/listed"
    sparing = document(
        trust(account.account_id),
        {
            "Effect": "Deny",
            "NotPrincipal": {"AWS": [account.account_id, user_arn]},
            "Action": "sts:AssumeRole",
        },
    )
    new = {"RoleName": "guarded", "PolicyDocument": sparing}
    assert refused(root.update_assume_role_policy, **new)[1:] == (
        "MalformedPolicyDocument",
        "Has prohibited field NotPrincipal",
    )
    ids = {user_arn: root.get_user(UserName="listed")["User"]["UserId"]}

    def may(keys: Keys) -> bool:
        try:
            server.client("sts", keys).assume_role(RoleArn=role_arn, RoleSessionName="session")
        except ClientError as error:
            assert "explicit deny in the role trust policy" in str(error)
            return False
        return True

    assert may(listed) and may(other)
    store_trust(server, account, "guarded", sparing, ids)
    assert may(listed) and not may(other)
    everything = "arn:aws:iam::aws:policy/AdministratorAccess"
    root.put_user_permissions_boundary(UserName="listed", PermissionsBoundary=everything)
    assert not may(listed)
    root.delete_user_permissions_boundary(UserName="listed")
    store_trust(server, account, "guarded", sparing.replace(f', "{user_arn}"', ""), {})
    assert not may(listed) and not may(other)


def store_trust(server: Server, account: Account, name: str, text: str, ids: dict[str, str]) -> None:
    async def write(store: Transaction) -> None:
        role = await store.find(ROLES, account.account_id, name)
        assert role is not None
        changed = msgspec.structs.replace(role, assume_role_policy=text, trusted_ids=ids)
        store.put(ROLES, account.account_id, changed)

    in_broker(server, lambda broker: broker.store.transact(write))


def test_a_chain_reaches_roles_of_its_own_team_only(server: Server, account: Account) -> None:
    """ABAC: the tag that is handed on is the caller's, and says nothing of the next role."""
    keys = new_user(server, account, "alice", allow("sts:*"))
    actions = ("sts:AssumeRole", "sts:TagSession")
    trusts = trust(account.account_id, *actions)
    same_team = {"StringEquals": {"aws:ResourceTag/team": "${aws:PrincipalTag/team}"}}
    first = new_role(server, account, "first", trusts, allow(*actions, Condition=same_team))
    roles = {
        team: new_role(server, account, f"team-{team}", trusts, Tags=[{"Key": "team", "Value": team}])
        for team in ("blue", "red")
    }
    roles["none"] = new_role(server, account, "team-none", trusts)
    tagged = {"Tags": [{"Key": "team", "Value": "blue"}], "TransitiveTagKeys": ["team"]}
    blue = assume(server, keys, first, **tagged)
    assert assume(server, blue, roles["blue"]).session_token
    for team in ("red", "none"):
        sts = server.client("sts", blue)
        assert refused(sts.assume_role, RoleArn=roles[team], RoleSessionName="session")[1] == "AccessDenied"
