"""Your security: a person changes what proves that they are they, and ends what others might still hold."""

import json
import time
from base64 import b32decode
from collections.abc import Iterator

import boto3
import pytest
from playwright.sync_api import Browser, Page, expect

from broker.sealing.totp import STEP_SECONDS, totp
from tests.e2e.conftest import Account
from tests.e2e.portal import PASSWORD, Client, PortalServer, copied, person, sign_in
from tests.e2e.scenes import allow, new_role, new_user, records, trust


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PortalServer]:
    folder = tmp_path_factory.mktemp("security")
    server = PortalServer(folder, f"sqlite:{folder / 'broker.db'}")
    with server.running():
        yield server


@pytest.fixture(scope="module")
def home(server: PortalServer) -> Account:
    return server.new_account()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with person(browser, permissions=["clipboard-read", "clipboard-write"]) as opened:
        yield opened


def open_security(page: Page, server: PortalServer, home: Account, name: str) -> None:
    new_user(server, home, name, allow("iam:*"))
    server.set_password(home, name)
    sign_in(page, server.origin, home.account_id, name)
    page.get_by_role("link", name="Your security").click()


def change_password(page: Page, old: str, new: str, again: str) -> None:
    page.get_by_label("Current password").fill(old)
    page.get_by_label("New password", exact=True).fill(new)
    page.get_by_label("New password, once more").fill(again)
    page.get_by_role("button", name="Change password").click()


def test_a_password_is_changed_given_the_present_one(server: PortalServer, home: Account, page: Page) -> None:
    open_security(page, server, home, "alice")
    expect(page.get_by_text("At least 8 characters, and three of these")).to_be_visible()
    change_password(page, PASSWORD, "Another 2 Password", "Another 3 Password")
    expect(page.get_by_role("alert")).to_contain_text("differ")
    change_password(page, "wrong", "Another 2 Password", "Another 2 Password")
    expect(page.get_by_role("alert")).to_contain_text("The old password was incorrect.")
    expect(page.get_by_label("Current password")).to_be_focused()
    change_password(page, PASSWORD, "short", "short")
    expect(page.get_by_role("alert")).to_contain_text("This was not done")
    expect(page.get_by_label("New password", exact=True)).to_be_focused()
    change_password(page, PASSWORD, "Another 2 Password", "Another 2 Password")
    expect(page.get_by_text("Your password was changed just now.")).to_be_in_viewport()
    expect(page.get_by_role("alert")).to_have_count(0)
    assert Client(server).sign_in(home.account_id, "alice", PASSWORD).status == 403
    assert Client(server).sign_in(home.account_id, "alice", "Another 2 Password").status == 303
    written = json.dumps(records(server))
    assert "Another 2 Password" not in written
    assert "ChangePassword" in written


def test_the_accounts_rules_for_passwords_are_shown_to_who_may_not_read_its_policy(
    server: PortalServer, page: Page
) -> None:
    account = server.new_account()
    new_user(server, account, "rita")
    server.set_password(account, "rita")
    server.client("iam", account.root).update_account_password_policy(
        MinimumPasswordLength=14, RequireNumbers=True, RequireSymbols=True, PasswordReusePrevention=3
    )
    sign_in(page, server.origin, account.account_id, "rita")
    page.goto(f"{server.origin}/security")
    rules = "At least 14 characters. A digit. A symbol. None of your last 3."
    expect(page.get_by_text(rules, exact=True)).to_be_visible()


