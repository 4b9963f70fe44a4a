"""`aws sso login` with the AWS CLI of Debian 12 (2.9), unmodified: it knows no endpoints, but has a data path."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.e2e.conftest import ROOT
from tests.e2e.portal import PortalServer, person
from tests.e2e.scenes import allow, new_role, new_user, trust
from tests.e2e.test_sso_login import READER, Team, allow_in

EXAMPLE = ROOT / "config" / "examples" / "older-cli"
DEBIANS_CLI = Path("/usr/bin/aws")

pytestmark = pytest.mark.skipif(
    not DEBIANS_CLI.exists(), reason="no AWS CLI of the distribution: apt-get install awscli"
)


@dataclass
class OlderTeam(Team):
    cli: Path = DEBIANS_CLI

    @property
    def environment(self) -> dict[str, str]:
        """No endpoint is set: were one obeyed, nothing would be shown of the data path."""
        usual = super().environment
        del usual["AWS_ENDPOINT_URL"]
        return {**usual, "AWS_DATA_PATH": str(self.folder / ".broker" / "models")}

    def follow_the_guide(self) -> None:
        """The commands of the example, with the broker's address in place of the guide's."""
        (commands,) = re.findall(r"```bash\n(.*?)```", (EXAMPLE / "README.md").read_text(), re.DOTALL)
        script = commands.replace("https://sts.example.com", self.server.url)
        subprocess.run(["bash", "-euc", script], cwd=EXAMPLE, env=self.environment, check=True)


@pytest.fixture
def team(tmp_path: Path) -> Iterator[OlderTeam]:
    server = PortalServer(tmp_path, f"sqlite:{tmp_path / 'broker.db'}")
    with server.running():
        home, data = server.new_account(), server.new_account()
        new_user(server, home, "alice", allow("sts:AssumeRole"))
        user = f"arn:aws:iam::{home.account_id}:user/alice"
        new_role(server, data, READER, trust(user), allow("iam:ListRoles"), Path="/team/")
        server.set_password(home, "alice")
        made = OlderTeam(server, home, data, tmp_path / "home")
        made.write_config()
        made.follow_the_guide()
        yield made


def test_a_person_signs_in_gets_credentials_renews_them_and_signs_out(
    team: OlderTeam, browser: Browser
) -> None:
    with person(browser) as page, team.login("--profile", "reader") as login:
        allow_in(page, team, login.url("user_code="))
        assert "Successfully logged into" in login.end()
    arn = f"arn:aws:sts::{team.data.account_id}:assumed-role/{READER}/alice"
    assert team.identity()["Arn"] == arn
    assert team.aws("iam", "list-roles", "--profile", "reader").returncode == 0
    _, before = team.cached_token
    team.age_token()
    shutil.rmtree(team.folder / ".aws" / "cli")  # the credentials of the role
    assert team.identity()["Arn"] == arn
    _, after = team.cached_token
    assert after["refreshToken"] != before["refreshToken"]
    assert team.aws("sso", "logout").returncode == 0
    assert team.aws("sts", "get-caller-identity", "--profile", "reader").returncode != 0
    oidc = team.server.client("sso", None)
    with pytest.raises(oidc.exceptions.UnauthorizedException):
        oidc.list_accounts(accessToken=after["accessToken"])
