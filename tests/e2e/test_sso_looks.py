"""How the pages that allow a client look: axe-core finds no fault, and var/screenshots has a picture of each."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.e2e.conftest import Account
from tests.e2e.looks import look_at
from tests.e2e.portal import PortalServer, person, sign_in
from tests.e2e.scenes import new_user
from tests.e2e.test_login import MAY_LOG_IN
from tests.e2e.test_login_attacks import CROSS_DEVICE, Cli
from tests.e2e.test_portal_looks import LARGEST_PAGE
from tests.e2e.test_sso_attacks import register


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PortalServer]:
    folder = tmp_path_factory.mktemp("looks")
    with PortalServer(folder, f"sqlite:{folder / 'broker.db'}").running() as running:
        assert isinstance(running, PortalServer)
        yield running


@pytest.fixture(scope="module")
def home(server: PortalServer) -> Account:
    made = server.new_account()
    new_user(server, made, "dana", MAY_LOG_IN)
    server.set_password(made, "dana")
    return made


def consent(page: Page, server: PortalServer) -> None:
    client = register(server, clientName="botocore-client-broker")
    page.goto(f"{server.origin}{client.authorize()}")


def device(page: Page, server: PortalServer) -> None:
    started = register(server, clientName="botocore-client-broker").start()
    page.goto(started["verificationUriComplete"])


def device_consent(page: Page, server: PortalServer) -> None:
    device(page, server)
    page.get_by_role("button", name="Continue").click()


def device_refused(page: Page, server: PortalServer) -> None:
    page.goto(f"{server.origin}/device?user_code=BBBB-BBBB")
    page.get_by_role("button", name="Continue").click()


def device_allowed(page: Page, server: PortalServer) -> None:
    device_consent(page, server)
    page.get_by_role("button", name="Allow access").click()


def login(page: Page, server: PortalServer) -> None:
    page.goto(f"{server.origin}{Cli(server).authorize()}")


def pasted(page: Page, server: PortalServer) -> None:
    address = f"{server.url}/v1/sessions/confirmation"
    page.goto(f"{server.origin}{Cli(server).authorize(client_id=CROSS_DEVICE, redirect_uri=address)}")
    page.get_by_role("button", name="Allow access").click()


PAGES: dict[str, Callable[[Page, PortalServer], None]] = {
    "consent": consent,
    "device": device,
    "device-consent": device_consent,
    "device-refused": device_refused,
    "device-allowed": device_allowed,
    "login-consent": login,
    "login-code": pasted,
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_no_fault_that_axe_finds_in_light_dark_and_narrow(
    server: PortalServer, home: Account, browser: Browser, name: str
) -> None:
    with person(browser) as page:
        sign_in(page, server.origin, home.account_id, "dana")
        PAGES[name](page, server)
        page.wait_for_load_state()
        assert len(page.content().encode()) < LARGEST_PAGE
        look_at(page, name)
