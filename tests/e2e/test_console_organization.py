"""The console's page of the organization in a real browser: its tree, its policies, what an account may do at most."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import Account
from tests.e2e.portal import PortalServer, person, sign_in
from tests.e2e.scenes import allow, document, new_user, refused


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PortalServer]:
    folder = tmp_path_factory.mktemp("organization")
    server = PortalServer(folder, f"sqlite:{folder / 'broker.db'}")
    with server.running():
        yield server


def opened(browser: Browser, server: PortalServer, account: Account, name: str) -> Iterator[Page]:
    with person(browser) as page:
        sign_in(page, server.origin, account.account_id, name)
        page.get_by_role("button", name=f"Open console as {name}").click()
        page.get_by_role("list", name="Console").get_by_role("link", name="Organization").click()
        yield page


def test_an_organization_is_made_and_limits_an_account_that_accepts(
    browser: Browser, server: PortalServer
) -> None:
    home, other = server.new_account(), server.new_account()
    for account, name in ((home, "dana"), (other, "otto")):
        new_user(server, account, name, allow("iam:*", "organizations:*"))
        server.set_password(account, name)
    for page in opened(browser, server, home, "dana"):
        expect(page.get_by_text("This account is not a member of an organization")).to_be_visible()
        page.get_by_role("button", name="Create organization").click()
        expect(page.get_by_role("heading", name="What Root may do at most")).to_be_visible()
        page.get_by_role("button", name="Enable service control policy").click()
        page.get_by_label("Policy name").fill("no users")
        page.get_by_label("Description").fill("Nobody lists users.")
        page.get_by_label("Document").fill(
            document({"Effect": "Deny", "Action": "iam:ListUsers", "Resource": "*"})
        )
        page.get_by_role("button", name="Create policy").click()
        page.get_by_label("Policy", exact=True).select_option(label="no users (service control policy)")
        page.get_by_role("button", name="Attach to Root").click()
        expect(page.locator("#content")).to_contain_text("iam:ListUsers")
        page.get_by_label("Name of the unit").fill("team")
        page.get_by_role("button", name="Create unit").click()
        page.get_by_label("Account id").fill(other.account_id)
        page.get_by_role("button", name="Invite account").click()
        expect(page.get_by_role("button", name="Cancel invitation")).to_be_visible()
    iam = server.client("iam", other.root)
    assert iam.list_users()["Users"]
    for page in opened(browser, server, other, "otto"):
        page.get_by_role("button", name="Accept").click()
        expect(page.get_by_text("This account is a member")).to_be_visible()
        expect(page.locator("#content")).to_contain_text(
            "You don't have permissions to access this resource."
        )
    assert refused(iam.list_users)[1] == "AccessDenied"
    for page in opened(browser, server, home, "dana"):
        page.get_by_role("list", name="Tree").get_by_role("link", name=other.account_id).click()
        expect(page.get_by_role("heading", name=f"What {other.account_id} may do at most")).to_be_visible()
        page.get_by_label("To", exact=True).select_option(label="team")
        page.get_by_role("button", name="Move account").click()
        expect(page.locator("#content")).to_contain_text("unit team")
        page.get_by_role("button", name="Detach FullAWSAccess").click()
        expect(page.get_by_role("alert")).to_contain_text("You cannot remove the last policy")
        page.get_by_role("list", name="Tree").get_by_role("link", name="Root").click()
        page.get_by_role("button", name="Detach no users").click()
        expect(page.get_by_role("button", name="Detach no users")).to_have_count(0)
    assert iam.list_users()["Users"]