def test_a_device_is_enrolled_with_its_picture_and_asked_for_at_the_next_sign_in(
    server: PortalServer, home: Account, page: Page
) -> None:
    open_security(page, server, home, "erin")
    page.get_by_label("Name of the device").fill("erins phone")
    page.evaluate("document.querySelectorAll('form').forEach(form => form.noValidate = true)")
    page.get_by_role("button", name="Add a device").click()
    expect(page.get_by_role("alert")).to_contain_text("no spaces")
    expect(page.get_by_label("Name of the device")).to_have_value("erins phone")
    page.get_by_label("Name of the device").fill("erins-phone")
    page.get_by_role("button", name="Add a device").click()
    picture = page.get_by_role("img", name="QR code for the app")
    page.wait_for_load_state()  # it has no size before
    assert picture.evaluate("image => image.naturalWidth") > 100
    page.get_by_text("Enter the key by hand instead").click()
    seed = b32decode(page.locator(".seed").inner_text())
    step = int(time.time() // STEP_SECONDS)
    page.get_by_label("First code").fill("000000")
    page.get_by_label("Next code").fill("000001")
    page.get_by_role("button", name="Enable the device").click()
    expect(page.get_by_role("alert")).to_contain_text("This was not done")
    expect(page.get_by_role("alert")).to_be_in_viewport()
    expect(page.get_by_label("First code")).to_be_focused()
    page.get_by_label("First code").fill(totp(seed, step - 1))
    page.get_by_label("Next code").fill(totp(seed, step))
    page.get_by_role("button", name="Enable the device").click()
    expect(page.get_by_text("erins-phone", exact=True).first).to_be_visible()
    client = Client(server)
    assert client.sign_in(home.account_id, "erin").header("Location") == "/sign-in/code"
    assert "data:image" not in page.content()
    page.get_by_role("button", name="Remove erins-phone").click()
    expect(page.get_by_text("No second factor")).to_be_visible()
    assert Client(server).sign_in(home.account_id, "erin").header("Location") == "/access"
    devices = server.client("iam", home.root).list_virtual_mfa_devices(AssignmentStatus="Unassigned")
    assert devices["VirtualMFADevices"] == []  # so that its name can be used again


def test_the_root_user_enrols_a_device(server: PortalServer, home: Account, page: Page) -> None:
    account = server.new_account()
    server.set_password(account, None, "root has 1 Password")
    sign_in(page, server.origin, account.account_id, None, "root has 1 Password")
    page.get_by_role("link", name="Your security").click()
    expect(page.get_by_label("Current password")).to_have_count(0)
    page.get_by_role("button", name="Add a device").click()
    page.get_by_text("Enter the key by hand instead").click()
    seed = b32decode(page.locator(".seed").inner_text())
    step = int(time.time() // STEP_SECONDS)
    page.get_by_label("First code").fill(totp(seed, step - 1))
    page.get_by_label("Next code").fill(totp(seed, step))
    page.get_by_role("button", name="Enable the device").click()
    expect(page.get_by_text("No second factor")).to_have_count(0)
    summary = server.client("iam", account.root).get_account_summary()["SummaryMap"]
    assert summary["AccountMFAEnabled"] == 1


def test_an_access_key_is_made_used_switched_off_and_deleted(
    server: PortalServer, home: Account, page: Page
) -> None:
    open_security(page, server, home, "gina")
    page.get_by_role("button", name="Create access key").click()
    key_id = page.locator("#new-key-id").inner_text()
    secret = copied(page, page.get_by_role("button", name="Copy secret"))
    session = boto3.session.Session(key_id, secret, region_name="eu-west-1")
    arn = session.client("sts", endpoint_url=server.url).get_caller_identity()["Arn"]
    assert arn == f"arn:aws:iam::{home.account_id}:user/gina"
    page.goto(f"{server.origin}/security")
    expect(page.locator("#new-key-secret")).to_have_count(0)
    page.get_by_role("button", name=f"Deactivate {key_id}").click()
    page.get_by_role("button", name=f"Delete {key_id}").click()
    keys = server.client("iam", home.root).list_access_keys(UserName="gina")["AccessKeyMetadata"]
    assert key_id not in [one["AccessKeyId"] for one in keys]


def test_sessions_in_other_browsers_are_seen_and_ended(
    server: PortalServer, home: Account, page: Page
) -> None:
    open_security(page, server, home, "hugo")
    first, second = Client(server), Client(server)
    for client in (first, second):
        assert client.sign_in(home.account_id, "hugo").status == 303
    page.reload()
    sessions = page.locator("section[aria-labelledby=sessions] .row")
    expect(sessions).to_have_count(3)
    sessions.filter(has_not_text="this browser").first.get_by_role("button", name="End").click()
    expect(sessions).to_have_count(2)
    assert sorted(client.get("/access").status for client in (first, second)) == [200, 303]
    page.get_by_role("button", name="Sign out everywhere").click()
    expect(page).to_have_url(f"{server.origin}/sign-in")
    assert [client.get("/access").status for client in (first, second)] == [303, 303]
    assert "Your sign-in has ended." in first.get("/sign-in").body
    assert "Your sign-in has ended." not in Client(server).get("/sign-in").body
    assert [one["eventName"] for one in records(server)][-2:] == ["Logout", "Logout"]


def test_nobody_ends_the_sessions_of_somebody_else(server: PortalServer, home: Account) -> None:
    for name in ("ida", "jan"):
        new_user(server, home, name)
        server.set_password(home, name)
    ida, jan = Client(server), Client(server)
    assert ida.sign_in(home.account_id, "ida").status == 303
    assert jan.sign_in(home.account_id, "jan").status == 303
    own = ida.get("/security").body.partition('name="session" value="')[2].partition('"')[0]
    form = {"csrf_token": jan.get("/access").token, "session": own}
    assert jan.post("/security/sessions", form).status == 303
    assert ida.get("/access").status == 200


def test_who_acts_as_a_role_still_changes_their_own_security(
    server: PortalServer, home: Account, page: Page
) -> None:
    user = f"arn:aws:iam::{home.account_id}:user/kim"
    new_role(server, home, "helper", trust(f"arn:aws:iam::{home.account_id}:root"))
    open_security(page, server, home, "kim")
    iam = server.client("iam", home.root)
    iam.put_user_policy(
        UserName="kim",
        PolicyName="assume",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allow("sts:AssumeRole")]}),
    )
    page.get_by_role("link", name="Your access").click()
    page.get_by_role("button", name="Open console as helper").click()
    expect(page.locator(".who")).to_contain_text("as the role helper")
    page.get_by_role("link", name="Your security").click()
    page.get_by_role("button", name="Create access key").click()
    expect(page.locator("#new-key-id")).to_be_visible()
    made = [one for one in records(server) if one["eventName"] == "CreateAccessKey"][-1]
    assert made["userIdentity"]["arn"] == user
