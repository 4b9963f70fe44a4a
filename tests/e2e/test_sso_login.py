"""`aws sso login` with the unmodified AWS CLI 2, its browser half in Chromium; boto3 and the CLI use and refresh it."""

import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import CLI_2, REGION, Account
from tests.e2e.portal import Client, PortalServer, person
from tests.e2e.scenes import allow, new_role, new_user, records, trust
from tests.identity_providers.processes import ROOT, require_installed, require_program

READER = "data-reader"
START_URL = "https://broker.awsapps.com/start"

pytestmark = pytest.mark.skipif(
    not CLI_2.exists(), reason="no AWS CLI 2: scripts/aws-cli-2 could not fetch it"
)


@dataclass
class Team:
    """alice of one account may take a role of another; `folder` is her home directory, `cli` is what she runs."""

    server: PortalServer
    home: Account
    data: Account
    folder: Path
    cli: Path = CLI_2

    @property
    def environment(self) -> dict[str, str]:
        plain = {name: text for name, text in os.environ.items() if not name.startswith(("AWS_", "BROKER_"))}
        return {
            **plain,
            "HOME": str(self.folder),
            "AWS_CONFIG_FILE": str(self.folder / "config"),
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "AWS_ENDPOINT_URL": self.server.url,
            "AWS_PAGER": "",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def write_config(self, *, start_url: str = START_URL) -> None:
        self.folder.mkdir(exist_ok=True)
        (self.folder / "config").write_text(
            f"[sso-session team]\nsso_start_url = {start_url}\nsso_region = {REGION}\n"
            "sso_registration_scopes = sso:account:access\n"
            f"[profile reader]\nsso_session = team\nsso_account_id = {self.data.account_id}\n"
            f"sso_role_name = {READER}\nregion = {REGION}\n"
            f"[profile legacy]\nsso_start_url = {start_url}\nsso_region = {REGION}\n"
            f"sso_account_id = {self.data.account_id}\nsso_role_name = {READER}\nregion = {REGION}\n"
        )

    def aws(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.cli, *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def identity(self, profile: str = "reader") -> Any:
        ended = self.aws("sts", "get-caller-identity", "--profile", profile)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)

    @contextmanager
    def login(self, *arguments: str) -> Iterator["Login"]:
        process = subprocess.Popen(
            [self.cli, "sso", "login", "--no-browser", *arguments],
            env={**self.environment, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        login = Login(process)
        try:
            yield login
        finally:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()

    @property
    def cached_token(self) -> tuple[Path, dict[str, Any]]:
        """The file in which the CLI keeps its tokens, and what is in it."""
        for path in (self.folder / ".aws" / "sso" / "cache").glob("*.json"):
            content = json.loads(path.read_text())
            if "accessToken" in content:
                return path, content
        raise AssertionError("the CLI has no token")

    def age_token(self) -> None:
        """Let the cached access token be about to expire, as it is after most of an hour."""
        path, content = self.cached_token
        path.write_text(json.dumps({**content, "expiresAt": "2020-01-01T00:00:00Z"}))


class Login:
    """A running `aws sso login`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.said = ""

    def url(self, pattern: str) -> str:
        """The address that it tells the person to open."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said += line
            if found := re.search(rf"https?://\S*{pattern}\S*", line):
                return found[0]
        raise AssertionError(self.said)

    def end(self) -> str:
        assert self.process.stdout is not None
        self.said += self.process.communicate(timeout=40)[0]
        assert self.process.returncode == 0, self.said
        return self.said


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PortalServer]:
    folder = tmp_path_factory.mktemp("sso")
    made = PortalServer(folder, f"sqlite:{folder / 'broker.db'}", environment={"BROKER_LISTEN_WORKERS": "2"})
    with made.running():
        yield made


@pytest.fixture
def team(server: PortalServer, tmp_path: Path) -> Team:
    home, data = server.new_account(), server.new_account()
    new_user(server, home, "alice", allow("sts:AssumeRole", on=f"arn:aws:iam::{data.account_id}:role/*"))
    user = f"arn:aws:iam::{home.account_id}:user/alice"
    new_role(server, data, READER, trust(user), allow("iam:ListRoles"), Path="/team/")
    new_role(server, data, "somebody-elses", trust(f"arn:aws:iam::{home.account_id}:root", "sts:TagSession"))
    server.set_password(home, "alice")
    made = Team(server, home, data, tmp_path / "home")
    made.write_config()
    return made


def allow_in(page: Page, team: Team, url: str, client: str = "botocore-client-team") -> None:
    """From the address that the CLI prints through the sign-in to the consent, which alice gives."""
    page.goto(url)
    page.get_by_label("Account id or alias").fill(team.home.account_id)
    page.get_by_label("User name").fill("alice")
    page.get_by_label("Password", exact=True).fill("correct horse 7 Battery")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_load_state()
    if page.get_by_role("button", name="Continue").count():
        page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text(client)).to_be_visible()
    expect(page.get_by_text("alice", exact=True)).to_be_visible()
    page.get_by_role("button", name="Allow access").click()
    page.wait_for_load_state()


def log_in(team: Team, browser: Browser, *arguments: str) -> None:
    with person(browser) as page, team.login("--sso-session", "team", *arguments) as login:
        allow_in(page, team, login.url("authorize" if not arguments else "user_code="))
        assert "Successfully logged into" in login.end()


def test_a_person_signs_in_with_a_browser_and_the_cli_has_credentials(team: Team, browser: Browser) -> None:
    log_in(team, browser)
    arn = f"arn:aws:sts::{team.data.account_id}:assumed-role/{READER}/alice"
    assert team.identity()["Arn"] == arn
    found = [
        record
        for record in records(team.server)
        if record["eventSource"] == "sso.amazonaws.com"
        and record.get("recipientAccountId") == team.home.account_id
    ]
    steps = [record["eventName"] for record in found]
    assert steps == ["AuthorizeClient", "CreateToken", "GetRoleCredentials"]
    assert {record["userIdentity"]["userName"] for record in found} == {"alice"}
    assert found[-1]["responseElements"]["roleCredentials"]["accessKeyId"].startswith("ASIA")


def test_a_person_enters_the_code_of_a_device(team: Team, browser: Browser) -> None:
    log_in(team, browser, "--use-device-code")
    assert team.identity()["Account"] == team.data.account_id


def test_broker_login_needs_no_cli_and_its_sign_in_is_used_by_the_cli(team: Team, browser: Browser) -> None:
    command = [sys.executable, "-m", "broker", "login", "--no-browser", "--sso-session", "team"]
    process = subprocess.Popen(
        [*command, "--profile", "reader"],
        env={**team.environment, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process, person(browser) as page:
        login = Login(process)
        allow_in(page, team, login.url("user_code="), client="broker-login")
        assert READER in login.end()
    assert team.identity()["Arn"].endswith(f"assumed-role/{READER}/alice")
    team.age_token()
    assert team.identity()["Account"] == team.data.account_id


def test_who_denies_gives_nothing(team: Team, browser: Browser) -> None:
    with person(browser) as page, team.login("--sso-session", "team") as login:
        page.goto(login.url("authorize"))
        page.get_by_label("Account id or alias").fill(team.home.account_id)
        page.get_by_label("User name").fill("alice")
        page.get_by_label("Password", exact=True).fill("correct horse 7 Battery")
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("button", name="Deny").click()
        assert login.process.wait(30) != 0


def test_the_cli_refreshes_by_itself_and_a_stolen_refresh_token_ends_the_session(
    team: Team, browser: Browser
) -> None:
    log_in(team, browser)
    _, before = team.cached_token
    team.age_token()
    assert team.identity()["Account"] == team.data.account_id
    path, after = team.cached_token
    assert after["accessToken"] != before["accessToken"]
    assert after["refreshToken"] != before["refreshToken"]
    oidc = team.server.client("sso-oidc", None)
    stolen = {
        "clientId": before["clientId"],
        "clientSecret": before["clientSecret"],
        "grantType": "refresh_token",
        "refreshToken": before["refreshToken"],
    }
    with pytest.raises(oidc.exceptions.InvalidGrantException):
        oidc.create_token(**stolen)
    portal = team.server.client("sso", None)
    assert portal.list_accounts(accessToken=after["accessToken"])[
        "accountList"
    ]  # two commands at the same time
    with pytest.raises(portal.exceptions.UnauthorizedException):
        portal.list_accounts(accessToken=before["accessToken"])
    assert path.exists()


def test_logout_ends_the_session_on_the_server(team: Team, browser: Browser) -> None:
    log_in(team, browser)
    _, content = team.cached_token
    portal = team.server.client("sso", None)
    assert portal.list_accounts(accessToken=content["accessToken"])["accountList"]
    ended = team.aws("sso", "logout")
    assert ended.returncode == 0, ended.stderr
    with pytest.raises(portal.exceptions.UnauthorizedException):
        portal.list_accounts(accessToken=content["accessToken"])
    failed = team.aws("sts", "get-caller-identity", "--profile", "reader")
    assert failed.returncode != 0


def test_boto3_has_credentials_of_the_session_and_refreshes_it(
    team: Team, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in(team, browser)
    for name, value in team.environment.items():
        if name.startswith("AWS_") or name == "HOME":
            monkeypatch.setenv(name, value)
    team.age_token()
    _, before = team.cached_token
    # botocore keeps the folder of its cache as it was when it was imported.
    monkeypatch.setattr(
        "botocore.tokens.SSOTokenProvider._SSO_TOKEN_CACHE_DIR", str(team.folder / ".aws" / "sso" / "cache")
    )
    monkeypatch.setattr(
        "botocore.credentials.SSOProvider._SSO_TOKEN_CACHE_DIR", str(team.folder / ".aws" / "sso" / "cache")
    )
    session = boto3.session.Session(profile_name="reader")
    identity = session.client("sts").get_caller_identity()
    assert identity["Arn"].endswith(f"assumed-role/{READER}/alice")
    assert session.client("iam").list_roles()["Roles"]
    _, after = team.cached_token
    assert after["accessToken"] != before["accessToken"]


JAVASCRIPT = """
const { STSClient, GetCallerIdentityCommand } = require(process.argv[1]);
new STSClient({}).send(new GetCallerIdentityCommand({})).then((caller) => console.log(caller.Arn));
"""


def test_the_sdk_for_javascript_has_credentials_of_the_session_and_refreshes_it(
    team: Team, browser: Browser
) -> None:
    node = require_program("node")
    library = require_installed(
        ROOT / ".tools" / "aws-sdk-js" / "node_modules" / "@aws-sdk" / "client-sts",
        "the AWS SDK for JavaScript",
    )
    log_in(team, browser)
    _, before = team.cached_token
    for must_refresh in (False, True):
        if must_refresh:
            team.age_token()
        ran = subprocess.run(
            [node, "-e", JAVASCRIPT, library],
            env={**team.environment, "AWS_PROFILE": "reader"},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert ran.stdout.strip().endswith(f"assumed-role/{READER}/alice"), ran.stderr
    _, after = team.cached_token
    assert after["accessToken"] != before["accessToken"]


def test_accounts_and_roles_are_those_that_the_person_may_take(team: Team, browser: Browser) -> None:
    log_in(team, browser)
    token = team.cached_token[1]["accessToken"]
    portal = team.server.client("sso", None)
    found = portal.list_accounts(accessToken=token)["accountList"]
    assert [account["accountId"] for account in found] == [team.data.account_id]
    roles = portal.list_account_roles(accessToken=token, accountId=team.data.account_id)["roleList"]
    assert [role["roleName"] for role in roles] == [READER]
    assert portal.list_account_roles(accessToken=token, accountId=team.home.account_id)["roleList"] == []
    for name in ("somebody-elses", "no-such-role", READER.upper()):
        with pytest.raises(ClientError, match=r"ForbiddenException.*No access"):
            portal.get_role_credentials(accessToken=token, accountId=team.data.account_id, roleName=name)


def test_a_session_ends_with_the_user(team: Team, browser: Browser) -> None:
    log_in(team, browser)
    token = team.cached_token[1]["accessToken"]
    portal, iam = team.server.client("sso", None), team.server.client("iam", team.home.root)
    iam.delete_login_profile(UserName="alice")
    for key in iam.list_access_keys(UserName="alice")["AccessKeyMetadata"]:
        iam.delete_access_key(UserName="alice", AccessKeyId=key["AccessKeyId"])
    for name in iam.list_user_policies(UserName="alice")["PolicyNames"]:
        iam.delete_user_policy(UserName="alice", PolicyName=name)
    iam.delete_user(UserName="alice")
    with pytest.raises(portal.exceptions.UnauthorizedException):
        portal.list_accounts(accessToken=token)


def test_configure_sso_asks_the_portals_own_start_url(team: Team) -> None:
    """The start URL's two sides: a HEAD leads to a name of AWS's form, a browser to the first page."""
    client = Client(team.server)
    asked = client.send("HEAD", "/start", {})
    assert (asked.status, asked.header("Location")) == (302, "https://broker.portal.us-east-1.app.aws/")
    opened = client.get("/start")
    assert (opened.status, opened.header("Location")) == (303, "/access")


class Terminal:
    """A command in a terminal of its own: what it has said, and what a person types."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            command, env=environment, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        )
        os.close(slave)
        self.said = ""

    def wait_for(self, pattern: str) -> str:
        """What matches, in all that was said; an escape sequence that asks for the cursor is answered."""
        deadline = time.monotonic() + 40
        while not (found := re.search(pattern, self.said)):
            assert time.monotonic() < deadline, self.said
            if not select.select([self._master], [], [], 1)[0]:
                continue
            read = os.read(self._master, 65536).decode(errors="replace")
            if "\x1b[6n" in read:
                os.write(self._master, b"\x1b[1;1R")
            self.said += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", read)
        return found[0]

    def type(self, text: str) -> None:
        self.said = ""
        os.write(self._master, f"{text}\r".encode())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)


def test_configure_sso_asks_and_writes_a_profile(team: Team, browser: Browser) -> None:
    (team.folder / "config").write_text("")
    environment = {**team.environment, "TERM": "xterm", "PYTHONUNBUFFERED": "1"}
    terminal = Terminal([str(CLI_2), "configure", "sso", "--no-browser"], environment)
    try:
        with person(browser) as page:
            for question, answer in (
                (r"SSO session name", "team"),
                (r"SSO start URL", START_URL),
                (r"SSO region", REGION),
                (r"SSO registration scopes", ""),
            ):
                terminal.wait_for(question)
                terminal.type(answer)
            url = terminal.wait_for(r"http://\S*authorize\S+code_challenge=\S{43}")
            allow_in(page, team, url)
        for question, answer in (
            (r"Default client Region", REGION),
            (r"CLI default output format", "json"),
            (r"Profile name|profile name", "chosen"),
        ):
            terminal.wait_for(question)
            terminal.type(answer)
        terminal.process.wait(20)
    finally:
        terminal.close()
    written = (team.folder / "config").read_text()
    assert f"sso_account_id = {team.data.account_id}" in written
    assert f"sso_role_name = {READER}" in written
    assert team.identity("chosen")["Account"] == team.data.account_id
