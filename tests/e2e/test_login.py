"""`aws login` with the unmodified AWS CLI 2, on the same machine and on another; boto3 refreshes with a bound key."""

import base64
import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from awscrt.crypto import EC
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import CLI_2, REGION, Account
from tests.e2e.login_keys import lengthen_key, lengthened
from tests.e2e.portal import PASSWORD, PortalServer, person
from tests.e2e.scenes import allow, deny, new_user, records
from tests.e2e.test_sso_login import Terminal

pytestmark = pytest.mark.skipif(
    not CLI_2.exists(), reason="no AWS CLI 2: scripts/aws-cli-2 could not fetch it"
)

MAY_LOG_IN = allow(
    "signin:AuthorizeOAuth2Access",
    "signin:CreateOAuth2Token",
    on="arn:aws:signin:*:*:oauth2/public-client/*",
)


@dataclass
class Developer:
    """alice, and her home directory."""

    server: PortalServer
    account: Account
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
            "AWS_ENDPOINT_URL": self.server.url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_PAGER": "",
            "AWS_EC2_METADATA_DISABLED": "true",
            "TERM": "xterm",
            "PYTHONUNBUFFERED": "1",
            "BROWSER": "/bin/true",
        }

    @property
    def arn(self) -> str:
        return f"arn:aws:iam::{self.account.account_id}:user/alice"

    def aws(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [CLI_2, *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )

    @property
    def cached(self) -> tuple[Path, dict[str, Any]]:
        (path,) = (self.folder / "login").glob("*.json")
        return path, json.loads(path.read_text())

    def age(self) -> None:
        """Let the cached credentials be about to expire, as they are after a quarter of an hour."""
        path, content = self.cached
        aged = {**content, "accessToken": {**content["accessToken"], "expiresAt": "2020-01-01T00:00:00Z"}}
        path.write_text(json.dumps(aged))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PortalServer]:
    folder = tmp_path_factory.mktemp("login")
    made = PortalServer(folder, f"sqlite:{folder / 'broker.db'}")
    with made.running():
        yield made


@pytest.fixture
def alice(server: PortalServer, tmp_path: Path) -> Developer:
    account = server.new_account()
    new_user(server, account, "alice", MAY_LOG_IN)
    server.set_password(account, "alice")
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "config").write_text("")
    return Developer(server, account, folder)


def sign_in_at(page: Page, alice: Developer, url: str) -> None:
    page.goto(url)
    page.get_by_label("Account id or alias").fill(alice.account.account_id)
    page.get_by_label("User name").fill("alice")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def log_in(alice: Developer, browser: Browser) -> None:
    terminal = Terminal([str(CLI_2), "login"], alice.environment)
    try:
        url = terminal.wait_for(r"http://\S*/v1/authorize\?\S+code_challenge=\S{43}")
        with person(browser) as page:
            sign_in_at(page, alice, url)
            expect(page.get_by_text("AWS CLI (aws login)")).to_be_visible()
            page.get_by_role("button", name="Allow access").click()
            page.wait_for_load_state()
        assert terminal.process.wait(30) == 0, terminal.said
    finally:
        terminal.close()
    lengthen_key(alice.folder / "login")


def test_a_key_that_awscrt_has_written_too_short_is_the_same_when_it_is_lengthened() -> None:
    short = bytes.fromhex(
        "3076020101041f43ad0c725b89118c91d675336f7d60fb538b492b5aa9b7315ba640030c0167a00a06082a8648ce3d030107a14403"
        "42000403972c0f2f358e67f99f31aea85914cc93e24bf0cba1d86184cce2427002181342459db8165ff9c4f2ba2f6fe16198e5b4b1"
        "792e8aaecf367358c6ae67ee17d3"
    )
    pem = (
        f"-----BEGIN EC PRIVATE KEY-----\n{base64.b64encode(short).decode()}\n-----END EC PRIVATE KEY-----\n"
    )
    whole = base64.b64decode("".join(lengthened(pem).splitlines()[1:-1]))
    with pytest.raises(RuntimeError, match="UNSUPPORTED_KEY_FORMAT"):
        EC.new_key_from_der_data(short)
    assert EC.new_key_from_der_data(whole).get_public_coords()[0] == short[-64:-32]


def test_a_person_logs_in_and_refreshes_across_expiry(alice: Developer, browser: Browser) -> None:
    log_in(alice, browser)
    who = alice.aws("sts", "get-caller-identity")
    assert json.loads(who.stdout)["Arn"] == alice.arn, who.stderr
    assert f"login_session = {alice.arn}" in (alice.folder / "config").read_text()
    _, before = alice.cached
    alice.age()
    again = alice.aws("sts", "get-caller-identity")
    assert json.loads(again.stdout)["Arn"] == alice.arn, again.stderr
    _, after = alice.cached
    assert after["refreshToken"] != before["refreshToken"]
    assert after["accessToken"]["accessKeyId"] != before["accessToken"]["accessKeyId"]
    steps = [
        record["eventName"]
        for record in records(alice.server)
        if record["eventSource"] == "signin.amazonaws.com"
        and record.get("recipientAccountId") == alice.account.account_id
        and "OAuth2" in record["eventName"]
    ]
    assert steps == ["AuthorizeOAuth2Access", "CreateOAuth2Token", "CreateOAuth2Token"]


def test_boto3_refreshes_with_the_key_of_the_login(
    alice: Developer, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in(alice, browser)
    for name, value in alice.environment.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    _, before = alice.cached
    alice.age()
    assert boto3.session.Session().client("sts").get_caller_identity()["Arn"] == alice.arn
    assert alice.cached[1]["refreshToken"] != before["refreshToken"]


def test_another_machine_is_logged_in_by_what_the_page_shows(alice: Developer, browser: Browser) -> None:
    terminal = Terminal([str(CLI_2), "login", "--remote"], alice.environment)
    try:
        url = terminal.wait_for(r"http://\S*/v1/authorize\?\S+code_challenge=\S{43}")
        with person(browser) as page:
            sign_in_at(page, alice, url)
            page.get_by_role("button", name="Allow access").click()
            shown = page.locator("#pasted").inner_text()
        assert re.fullmatch(r"state=[0-9a-f-]{36}&code=[0-9a-f]{96}", base64.b64decode(shown).decode())
        terminal.type(shown)
        assert terminal.process.wait(30) == 0, terminal.said
    finally:
        terminal.close()
    assert json.loads(alice.aws("sts", "get-caller-identity").stdout)["Arn"] == alice.arn


def test_who_may_not_log_in_is_refused_by_the_gate(alice: Developer, browser: Browser) -> None:
    iam = alice.server.client("iam", alice.account.root)
    document = {"Version": "2012-10-17", "Statement": [deny("signin:AuthorizeOAuth2Access")]}
    iam.put_user_policy(UserName="alice", PolicyName="no", PolicyDocument=json.dumps(document))
    terminal = Terminal([str(CLI_2), "login"], alice.environment)
    try:
        url = terminal.wait_for(r"http://\S*/v1/authorize\?\S+code_challenge=\S{43}")
        with person(browser) as page:
            sign_in_at(page, alice, url)
            expect(page.get_by_text("signin:AuthorizeOAuth2Access")).to_be_visible()
    finally:
        terminal.close()
    refused = [record for record in records(alice.server) if record.get("errorCode") == "AccessDenied"]
    assert refused[-1]["eventName"] == "AuthorizeOAuth2Access"
