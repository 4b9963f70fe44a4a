"""The README's third use, as it stands there: the demo's portal, its second button, `aws sso login` pasted from it."""

import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from playwright.sync_api import Browser, Page, expect

from broker.commands.demo_sign_in import find_python
from tests.e2e.conftest import CLI_2, ROOT
from tests.e2e.portal import PASSWORD, PortalServer, person, roles_on
from tests.e2e.portal import sign_in as sign_in_at_portal
from tests.e2e.scenes import records

WORKLOADS, DATA = "111111111111", "222222222222"
BUTTON = "Continue with Example Corp (demo)"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PortalServer]:
    # As scripts/serve does, where nobody has started it here before.
    subprocess.run(
        ["bash", "-euc", ". scripts/environment; environment .venv-demo scripts/locked/demo.txt"],
        cwd=ROOT,
        check=True,
    )
    assert find_python()
    folder = tmp_path_factory.mktemp("demo")
    server = PortalServer(folder, f"sqlite:{folder / 'broker.db'}", arguments=("--demo",))
    with server.running():
        yield server


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with person(browser) as opened:
        yield opened


def sign_in_with_the_second_button(page: Page, demo: PortalServer, name: str) -> None:
    page.goto(demo.origin)
    page.get_by_role("link", name=BUTTON).click()
    page.get_by_role("button", name=name, exact=True).click()
    page.wait_for_load_state()


def test_dana_signs_in_with_the_password_that_the_demo_prints(demo: PortalServer, page: Page) -> None:
    printed = re.search(r"^.*\bdana\b.*\s(\S+)$", demo.log.partition("One-time passwords")[2], re.MULTILINE)
    assert printed is not None, demo.log
    sign_in_at_portal(page, demo.origin, "workloads", "dana", printed[1])
    page.get_by_label("Current password").fill(printed[1])
    page.get_by_label("New password", exact=True).fill(PASSWORD)
    page.get_by_label("New password, once more").fill(PASSWORD)
    page.get_by_role("button", name="Change password and sign in").click()
    expect(page).to_have_url(f"{demo.origin}/access")
    assert sorted(roles_on(page)) == ["analyst", "operator", "steward"]
    assert page.locator("section.account").count() == 2


@pytest.mark.parametrize(
    ("name", "roles"),
    [("erin", ["analyst", "operator"]), ("frank", ["analyst", "operator", "steward"])],
)
def test_the_second_button_signs_in_at_a_provider_that_says_the_groups(
    demo: PortalServer, page: Page, name: str, roles: list[str]
) -> None:
    sign_in_with_the_second_button(page, demo, name)
    expect(page).to_have_url(f"{demo.origin}/access")
    assert sorted(roles_on(page)) == roles
    assert records(demo)[-1]["userIdentity"]["userName"] == f"{name}@example.com"


def test_the_readmes_lines_sign_in_the_terminal_of_who_used_the_second_button(
    demo: PortalServer, page: Page, tmp_path: Path
) -> None:
    third = (ROOT / "README.md").read_text("utf-8").partition("### People sign in with a browser")[2]
    pasted = re.search(r"```console\n(aws sso login .*?)```", third, re.DOTALL)
    assert pasted is not None
    asked, opener = tmp_path / "asked", tmp_path / "browser"
    opener.write_text(f'#!/bin/sh\necho "$1" > {asked}.new && mv {asked}.new {asked}\n')
    opener.chmod(0o700)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "aws").symlink_to(CLI_2)
    printed = dict(re.findall(r"^  export (AWS_\w+)=(\S+)$", demo.log, re.MULTILINE))
    plain = {name: text for name, text in os.environ.items() if not name.startswith(("AWS_", "BROKER_"))}
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    own = {"HOME": str(tmp_path), "PATH": path, "BROWSER": str(opener), "AWS_PAGER": ""}
    with subprocess.Popen(
        ["bash", "-euc", pasted[1]],
        env={**plain, **own, **printed},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as terminal:
        sign_in_with_the_second_button(page, demo, "erin")
        deadline = time.monotonic() + 40
        while not asked.exists():
            assert time.monotonic() < deadline and terminal.poll() is None
            time.sleep(0.05)
        page.goto(asked.read_text().strip())
        page.get_by_role("button", name="Allow access").click()
        page.wait_for_load_state()
        said, _ = terminal.communicate(timeout=60)
    assert terminal.returncode == 0, said
    assert f"arn:aws:sts::{DATA}:assumed-role/analyst/erin@example.com" in said


def test_the_provider_ends_with_the_demo_however_that_ends(tmp_path: Path) -> None:
    server = PortalServer(tmp_path, f"sqlite:{tmp_path / 'broker.db'}", arguments=("--demo",))
    with server.running():
        found = re.search(r"oidc-provider/(127\.0\.0\.1):(\d+)", _trust_of_analyst(server))
        assert found is not None
        address = (found[1], int(found[2]))
        socket.create_connection(address, timeout=5).close()
        assert server.process is not None
        server.process.kill()
        server.process.wait(10)
        deadline = time.monotonic() + 10
        while _is_open(address):
            assert time.monotonic() < deadline, "the provider still listens"
            time.sleep(0.05)


def _trust_of_analyst(server: PortalServer) -> str:
    printed = dict(re.findall(r"^  export (AWS_\w+)=(\S+)$", server.log, re.MULTILINE))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in printed.items():
            patch.setenv(name, value)
        iam = boto3.session.Session(profile_name="admin").client("iam")
        role = iam.get_role(RoleName="operator")["Role"]
    return str(role["AssumeRolePolicyDocument"])


def _is_open(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=1).close()
    except OSError:
        return False
    return True
