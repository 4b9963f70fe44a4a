"""How the pages look: axe-core finds no fault, they are small, and var/screenshots has a picture of each to look at."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.e2e.conftest import Account
from tests.e2e.looks import faults_of, look_at
from tests.e2e.portal import PortalServer, person, sign_in
from tests.e2e.scenes import Phone, allow, new_role, new_user, trust

LARGEST_PAGE = 60_000  # bytes


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PortalServer]:
    folder = tmp_path_factory.mktemp("portal")
    settings = {"BROKER_PORTAL_HELP_TEXT": "No account yet? Write to platform@example.com."}
    server = PortalServer(folder, f"sqlite:{folder / 'broker.db'}", environment=settings)
    with server.running():
        yield server


@pytest.fixture(scope="module")
def home(server: PortalServer) -> Account:
    """One person with roles in two accounts, one without any, one whose password must change, one with a device."""
    home = server.new_account()
    user = f"arn:aws:iam::{home.account_id}:user/dana"
    new_user(server, home, "dana", allow("sts:AssumeRole"))
    for alias, roles in (
        (
            "analytics",
            {"analyst": "Reads what the data account keeps.", "steward": "Changes who may read it."},
        ),
        (
            "production",
            {"operator": "Looks after the services at night.", "a-role-without-a-description": ""},
        ),
    ):
        account = server.new_account()
        server.client("iam", account.root).create_account_alias(AccountAlias=f"{alias}-{account.account_id}")
        for name, description in roles.items():
            options = {"Description": description} if description else {}
            new_role(server, account, name, trust(user), MaxSessionDuration=43200, Path="/people/", **options)
    for name in ("dana", "frank", "nobody", "erin"):
        if name != "dana":
            new_user(server, home, name)
        server.set_password(home, name, must_change=name == "frank")
    Phone(server.client("iam", home.root), "erin")
    server.set_password(home, None, "root has 1 Password")
    return home


def get_credentials(page: Page, server: PortalServer, home: Account) -> None:
    sign_in(page, server.origin, home.account_id, "dana")
    page.get_by_role("button", name="Get credentials of analyst").click()


def shown_credentials(page: Page, server: PortalServer, home: Account) -> None:
    get_credentials(page, server, home)
    page.get_by_text("JSON", exact=True).click()
    page.locator(".form:visible summary").click()


def role_page(page: Page, server: PortalServer, home: Account) -> None:
    sign_in(page, server.origin, home.account_id, "dana")
    page.get_by_role("link", name="steward").click()


def no_such_page(page: Page, server: PortalServer, home: Account) -> None:
    page.goto(f"{server.origin}/nowhere")


PAGES: dict[str, Callable[[Page, PortalServer, Account], object]] = {
    "sign-in": lambda page, server, home: page.goto(f"{server.origin}/console/{home.account_id}"),
    "sign-in-as-root": lambda page, server, home: page.goto(f"{server.origin}/sign-in/root"),
    "sign-in-refused": lambda page, server, home: sign_in(
        page, server.origin, home.account_id, "dana", "wrong"
    ),
    "second-factor": lambda page, server, home: sign_in(page, server.origin, home.account_id, "erin"),
    "new-password": lambda page, server, home: sign_in(page, server.origin, home.account_id, "frank"),
    "access": lambda page, server, home: sign_in(page, server.origin, home.account_id, "dana"),
    "access-none": lambda page, server, home: sign_in(page, server.origin, home.account_id, "nobody"),
    "access-root": lambda page, server, home: sign_in(
        page, server.origin, home.account_id, None, "root has 1 Password"
    ),
    "role": role_page,
    "credentials": get_credentials,
    "credentials-shown": shown_credentials,
    "error": no_such_page,
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_no_fault_that_axe_finds_in_light_dark_and_narrow(
    server: PortalServer, home: Account, browser: Browser, name: str
) -> None:
    with person(browser) as page:
        PAGES[name](page, server, home)
        page.wait_for_load_state()
        assert len(page.content().encode()) < LARGEST_PAGE
        look_at(page, name)


def test_axe_does_find_faults(browser: Browser) -> None:
    with person(browser) as page:
        page.set_content("<html><body><input><p style='color:#ccc;background:#fff'>pale</p></body></html>")
        found = " ".join(faults_of(page))
        assert "color-contrast" in found
        assert "label" in found


def test_a_page_of_very_many_roles_is_small(server: PortalServer, browser: Browser) -> None:
    account = server.new_account()
    new_user(server, account, "rich")
    server.set_password(account, "rich")
    user = f"arn:aws:iam::{account.account_id}:user/rich"
    for number in range(120):
        description = "Looks after one of very many services."
        new_role(server, account, f"service-{number:03}-operator", trust(user), Description=description)
    with person(browser) as page:
        sign_in(page, server.origin, account.account_id, "rich")
        assert page.locator(".row").count() == 75
        assert "45 more." in page.content()
        assert len(page.content().encode()) < LARGEST_PAGE
        page.goto(f"{server.origin}/access?search=service-119")
        assert page.locator(".row").count() == 1
