"""Passkeys in a browser: added, shown at the next sign-in, removed; Chromium's own virtual authenticator has them."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, CDPSession, Page, expect

from tests.e2e.conftest import Account
from tests.e2e.portal import Client, PortalServer, chromium, person, sign_in
from tests.e2e.scenes import allow, new_user, records


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


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
