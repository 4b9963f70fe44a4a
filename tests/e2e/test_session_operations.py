"""Operations that AWS has not, by clients that know nothing but what `config/aws-models` tells them, or by curl."""

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.config import Config

from tests.e2e.conftest import CLI_1, REACHES_LOOPBACK, REGION, ROOT, Account, Keys, Server
from tests.e2e.scenes import allow, assume, deny, new_role, new_user, records_of, refused, sentence, trust
from tests.e2e.test_federation_check import check, row
from tests.e2e.test_web_identity import Scene as WebScene
from tests.e2e.test_web_identity import scene as web_scene  # noqa: F401
from tests.identity_providers.slapd import ADMIN, ADMIN_PASSWORD, PEOPLE, Slapd, person

MODELS = ROOT / "config" / "aws-models"


@cache
def session() -> boto3.session.Session:
    own = botocore.session.Session()
    own.set_config_variable("data_path", str(MODELS))
    return boto3.session.Session(botocore_session=own)


def sts(server: Server, keys: Keys) -> Any:
    return session().client(
        "sts",
        region_name=REGION,
        endpoint_url=server.url,
        config=Config(retries={"max_attempts": 0}),
        aws_access_key_id=keys.access_key_id,
        aws_secret_access_key=keys.secret_access_key,
        aws_session_token=keys.session_token,
    )


