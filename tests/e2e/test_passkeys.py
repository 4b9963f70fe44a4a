"""Passkeys in a browser: added, shown at the next sign-in, removed; Chromium's own virtual authenticator has them."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, CDPSession, Page, expect

from tests.e2e.conftest import Account
from tests.e2e.looks import look_at
from tests.e2e.portal import Client, PortalServer, person, sign_in
from tests.e2e.scenes import Phone, allow, new_user, records


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PortalServer]:
    folder = tmp_path_factory.mktemp("passkeys")
    server = PortalServer(folder, f"sqlite:{folder / 'broker.db'}")
    with server.running():
        yield server


@pytest.fixture(scope="module")
def origin(server: PortalServer) -> str:
    """Browsers use passkeys under a name alone, and without TLS under this one."""
    return f"http://localhost:{server.portal.rpartition(':')[2]}"


@pytest.fixture(scope="module")
def home(server: PortalServer) -> Account:
    return server.new_account()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with person(browser) as opened:
        yield opened


class Authenticators:
    """Of one page. `uses` makes one that is touched at once; it is the only one then."""

    def __init__(self, page: Page) -> None:
        self.session: CDPSession = page.context.new_cdp_session(page)
        self.session.send("WebAuthn.enable")
        self.id = ""

    def uses(self, **options: Any) -> None:
        if self.id:
            self.session.send("WebAuthn.removeVirtualAuthenticator", {"authenticatorId": self.id})
        chosen = {
            "protocol": "ctap2",
            "transport": "usb",
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": True,
            "automaticPresenceSimulation": True,
            **options,
        }
        made = self.session.send("WebAuthn.addVirtualAuthenticator", {"options": chosen})
        self.id = made["authenticatorId"]

    def credentials(self) -> list[dict[str, Any]]:
        return list(self.session.send("WebAuthn.getCredentials", {"authenticatorId": self.id})["credentials"])


def add_passkey(page: Page, name: str) -> None:
    page.get_by_label("Name of the passkey").fill(name)
    page.get_by_role("button", name="Add a passkey").click()


def open_security(page: Page, server: PortalServer, origin: str, home: Account, name: str) -> None:
    new_user(server, home, name, allow("iam:*"))
    server.set_password(home, name)
    sign_in(page, origin, home.account_id, name)
    page.goto(f"{origin}/security")


def row_of(page: Page, name: str) -> Any:
    return page.locator("section[aria-labelledby=devices] .row").filter(has_text=name)


def test_a_passkey_is_added_shown_at_the_next_sign_in_and_removed(
    server: PortalServer, origin: str, home: Account, page: Page
) -> None:
    authenticators = Authenticators(page)
    authenticators.uses()
    open_security(page, server, origin, home, "alice")
    add_passkey(page, "yubikey")
    expect(row_of(page, "yubikey")).to_contain_text("last used never")
    (credential,) = authenticators.credentials()
    assert credential["rpId"] == "localhost"

    iam = server.client("iam", home.root)
    (device,) = iam.list_mfa_devices(UserName="alice")["MFADevices"]
    serial = device["SerialNumber"]
    assert re.fullmatch(rf"arn:aws:iam::{home.account_id}:u2f/user/alice/yubikey-[A-Z2-7]{{26}}", serial)
    assert iam.get_mfa_device(SerialNumber=serial, UserName="alice")["UserName"] == "alice"

    page.get_by_role("button", name="Sign out", exact=True).click()
    sign_in(page, origin, home.account_id, "alice")
    page.wait_for_url(f"{origin}/access")
    page.goto(f"{origin}/security")
    expect(row_of(page, "yubikey")).to_contain_text("last used just now")
    login = [one for one in records(server) if one["eventName"] == "ConsoleLogin"][-1]
    assert login["additionalEventData"]["MFAUsed"] == "Yes"
    assert login["additionalEventData"]["MFAIdentifier"] == serial

    page.get_by_role("button", name="Remove yubikey").click()
    expect(page.get_by_text("No second factor")).to_be_visible()
    assert iam.list_mfa_devices(UserName="alice")["MFADevices"] == []
    assert Client(server).sign_in(home.account_id, "alice").header("Location") == "/access"


def test_a_passkey_stands_beside_an_app_and_either_is_enough(
    server: PortalServer, origin: str, home: Account, page: Page
) -> None:
    authenticators = Authenticators(page)
    authenticators.uses()
    open_security(page, server, origin, home, "bob")
    add_passkey(page, "laptop")
    expect(row_of(page, "laptop")).to_be_visible()
    phone = Phone(server.client("iam", home.root), "bob")
    page.context.clear_cookies()
    authenticators.uses(automaticPresenceSimulation=False)
    sign_in(page, origin, home.account_id, "bob")
    page.get_by_label("Code of six digits").fill(phone.code(1))
    page.get_by_role("button", name="Sign in with the code").click()
    page.wait_for_url(f"{origin}/access")


def test_an_authenticator_that_has_a_passkey_makes_no_second_and_may_try_again(
    server: PortalServer, origin: str, home: Account, page: Page
) -> None:
    authenticators = Authenticators(page)
    authenticators.uses()
    open_security(page, server, origin, home, "carol")
    add_passkey(page, "first")
    expect(row_of(page, "first")).to_be_visible()
    add_passkey(page, "second")
    expect(page.get_by_text("has a passkey of yours already")).to_be_visible()
    authenticators.uses()
    page.get_by_role("button", name="Create the passkey").click()
    expect(row_of(page, "second")).to_be_visible()
    assert len(server.client("iam", home.root).list_mfa_devices(UserName="carol")["MFADevices"]) == 2


def test_the_root_user_adds_a_passkey(server: PortalServer, origin: str, page: Page) -> None:
    account = server.new_account()
    server.set_password(account, None, "root has 1 Password")
    Authenticators(page).uses()
    sign_in(page, origin, account.account_id, None, "root has 1 Password")
    page.goto(f"{origin}/security")
    add_passkey(page, "safe")
    expect(row_of(page, "safe")).to_be_visible()
    iam = server.client("iam", account.root)
    (device,) = iam.list_mfa_devices()["MFADevices"]
    assert device["SerialNumber"].startswith(f"arn:aws:iam::{account.account_id}:u2f/root/safe-")
    assert iam.get_account_summary()["SummaryMap"]["AccountMFAEnabled"] == 1
    page.context.clear_cookies()
    sign_in(page, origin, account.account_id, None, "root has 1 Password")
    page.wait_for_url(f"{origin}/access")


def waiting(page: Page, server: PortalServer, origin: str, home: Account) -> None:
    Authenticators(page).uses(automaticPresenceSimulation=False)
    sign_in(page, origin, home.account_id, "looks")


def by_address(page: Page, server: PortalServer, origin: str, home: Account) -> None:
    sign_in(page, server.origin, home.account_id, "looks")


def own_page(page: Page, server: PortalServer, origin: str, home: Account) -> None:
    Authenticators(page).uses()
    sign_in(page, origin, home.account_id, "owner")
    page.goto(f"{origin}/security")
    if not row_of(page, "work-yubikey").count():
        add_passkey(page, "work-yubikey")
        row_of(page, "work-yubikey").wait_for()
    page.locator("#devices").scroll_into_view_if_needed()


def adding(page: Page, server: PortalServer, origin: str, home: Account) -> None:
    Authenticators(page).uses(automaticPresenceSimulation=False)
    sign_in(page, origin, home.account_id, "adder")
    page.goto(f"{origin}/security")
    add_passkey(page, "work-yubikey")
    page.get_by_text("Your browser makes the passkey").wait_for()


PAGES = {
    "passkey-waiting": waiting,
    "passkey-by-address": by_address,
    "passkeys": own_page,
    "passkey-adding": adding,
}


@pytest.fixture(scope="module")
def people(server: PortalServer, origin: str, home: Account, browser: Browser) -> None:
    for name in ("looks", "owner", "adder"):
        new_user(server, home, name, allow("iam:*"))
        server.set_password(home, name)
    Phone(server.client("iam", home.root), "looks")
    with person(browser) as page:
        Authenticators(page).uses()
        iam = server.client("iam", home.root)
        (device,) = iam.list_mfa_devices(UserName="looks")["MFADevices"]
        iam.deactivate_mfa_device(UserName="looks", SerialNumber=device["SerialNumber"])
        sign_in(page, origin, home.account_id, "looks")
        page.goto(f"{origin}/security")
        add_passkey(page, "phone")
        row_of(page, "phone").wait_for()
    iam.delete_virtual_mfa_device(SerialNumber=device["SerialNumber"])
    Phone(iam, "looks")


@pytest.mark.parametrize("name", PAGES)
def test_pages_about_passkeys_have_no_fault_that_axe_finds(
    server: PortalServer, origin: str, home: Account, browser: Browser, people: None, name: str
) -> None:
    with person(browser) as page:
        PAGES[name](page, server, origin, home)
        look_at(page, name, height=900)


def test_without_scripts_the_page_says_what_is_missing(
    origin: str, home: Account, browser: Browser, people: None
) -> None:
    with person(browser, java_script_enabled=False) as plain:
        sign_in(plain, origin, home.account_id, "looks")
        expect(plain.get_by_text("Passkeys need JavaScript")).to_be_visible()
        expect(plain.get_by_role("button", name="Use a passkey")).to_have_count(0)
        expect(plain.get_by_role("button", name="Sign in with the code")).to_be_visible()
