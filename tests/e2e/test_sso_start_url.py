"""The portal's own start URL, under TLS, with the unmodified AWS CLI 2, which resolves it before it does anything."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.e2e.conftest import CLI_2, REGION
from tests.e2e.portal import PortalServer, person
from tests.e2e.scenes import allow, new_role, new_user, trust
from tests.e2e.test_sso_login import READER, Team, allow_in
from tests.e2e.test_tls import Authority

pytestmark = pytest.mark.skipif(
    not CLI_2.exists(), reason="no AWS CLI 2: scripts/aws-cli-2 could not fetch it"
)

OTHER_REGION = "eu-central-1"


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    folder = tmp_path_factory.mktemp("start-url")
    authority = Authority(folder / "authority")
    authority.folder.mkdir()
    authority.found()
    authority.issue("access.test")
    settings = {
        "BROKER_TLS_CERTIFICATE_FILE": str(authority.folder / "chain.pem"),
        "BROKER_TLS_KEY_FILE": str(authority.folder / "key.pem"),
        "BROKER_PORTAL_SSO_REGION": OTHER_REGION,
    }
    server = PortalServer(folder, f"sqlite:{folder / 'broker.db'}", environment=settings)
    with pytest.MonkeyPatch.context() as patch, server.running():
        patch.setenv("AWS_CA_BUNDLE", str(authority.certificate))
        home = server.new_account()
        new_user(server, home, "alice", allow("sts:AssumeRole"))
        user = f"arn:aws:iam::{home.account_id}:user/alice"
        new_role(server, home, READER, trust(user), allow("iam:ListRoles"))
        server.set_password(home, "alice")
        yield TrustingTeam(server, home, home, folder / "home")


class TrustingTeam(Team):
    """Whose CLI trusts the portal's authority, and no other."""

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, "AWS_CA_BUNDLE": str(self.folder.parent / "authority" / "ca.pem")}


def test_the_cli_takes_the_portals_own_address_and_the_region_that_it_names(
    team: Team, browser: Browser
) -> None:
    team.write_config(start_url=f"{team.server.origin}/start")
    config = team.folder / "config"
    assert f"sso_region = {REGION}" in config.read_text()
    with (
        person(browser, ignore_https_errors=True) as page,
        team.login("--sso-session", "team") as login,
    ):
        allow_in(page, team, login.url("authorize"))
        assert "Successfully logged into" in login.end()
    session, _, _ = config.read_text().partition("[profile")
    assert f"sso_region = {OTHER_REGION}" in session
    assert team.identity()["Arn"].endswith(f":assumed-role/{READER}/alice")


def test_the_cli_takes_no_address_that_leads_to_none_of_awss_form(team: Team) -> None:
    """So a portal behind a proxy has to let HEAD through, and no redirect of its own may come before."""
    for start_url in (f"{team.server.origin}/access", "http://127.0.0.1:1/start"):
        team.write_config(start_url=start_url)
        ended = team.aws("sso", "login", "--no-browser", "--sso-session", "team")
        assert ended.returncode != 0
        assert "start URL" in ended.stderr or "sso_start_url" in ended.stderr, ended.stderr
