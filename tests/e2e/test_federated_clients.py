"""`aws sso login` and `aws login` for people of an OpenID Connect provider, with the unmodified AWS CLI 2."""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import CLI_2, REGION, Keys
from tests.e2e.device_code import access_token
from tests.e2e.login_keys import lengthen_key
from tests.e2e.looks import look_at
from tests.e2e.portal import person
from tests.e2e.portal_federation import CLIENT, LABEL, Scene, openid_scene, sign_in_at_provider
from tests.e2e.scenes import allow, new_role, new_user, records
from tests.e2e.test_login_attacks import Cli
from tests.e2e.test_sso_login import START_URL, Login, Terminal

pytestmark = pytest.mark.skipif(
    not CLI_2.exists(), reason="no AWS CLI 2: scripts/aws-cli-2 could not fetch it"
)

MAY_LOG_IN = allow(
    "signin:AuthorizeOAuth2Access", "signin:CreateOAuth2Token", on="arn:aws:signin:*:*:oauth2/public-client/*"
)
NAME = "alice@example.com"


@dataclass
class Shell:
    """The home directory of alice, who has an account at the provider alone."""

    scene: Scene
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        plain = {name: text for name, text in os.environ.items() if not name.startswith(("AWS_", "BROKER_"))}
        return {
            **plain,
            "HOME": str(self.folder),
            "AWS_CONFIG_FILE": str(self.folder / "config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(self.folder / "credentials"),
            "AWS_LOGIN_CACHE_DIRECTORY": str(self.folder / "login"),
            "AWS_ENDPOINT_URL": self.scene.server.url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_PAGER": "",
            "AWS_EC2_METADATA_DISABLED": "true",
            "TERM": "xterm",
            "PYTHONUNBUFFERED": "1",
            "BROWSER": "/bin/true",
        }

    def aws(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [CLI_2, *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def who(self, *arguments: str) -> str:
        ended = self.aws("sts", "get-caller-identity", *arguments)
        assert ended.returncode == 0, ended.stderr
        return str(json.loads(ended.stdout)["Arn"])

    def arn(self, role: str) -> str:
        return f"arn:aws:sts::{self.scene.first.account_id}:assumed-role/{role}/{NAME}"

    @property
    def cached_login(self) -> tuple[Path, dict[str, Any]]:
        (path,) = (self.folder / "login").glob("*.json")
        return path, json.loads(path.read_text())


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with openid_scene(tmp_path_factory.mktemp("clients")) as made:
        trusting = made.trust_readers(made.first)
        new_role(made.server, made.first, "developer", trusting, MAY_LOG_IN, allow("iam:ListUsers"))
        yield made


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with person(browser) as opened:
        yield opened


@pytest.fixture
def shell(scene: Scene, tmp_path: Path) -> Shell:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "config").write_text("")
    return Shell(scene, tmp_path / "home")


def records_of(scene: Scene, *names: str) -> list[dict[str, Any]]:
    return [record for record in records(scene.server) if record["eventName"] in names]


def test_a_person_of_a_provider_logs_in_by_aws_sso_login(shell: Shell, page: Page) -> None:
    scene = shell.scene
    (shell.folder / "config").write_text(
        f"[sso-session team]\nsso_start_url = {START_URL}\nsso_region = {REGION}\n"
        "sso_registration_scopes = sso:account:access\n"
        f"[profile reader]\nsso_session = team\nsso_account_id = {scene.first.account_id}\n"
        f"sso_role_name = reader\nregion = {REGION}\n"
    )
    command = [str(CLI_2), "sso", "login", "--no-browser", "--sso-session", "team"]
    with subprocess.Popen(
        command,
        env=shell.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        login = Login(process)
        address = login.url("authorize")
        sign_in_at_provider(page, scene.origin, "alice")
        page.goto(address)
        expect(page.get_by_text(f"signed in with {LABEL}")).to_be_visible()
        page.get_by_role("button", name="Allow access").click()
        assert "Successfully logged into" in login.end()
    assert shell.who("--profile", "reader") == shell.arn("reader")
    allowed, took, got = (
        records_of(scene, name)[-1]
        for name in ("AuthorizeClient", "AssumeRoleWithWebIdentity", "GetRoleCredentials")
    )
    assert allowed["userIdentity"]["userName"] == NAME
    assert got["userIdentity"]["principalId"] == f"{scene.provider.issuer}:alice"
    provider = scene.provider_arns[scene.first.account_id]
    assert took["userIdentity"]["principalId"] == f"{provider}:alice"
    assert took["recipientAccountId"] == scene.first.account_id
    assert took["responseElements"]["assumedRoleUser"]["arn"] == shell.arn("reader")
    assert (took["requestID"], took["eventID"] == got["eventID"]) == (got["requestID"], False)


def test_a_client_sees_the_accounts_and_roles_of_the_person_and_no_others(scene: Scene, page: Page) -> None:
    sign_in_at_provider(page, scene.origin, "alice")
    token, sso = access_token(scene.server, page), scene.server.client("sso", None)
    accounts = sso.list_accounts(accessToken=token)["accountList"]
    assert {one["accountId"] for one in accounts} == {scene.first.account_id, scene.second.account_id}
    roles = {
        account.account_id: [
            one["roleName"]
            for one in sso.list_account_roles(accessToken=token, accountId=account.account_id)["roleList"]
        ]
        for account in (scene.first, scene.second, scene.third)
    }
    assert list(roles.values()) == [["developer", "reader"], ["analyst"], []]
    new_role(scene.server, scene.first, "closed", scene.trust_readers(scene.first, "sts:TagSession"))
    for account, name in ((scene.first, "no-such-role"), (scene.first, "closed"), (scene.third, "reader")):
        with pytest.raises(ClientError, match=r"ForbiddenException.*No access"):
            sso.get_role_credentials(accessToken=token, accountId=account.account_id, roleName=name)


def test_the_tags_that_the_token_proved_are_tags_of_the_clients_session(scene: Scene, page: Page) -> None:
    blue = {"StringEquals": {"aws:PrincipalTag/team": "blue"}}
    trusting = scene.trust_readers(scene.second, "sts:AssumeRoleWithWebIdentity", "sts:TagSession")
    new_role(scene.server, scene.second, "painter", trusting, allow("iam:ListRoles", Condition=blue))
    of_painter = {"accountId": scene.second.account_id, "roleName": "painter"}
    for user, may_list in (("tagged", True), ("alice", False)):
        page.context.clear_cookies()
        sign_in_at_provider(page, scene.origin, user)
        token, sso = access_token(scene.server, page), scene.server.client("sso", None)
        made = sso.get_role_credentials(accessToken=token, **of_painter)["roleCredentials"]
        iam = scene.server.client(
            "iam", Keys(made["accessKeyId"], made["secretAccessKey"], made["sessionToken"])
        )
        if may_list:
            assert iam.list_roles()["Roles"]
        else:
            with pytest.raises(ClientError, match="AccessDenied"):
                iam.list_roles()


JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def test_an_application_that_signs_trades_a_persons_id_token_for_an_access_token(scene: Scene) -> None:
    server, home = scene.server, scene.third.account_id
    application = f"arn:aws:sso::{home}:application/reports"
    keys = new_user(server, scene.third, "reports", allow("sso-oauth:CreateTokenWithIAM", on=application))
    oidc, sso = server.client("sso-oidc", keys), server.client("sso", None)
    id_token = scene.provider.sign_in("alice", CLIENT)["id_token"]
    asked = {"clientId": application, "grantType": JWT_BEARER, "assertion": id_token}
    made = oidc.create_token_with_iam(**asked)
    assert made["tokenType"] == "Bearer"
    assert made["scope"] == ["sso:account:access"]
    assert "refreshToken" not in made
    found = sso.list_accounts(accessToken=made["accessToken"])["accountList"]
    assert {one["accountId"] for one in found} == {scene.first.account_id, scene.second.account_id}
    sso.get_role_credentials(
        accessToken=made["accessToken"], accountId=scene.first.account_id, roleName="reader"
    )
    got = records_of(scene, "GetRoleCredentials")[-1]
    assert got["userIdentity"]["principalId"] == f"{scene.provider.issuer}:alice"
    created = records_of(scene, "CreateTokenWithIAM")[-1]
    assert created["userIdentity"]["userName"] == "reports"
    assert id_token not in json.dumps(created) and made["accessToken"] not in json.dumps(created)

    head, payload, signature = id_token.split(".")
    for changed, code in (
        ({"assertion": f"{head}.{payload}.{signature[:-2]}AA"}, "InvalidGrantException"),
        ({"assertion": "x"}, "InvalidGrantException"),
        ({"grantType": "authorization_code", "code": "x"}, "UnsupportedGrantTypeException"),
        ({"scope": ["openid"]}, "InvalidScopeException"),
        ({"clientId": "arn:aws:sso::999999999999:application/reports"}, "InvalidClientException"),
        ({"clientId": "reports"}, "InvalidClientException"),
        ({"clientId": f"{application}-2"}, "AccessDenied"),
    ):
        with pytest.raises(ClientError, match=code):
            oidc.create_token_with_iam(**{**asked, **changed})
    with pytest.raises(ClientError):
        server.client("sso-oidc", Keys(keys.access_key_id, "x" * 40)).create_token_with_iam(**asked)


def log_in(shell: Shell, page: Page, role: str) -> Terminal:
    """`aws login` up to the decision in the browser, by which the client acts with `role`."""
    terminal = Terminal([str(CLI_2), "login"], shell.environment)
    address = terminal.wait_for(r"http://\S*/v1/authorize\?\S+code_challenge=\S{43}")
    sign_in_at_provider(page, shell.scene.origin, "alice")
    page.goto(address)
    page.get_by_label("Role").select_option(label=f"{role}, {shell.scene.first.account_id}")
    page.get_by_role("button", name="Allow access").click()
    page.wait_for_load_state()
    return terminal


def test_a_person_of_a_provider_logs_in_with_a_role_that_they_choose(shell: Shell, page: Page) -> None:
    terminal = log_in(shell, page, "developer")
    try:
        assert terminal.process.wait(30) == 0, terminal.said
    finally:
        terminal.close()
    lengthen_key(shell.folder / "login")
    arn = shell.arn("developer")
    assert shell.who() == arn
    assert shell.aws("iam", "list-users").returncode == 0
    path, before = shell.cached_login
    old = {**before, "accessToken": {**before["accessToken"], "expiresAt": "2020-01-01T00:00:00Z"}}
    path.write_text(json.dumps(old))
    assert shell.who() == arn
    assert shell.cached_login[1]["refreshToken"] != before["refreshToken"]
    allowed, *_, renewed = records_of(shell.scene, "AuthorizeOAuth2Access", "CreateOAuth2Token")[-3:]
    for record in (allowed, renewed):
        assert record["userIdentity"]["arn"] == arn
        assert record["recipientAccountId"] == shell.scene.first.account_id
    took = records_of(shell.scene, "AssumeRoleWithWebIdentity")[-1]["responseElements"]["credentials"]
    shell.scene.server.command("revoke", "session", took["accessKeyId"])
    ended = shell.aws("sts", "get-caller-identity")
    assert ended.returncode != 0, "the client's credentials end with the session that was approved"


def test_a_role_that_may_not_log_in_is_refused_by_the_gate(shell: Shell, page: Page) -> None:
    terminal = log_in(shell, page, "reader")
    try:
        expect(page.get_by_text("signin:AuthorizeOAuth2Access")).to_be_visible()
    finally:
        terminal.close()
    refused = records_of(shell.scene, "AuthorizeOAuth2Access")[-1]
    assert refused["errorCode"] == "AccessDenied"
    assert refused["userIdentity"]["arn"] == shell.arn("reader")


def test_who_may_take_no_role_has_nothing_to_allow(shell: Shell, page: Page) -> None:
    terminal = Terminal([str(CLI_2), "login"], shell.environment)
    try:
        address = terminal.wait_for(r"http://\S*/v1/authorize\?\S+code_challenge=\S{43}")
        sign_in_at_provider(page, shell.scene.origin, "bob")
        page.goto(address)
        expect(page.get_by_text("There is no role that you may take")).to_be_visible()
        expect(page.get_by_role("button", name="Allow access")).to_have_count(0)
    finally:
        terminal.close()


def test_the_page_that_asks_for_a_role_has_no_faults_and_a_picture(scene: Scene, page: Page) -> None:
    sign_in_at_provider(page, scene.origin, "alice")
    page.goto(f"{scene.origin}{Cli(scene.server).authorize()}")
    look_at(page, "login-role")


@pytest.mark.parametrize("role", ["a role of others", "arn:aws:iam::aws:role/x", ""])
def test_a_role_that_the_page_did_not_offer_is_refused(scene: Scene, page: Page, role: str) -> None:
    if role == "a role of others":
        trusting = scene.trust_readers(scene.first, "sts:TagSession")
        role = new_role(scene.server, scene.first, "of-others", trusting, MAY_LOG_IN)
    sign_in_at_provider(page, scene.origin, "alice")
    page.goto(f"{scene.origin}{Cli(scene.server).authorize()}")
    page.eval_on_selector("#role", "(list, arn) => { list.options[list.selectedIndex].value = arn }", role)
    before = len(records_of(scene, "CreateOAuth2Token", "AuthorizeOAuth2Access"))
    page.get_by_role("button", name="Allow access").click()
    expect(page.get_by_role("heading", level=1)).not_to_have_text("Allow access?")
    assert page.url.startswith(scene.origin), "no code was given out"
    assert len(records_of(scene, "CreateOAuth2Token", "AuthorizeOAuth2Access")) == before