class Scene:
    """Alice may assume `app` and `other`; olivia lists and revokes the sessions of `app` alone."""

    def __init__(self, server: Server, account: Account) -> None:
        self.server, self.account = server, account
        self.alice = new_user(server, account, "alice", allow("sts:AssumeRole"))
        self.app = new_role(server, account, "app", trust(account.account_id), allow("iam:ListRoles"))
        self.other = new_role(server, account, "other", trust(account.account_id))
        own = allow("sts:ListSessions", "sts:RevokeSessions", on=self.app)
        single = allow("sts:RevokeSessions", on=f"arn:aws:sts::{account.account_id}:session/*")
        self.olivia = sts(server, new_user(server, account, "olivia", own))
        self.single = sts(server, new_user(server, account, "single", single))
        self.root = sts(server, account.root)

    def session(self, role: str) -> Keys:
        return assume(self.server, self.alice, role)

    def is_good(self, keys: Keys) -> bool:
        try:
            self.server.client("sts", keys).get_caller_identity()
        except self.server.client("sts", keys).exceptions.ClientError as error:
            assert error.response["Error"]["Code"] == "InvalidClientTokenId"
            return False
        return True

    def listed(self, client: Any, **asked: Any) -> list[dict[str, Any]]:
        return [one for page in self._pages(client, asked) for one in page["Sessions"]]

    def _pages(self, client: Any, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
        while True:
            page = client.list_sessions(**asked)
            yield page
            if not page["IsTruncated"]:
                return
            asked = {**asked, "Marker": page["Marker"]}


@pytest.fixture
def scene(server: Server, account: Account) -> Scene:
    return Scene(server, account)


def wait_until_listed(scene: Scene, *sessions: Keys) -> None:
    """The list is written up to five seconds behind."""
    wanted = {one.access_key_id for one in sessions}
    deadline = time.monotonic() + 15
    while not wanted <= {one["AccessKeyId"] for one in scene.listed(scene.root)}:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_sessions_are_listed_by_page_by_principal_and_by_who_asked(scene: Scene) -> None:
    sessions = [scene.session(scene.app), scene.session(scene.other), scene.session(scene.app)]
    wait_until_listed(scene, *sessions)
    every = scene.listed(scene.root)
    assert {one["AccessKeyId"] for one in every} == {one.access_key_id for one in sessions}
    assert [one["IssuedAt"] for one in every] == sorted((one["IssuedAt"] for one in every), reverse=True)
    assert scene.listed(scene.root, MaxItems=1) == every
    of_app = scene.listed(scene.olivia, Principal=scene.app)
    assert {one["AccessKeyId"] for one in of_app} == {sessions[0].access_key_id, sessions[2].access_key_id}
    assert {(one["Kind"], one["State"], one["IssuedBy"]) for one in of_app} == {
        ("AssumedRole", "live", scene.alice.access_key_id)
    }
    named = f"arn:aws:sts::{scene.account.account_id}:assumed-role/other/session"
    assert [one["Arn"] for one in scene.listed(scene.root, Principal=named)] == [named]
    assert len(scene.listed(scene.root, IssuedBy=scene.alice.access_key_id)) == 3
    assert scene.listed(scene.root, IssuedBy=scene.account.root.access_key_id) == []
    assert scene.listed(scene.root, Principal=f"{scene.app}-gone") == []


def test_all_sessions_of_a_role_end_and_neither_others_nor_those_that_follow(scene: Scene) -> None:
    before, other = scene.session(scene.app), scene.session(scene.other)
    wait_until_listed(scene, before, other)
    answer = scene.olivia.revoke_sessions(Principal=scene.app)
    assert answer["EndedSessions"] == 1
    assert answer["IssuedBefore"] <= datetime.now(UTC) < answer["ForgottenAt"]
    after = scene.session(scene.app)
    assert [scene.is_good(one) for one in (before, other, after)] == [False, True, True]
    states = {one["AccessKeyId"]: one["State"] for one in scene.listed(scene.root)}
    assert (states[before.access_key_id], states[other.access_key_id]) == ("revoked", "live")
    (record,) = records_of(scene.server, answer["ResponseMetadata"]["RequestId"])
    assert (record["eventName"], record["readOnly"]) == ("RevokeSessions", False)
    assert record["requestParameters"] == {"principal": scene.app}
    assert record["responseElements"]["endedSessions"] == 1


def test_one_session_ends_listed_or_not(scene: Scene) -> None:
    stolen, like = scene.session(scene.app), scene.session(scene.app)
    scene.single.revoke_sessions(AccessKeyId=stolen.access_key_id)
    assert [scene.is_good(stolen), scene.is_good(like)] == [False, True]
    wait_until_listed(scene, like)
    assert scene.single.revoke_sessions(AccessKeyId=like.access_key_id)["EndedSessions"] == 1
    assert not scene.is_good(like)


def test_sessions_before_a_moment_end_and_a_moment_to_come_is_refused(scene: Scene) -> None:
    own = scene.session(scene.app)
    hour = timedelta(hours=1)
    scene.olivia.revoke_sessions(Principal=scene.app, IssuedBefore=datetime.now(UTC) - hour)
    assert scene.is_good(own)
    long_ago = scene.olivia.revoke_sessions(
        Principal=scene.app, IssuedBefore=datetime(2020, 1, 1, tzinfo=UTC)
    )
    assert long_ago["EndedSessions"] == 0
    assert scene.is_good(own)
    refusal = refused(
        scene.olivia.revoke_sessions, Principal=scene.app, IssuedBefore=datetime.now(UTC) + hour
    )
    assert refusal[:2] == (400, "ValidationError")
    assert "yet to come" in refusal[2]


def test_sessions_of_a_user_end(scene: Scene) -> None:
    own = Keys.of(scene.server.client("sts", scene.alice).get_session_token()["Credentials"])
    user = f"arn:aws:iam::{scene.account.account_id}:user/alice"
    scene.root.revoke_sessions(Principal=user)
    assert not scene.is_good(own)
    assert scene.is_good(scene.alice)


def test_who_may_not_is_refused_and_learns_nothing(scene: Scene) -> None:
    alice = sts(scene.server, scene.alice)
    own = scene.session(scene.app)
    for call, asked, action in [
        (alice.list_sessions, {}, "ListSessions"),
        (scene.olivia.list_sessions, {}, "ListSessions"),
        (scene.olivia.list_sessions, {"Principal": scene.other}, "ListSessions"),
        (scene.olivia.revoke_sessions, {"Principal": scene.other}, "RevokeSessions"),
        (scene.olivia.revoke_sessions, {"Principal": f"{scene.other}-gone"}, "RevokeSessions"),
        (scene.olivia.revoke_sessions, {"AccessKeyId": own.access_key_id}, "RevokeSessions"),
        (scene.single.revoke_sessions, {"Principal": scene.app}, "RevokeSessions"),
        (alice.check_federation, {"RoleArn": scene.app, "WebIdentityToken": "none"}, "CheckFederation"),
    ]:
        status, code, message = refused(call, **asked)
        assert (status, code) == (403, "AccessDenied")
        assert sentence(message).endswith(
            f"because no identity-based policy allows the sts:{action} action"
        ), message
    assert scene.is_good(own)
    assert refused(scene.root.revoke_sessions, Principal=f"{scene.app}-gone")[:2] == (404, "NoSuchEntity")


def test_root_of_one_account_has_no_say_in_another(server: Server, scene: Scene) -> None:
    other = sts(server, server.new_account().root)
    own = scene.session(scene.app)
    for call, asked in [
        (other.revoke_sessions, {"Principal": scene.app}),
        (other.revoke_sessions, {"AccessKeyId": own.access_key_id}),
        (other.revoke_sessions, {"Principal": f"arn:aws:iam::{scene.account.account_id}:root"}),
        (other.list_sessions, {"Principal": scene.app}),
        (other.check_federation, {"RoleArn": scene.app, "WebIdentityToken": "none"}),
    ]:
        assert refused(call, **asked)[:2] == (403, "AccessDenied")
    assert scene.is_good(own)
    assert other.list_sessions()["Sessions"] == []


ROLE, LONG_TERM, TEMPORARY = "arn:aws:iam::123456789012:role/x", "AKIA" + "A" * 16, "ASIA" + "A" * 16


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({}, "InvalidParameterCombination"),
        ({"Principal": ROLE, "AccessKeyId": TEMPORARY}, "InvalidParameterCombination"),
        ({"AccessKeyId": LONG_TERM}, "ValidationError"),
        ({"Principal": "arn:aws:s3:::a-bucket-of-ours"}, "ValidationError"),
        ({"Principal": "no ARN, but it is long enough"}, "ValidationError"),
        # What a policy could allow, and what would be revoked, have to be the same.
        ({"Principal": "arn:aws:iam::123456789012:root/of/a/name"}, "ValidationError"),
        ({"Principal": "arn:aws:iam::123456789012:role"}, "AccessDenied"),
        ({"Principal": "arn:aws:iam:::role/of-no-account"}, "ValidationError"),
        ({"Principal": "arn:aws-cn:iam::123456789012:root"}, "ValidationError"),
    ],
)
def test_what_names_no_sessions_is_refused(scene: Scene, asked: dict[str, str], code: str) -> None:
    assert refused(scene.root.revoke_sessions, **asked)[1] == code


def test_a_condition_on_the_tags_of_a_role_holds(scene: Scene) -> None:
    tagged = {"StringEquals": {"aws:ResourceTag/team": "blue"}}
    blue = sts(
        scene.server,
        new_user(scene.server, scene.account, "blue", allow("sts:RevokeSessions", Condition=tagged)),
    )
    assert refused(blue.revoke_sessions, Principal=scene.app)[1] == "AccessDenied"
    iam = scene.server.client("iam", scene.account.root)
    iam.tag_role(RoleName="app", Tags=[{"Key": "team", "Value": "blue"}])
    assert blue.revoke_sessions(Principal=scene.app)["EndedSessions"] == 0


def test_the_aws_cli_knows_the_operations_by_a_folder_of_models(scene: Scene, cli: Path) -> None:
    own = scene.session(scene.app)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(scene.server.folder),
        "AWS_DATA_PATH": str(MODELS),
        "AWS_ENDPOINT_URL": scene.server.url,
        "AWS_DEFAULT_REGION": REGION,
        **scene.account.root.environment,
    }

    def run(*arguments: str) -> Any:
        ran = subprocess.run(
            [cli, "sts", *arguments], env=environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    assert "Sessions" in run("list-sessions")
    assert run("revoke-sessions", "--access-key-id", own.access_key_id)["EndedSessions"] in (0, 1)
    assert not scene.is_good(own)
    assert not run("check-federation", "--role-arn", scene.app, "--web-identity-token", "none")["IsAllowed"]


def test_curl_signs_the_operations_without_any_model(scene: Scene) -> None:
    own = scene.session(scene.app)
    ran = subprocess.run(
        [
            *("curl", "-fsS", "--aws-sigv4", f"aws:amz:{REGION}:sts"),
            *("--user", f"{scene.account.root.access_key_id}:{scene.account.root.secret_access_key}"),
            *("-H", "Accept: application/json", scene.server.url),
            *("-d", "Version=2011-06-15", "-d", "Action=RevokeSessions"),
            *("-d", f"AccessKeyId={own.access_key_id}"),
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    assert "RevokeSessionsResult" in ran.stdout
    assert not scene.is_good(own)


def test_an_assertion_is_checked_by_who_may_and_is_not_used_up(web_scene: WebScene) -> None:  # noqa: F811
    root = sts(web_scene.server, web_scene.account.root)
    web_scene.trust_policy(StringEquals={f"{web_scene.issuer}:repository": "group/project"})
    token = web_scene.token()
    answer = root.check_federation(RoleArn=web_scene.role_arn, WebIdentityToken=token)
    assert answer["IsAllowed"]
    assert answer["Arn"].endswith(":assumed-role/deployer/check")
    checks = {one["Name"]: one for one in answer["Checks"]}
    assert checks["signature"]["Passed"]
    assert checks[f"condition StringEquals {web_scene.issuer}:repository"]["Found"] == "group/project"
    (record,) = records_of(web_scene.server, answer["ResponseMetadata"]["RequestId"])
    assert (record["eventName"], record["readOnly"]) == ("CheckFederation", True)
    assert token not in json.dumps(record)
    assert web_scene.assume(token)
    web_scene.trust_policy(StringEquals={f"{web_scene.issuer}:repository": "group/other"})
    answer = root.check_federation(RoleArn=web_scene.role_arn, WebIdentityToken=token)
    assert not answer["IsAllowed"]
    assert answer["Refusal"] == "AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity"
    failed = [one["Name"] for one in answer["Checks"] if not one["Passed"]]
    assert f"condition StringEquals {web_scene.issuer}:repository" in failed


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    with Slapd(tmp_path_factory.mktemp("people")).running() as slapd:
        slapd.add_person("carol", " her password ")
        slapd.add_group("readers", [person("carol")])
        yield slapd


def test_a_login_is_checked_by_the_operation_and_by_the_command(directory: Slapd, tmp_path: Path) -> None:
    role = "arn:aws:iam::123456789012:role/reader"
    settings = {
        **REACHES_LOOPBACK,
        "BROKER_LDAP_SERVERS": directory.tls_url,
        "BROKER_LDAP_PROVIDER": "ldap.example.com",
        "BROKER_LDAP_CERTIFICATE_AUTHORITIES": str(directory.authority_file),
        "BROKER_LDAP_SEARCH_BASE": PEOPLE,
        "BROKER_LDAP_BIND_DN": ADMIN,
        "BROKER_LDAP_BIND_PASSWORD": ADMIN_PASSWORD,
    }
    server = Server(tmp_path, f"sqlite:{tmp_path / 'broker.db'}", environment=settings)
    with server.running():
        account = server.new_account("123456789012")
        statement = {
            "Effect": "Allow",
            "Principal": {"Federated": "ldap.example.com"},
            "Action": "sts:AssumeRoleWithLDAPIdentity",
            "Condition": {"StringEquals": {"ldap:username": "carol"}},
        }
        new_role(server, account, "reader", statement)
        root = sts(server, account.root)
        good = root.check_federation(RoleArn=role, LDAPUsername="carol", LDAPPassword=" her password ")
        assert good["IsAllowed"], good
        assert good["Arn"] == "arn:aws:sts::123456789012:assumed-role/reader/carol"
        assert {one["Name"] for one in good["Checks"]} >= {
            *("password", "role given", "condition StringEquals ldap:username"),
            "permission sts:AssumeRoleWithLDAPIdentity",
        }
        bad = root.check_federation(RoleArn=role, LDAPUsername="carol", LDAPPassword="her password")
        assert not bad["IsAllowed"]
        assert (bad["Checks"][-1]["Name"], bad["Checks"][-1]["Passed"]) == ("password", False)
        (record,) = records_of(server, bad["ResponseMetadata"]["RequestId"])
        assert "her password" not in json.dumps(record)
        for asked in ({}, {"LDAPUsername": "carol"}, {"WebIdentityToken": "none", "LDAPPassword": "x"}):
            assert refused(root.check_federation, RoleArn=role, **asked)[1] == "InvalidParameterCombination"
        status, said = check(
            server, "--role", role, "--ldap-user", "carol", "-", standard_input=" her password \n"
        )
        assert status == 0, said
        assert "passed" in row(said, "password  ")
        assert said.rstrip().endswith(":assumed-role/reader/carol")
        status, said = check(server, "--role", role, "--ldap-user", "carol", "-", standard_input="wrong\n")
        assert status == 1
        assert "FAILED" in row(said, "password  ")
        assert "AccessDenied" in said


def test_a_deny_outweighs_root_like_everything_else(scene: Scene) -> None:
    admin = sts(
        scene.server,
        new_user(scene.server, scene.account, "admin", allow("*"), deny("sts:RevokeSessions", on=scene.app)),
    )
    assert refused(admin.revoke_sessions, Principal=scene.app)[1] == "AccessDenied"
    assert admin.revoke_sessions(Principal=scene.other)["EndedSessions"] == 0


def test_the_lines_of_the_guide_are_good(scene: Scene, tmp_path: Path) -> None:
    """`config/README.md`, "Operations of our own", with the scene's role in the place of the guide's."""
    guide = (ROOT / "config" / "README.md").read_text()
    part = guide.partition("### Operations of our own\n")[2].partition("\n## ")[0]
    scripts = re.findall(r"^```sh\n(.*?)^```$", part, re.MULTILINE | re.DOTALL)
    assert len(scripts) == 2
    (tmp_path / "token").write_text("no token")
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "aws").symlink_to(CLI_1)
    for script in scripts:
        ran = subprocess.run(
            [
                "bash",
                "-euc",
                script.replace("arn:aws:iam::111111111111:role/app", scene.app).replace("$PWD", str(ROOT)),
            ],
            cwd=tmp_path,
            env={
                "PATH": f"{programs}:{os.environ['PATH']}",
                "HOME": str(tmp_path),
                "AWS_ENDPOINT_URL": scene.server.url,
                "AWS_DEFAULT_REGION": REGION,
                **scene.account.root.environment,
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert ran.returncode == 0, ran.stderr
        assert "EndedSessions" in ran.stdout
