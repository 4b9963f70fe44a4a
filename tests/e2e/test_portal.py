"""People sign in with a real browser, see the roles that are theirs, and use the credentials that they copy."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import Account, Server
from tests.e2e.portal import (
    PASSWORD,
    Client,
    PortalServer,
    person,
    sign_in,
)
from tests.e2e.scenes import Phone, allow, new_role, new_user, records, trust
from tests.e2e.test_tls import Authority
from tests.redis_server import RedisServer

READER = "data-reader"
INCORRECT = "Your authentication information is incorrect. Try again."


@dataclass
class World:
    """alice of one account may take a role there and one in the other; a third only with her second factor."""

    server: PortalServer
    home: Account
    data: Account
    alias: str

    @property
    def origin(self) -> str:
        return self.server.origin


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("portal")
    settings = {"BROKER_LISTEN_WORKERS": "2", "BROKER_PORTAL_HELP_TEXT": "Ask platform@example.com."}
    server = PortalServer(folder, f"sqlite:{folder / 'broker.db'}", environment=settings)
    with server.running():
        yield made_world(server)


def made_world(server: PortalServer) -> World:
    home, data = server.new_account(), server.new_account()
    world = World(server, home, data, f"home-{home.account_id}")
    server.client("iam", home.root).create_account_alias(AccountAlias=world.alias)
    user = f"arn:aws:iam::{home.account_id}:user/alice"
    may_assume = allow("sts:AssumeRole", on=f"arn:aws:iam::{data.account_id}:role/*")
    new_user(server, home, "alice", may_assume)
    new_user(server, home, "bob")
    new_role(server, home, "operator", trust(user), Description="Looks after <b>users</b> & roles.")
    new_role(
        server, data, READER, trust(user), allow("iam:ListRoles"), Path="/team/", MaxSessionDuration=43200
    )
    with_mfa = {"Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}}}
    new_role(server, data, "guarded", trust(user, **with_mfa))
    for_somebody_else = trust(f"arn:aws:iam::{home.account_id}:user/bob")
    new_role(server, data, "of-bob", for_somebody_else)
    for name in ("alice", "bob"):
        server.set_password(home, name)
    return world


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with person(browser, permissions=["clipboard-read", "clipboard-write"]) as opened:
        yield opened


def roles_on(page: Page) -> list[str]:
    return page.locator(".row-name a").all_inner_texts()


def last_sign_in(server: Server, outcome: str) -> dict[str, Any]:
    """The newest record of a sign-in with this outcome: those of failures are in a file of their own."""
    return [one for one in records(server) if one["responseElements"] == {"ConsoleLogin": outcome}][-1]


def test_a_person_signs_in_by_keyboard_alone_and_sees_their_roles_by_account(
    world: World, page: Page
) -> None:
    page.goto(world.origin)
    expect(page).to_have_url(f"{world.origin}/sign-in")
    keyboard = page.keyboard
    keyboard.type(world.alias)  # the first field has the focus
    keyboard.press("Tab")
    keyboard.type("alice")
    keyboard.press("Tab")
    keyboard.type(PASSWORD)
    keyboard.press("Enter")
    expect(page).to_have_url(f"{world.origin}/access")
    assert sorted(roles_on(page)) == ["data-reader", "operator"]
    shown = page.locator(".account header").all_inner_texts()
    assert any(world.data.account_id in text for text in shown)
    last = last_sign_in(world.server, "Success")
    assert last["userIdentity"]["arn"] == f"arn:aws:iam::{world.home.account_id}:user/alice"
    assert last["additionalEventData"]["MFAUsed"] == "No"
    assert last["eventType"] == "AwsConsoleSignIn"


@pytest.mark.parametrize(
    ("account", "user_name", "password", "reason"),
    [
        ("", "alice", "wrong", "the password is wrong"),
        ("", "nobody", PASSWORD, "there is no such user"),
        ("999999999999", "alice", PASSWORD, "there is no such account"),
        ("no-such-alias", "alice", PASSWORD, "there is no such account"),
    ],
)
def test_whatever_is_wrong_the_person_reads_one_sentence_and_the_journal_the_reason(
    world: World, page: Page, account: str, user_name: str, password: str, reason: str
) -> None:
    sign_in(page, world.origin, account or world.home.account_id, user_name, password)
    expect(page.get_by_role("alert")).to_have_text(INCORRECT)
    expect(page.get_by_label("Password", exact=True)).to_have_value("")
    last = last_sign_in(world.server, "Failure")
    assert last["errorMessage"] == reason
    identity = last["userIdentity"]
    assert identity["type"] == "Unknown"
    assert identity["userName"] == (
        "alice" if not account and user_name == "alice" else "HIDDEN_DUE_TO_SECURITY_REASONS"
    )


def test_copied_credentials_are_used_by_boto3_and_leave_the_record_of_assume_role(
    world: World, page: Page
) -> None:
    sign_in(page, world.origin, world.home.account_id, "alice")
    page.get_by_role("button", name=f"Get credentials of {READER}").click()
    expect(page.get_by_role("timer")).to_have_text(re.compile(r"(59:\d\d|1:00:00)"))
    expect(page.locator("#text-bash")).not_to_be_visible()
    page.locator(".form:visible").get_by_role("button", name="Copy").click()
    expect(page.locator(".form:visible").get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    values = dict(re.findall(r"^export (AWS_\w+)='([^']*)'$", copied, re.MULTILINE))
    session = boto3.session.Session(
        values["AWS_ACCESS_KEY_ID"], values["AWS_SECRET_ACCESS_KEY"], values["AWS_SESSION_TOKEN"], "eu-west-1"
    )
    arn = f"arn:aws:sts::{world.data.account_id}:assumed-role/{READER}/alice"
    assert session.client("sts", endpoint_url=world.server.url).get_caller_identity()["Arn"] == arn
    assert session.client("iam", endpoint_url=world.server.url).list_roles()["Roles"]
    record = [one for one in records(world.server) if one["eventName"] == "AssumeRole"][-1]
    assert record["userIdentity"]["arn"] == f"arn:aws:iam::{world.home.account_id}:user/alice"
    assert record["userIdentity"]["sessionContext"]["attributes"]["mfaAuthenticated"] == "false"
    assert record["responseElements"]["assumedRoleUser"]["arn"] == arn
    assert values["AWS_SECRET_ACCESS_KEY"] not in json.dumps(record)


def test_each_form_of_credentials_is_one_tab_away_by_keyboard(world: World, page: Page) -> None:
    sign_in(page, world.origin, world.home.account_id, "alice")
    page.get_by_role("button", name=f"Get credentials of {READER}").click()
    page.get_by_role("radio", name="bash").focus()
    for name in ("fish", "powershell", "file", "json"):
        page.keyboard.press("ArrowRight")
        expect(page.locator(".form:visible")).to_have_attribute("id", f"form-{name}")
    made = json.loads(page.locator("#text-json").text_content() or "")
    assert made["Version"] == 1
    assert made["AccessKeyId"].startswith("ASIA")
    file = page.locator("#text-file").text_content() or ""
    assert file.startswith(f"[{READER}]\naws_access_key_id = ASIA")


def test_the_session_length_is_chosen_up_to_what_the_role_gives(world: World, page: Page) -> None:
    sign_in(page, world.origin, world.home.account_id, "alice")
    page.get_by_role("link", name=READER).click()
    page.get_by_label("Session length").select_option("12 hours")
    page.get_by_role("button", name="Get credentials").click()
    expect(page.get_by_role("timer")).to_have_text(re.compile(r"(11:59:\d\d|12:00:00)"))


def test_who_asked_for_a_role_first_is_there_after_the_sign_in(world: World, page: Page) -> None:
    wanted = f"{world.origin}/access/{world.data.account_id}/team/{READER}"
    page.goto(wanted)
    expect(page).to_have_url(f"{world.origin}/sign-in")
    page.get_by_label("Account id or alias").fill(world.home.account_id)
    page.get_by_label("User name").fill("alice")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(wanted)


def test_the_sign_in_link_of_an_account_knows_its_name(world: World, page: Page) -> None:
    page.goto(f"{world.origin}/console/{world.alias}")
    expect(page.get_by_label("Account id or alias")).to_have_value(world.alias)
    expect(page.get_by_label("User name")).to_be_focused()


def test_roles_are_found_by_typing_and_by_asking_the_server(world: World, page: Page) -> None:
    sign_in(page, world.origin, world.home.account_id, "alice")
    page.keyboard.press("/")
    page.keyboard.type("oper")
    expect(page.locator(".row:visible")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{world.origin}/access?search=oper")
    assert roles_on(page) == ["operator"]


def test_text_of_others_is_shown_and_never_run(world: World, page: Page) -> None:
    sign_in(page, world.origin, world.home.account_id, "alice")
    expect(page.get_by_text("Looks after <b>users</b> & roles.")).to_be_visible()
    page.goto(f"{world.origin}/access?search=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
    expect(page.get_by_role("searchbox")).to_have_value('"><script>alert(1)</script>')


def test_all_of_it_works_without_a_script(world: World, browser: Browser) -> None:
    with person(browser, java_script_enabled=False) as page:
        sign_in(page, world.origin, world.home.account_id, "alice")
        page.get_by_role("button", name="Dark").click()
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        page.get_by_role("button", name="Get credentials of operator").click()
        page.get_by_text("fish", exact=True).click()
        page.locator(".form:visible summary").click()
        expect(page.locator("#text-fish")).to_contain_text("set -gx AWS_ACCESS_KEY_ID 'ASIA")
        page.get_by_role("button", name="Sign out").click()
        expect(page).to_have_url(f"{world.origin}/sign-in")


def test_the_theme_is_remembered_in_the_session(world: World, page: Page) -> None:
    sign_in(page, world.origin, world.home.account_id, "alice")
    with page.expect_response("**/theme"):
        page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.get_by_role("button", name="Dark")).to_have_attribute("aria-pressed", "true")


def test_signing_out_ends_the_session_for_whoever_kept_its_cookie(world: World, page: Page) -> None:
    sign_in(page, world.origin, world.home.account_id, "alice")
    kept = {cookie["name"]: cookie["value"] for cookie in page.context.cookies()}
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(f"{world.origin}/sign-in")
    assert page.context.cookies() == [] or "broker-session" not in {
        cookie["name"] for cookie in page.context.cookies()
    }
    answer = Client(world.server, kept).get("/access")
    assert (answer.status, answer.header("Location")) == (303, "/sign-in")
    assert records(world.server)[-1]["eventName"] == "Logout"


def test_a_second_factor_is_asked_for_and_opens_roles_that_want_one(world: World, page: Page) -> None:
    root = world.server.client("iam", world.home.root)
    phone = Phone(root, "alice")
    try:
        sign_in(page, world.origin, world.home.account_id, "alice")
        expect(page).to_have_url(f"{world.origin}/sign-in/code")
        checked = [one for one in records(world.server) if one["eventName"] == "CheckMfa"][-1]
        assert checked["userIdentity"]["userName"] == "alice"
        for code, is_right in (("000000", False), (phone.code(1), True)):
            page.get_by_label("Code of six digits").fill(code)
            page.keyboard.press("Enter")
            if not is_right:
                expect(page.get_by_role("alert")).to_contain_text("This code is not right.")
                failed = last_sign_in(world.server, "Failure")
                assert "is wrong, was used before" in failed["errorMessage"]
        expect(page).to_have_url(f"{world.origin}/access")
        assert "guarded" in roles_on(page)
        done = last_sign_in(world.server, "Success")["additionalEventData"]
        assert (done["MFAUsed"], done["MFAIdentifier"]) == ("Yes", phone.serial_number)
        page.get_by_role("button", name="Get credentials of guarded").click()
        expect(page.locator(".credentials")).to_be_visible()
        record = [one for one in records(world.server) if one["eventName"] == "AssumeRole"][-1]
        assert record["userIdentity"]["sessionContext"]["attributes"]["mfaAuthenticated"] == "true"
    finally:
        root.deactivate_mfa_device(UserName="alice", SerialNumber=phone.serial_number)


def test_a_code_that_was_used_is_no_second_factor_again(world: World) -> None:
    root = world.server.client("iam", world.home.root)
    new_user(world.server, world.home, "erin")
    world.server.set_password(world.home, "erin")
    phone = Phone(root, "erin")
    code = phone.code(1)
    for expected in (303, 403):
        client = Client(world.server)
        assert client.sign_in(world.home.account_id, "erin").header("Location") == "/sign-in/code"
        form = {"device": phone.serial_number, "code": code, "csrf_token": client.get("/sign-in/code").token}
        assert client.post("/sign-in/code", form).status == expected


def test_a_password_that_must_change_is_changed_first_and_ends_other_sessions(
    world: World, page: Page
) -> None:
    new_user(world.server, world.home, "frank")
    world.server.set_password(world.home, "frank")
    other = Client(world.server)
    assert other.sign_in(world.home.account_id, "frank").status == 303
    assert other.get("/access").status == 200
    world.server.set_password(world.home, "frank", "one-time 1 Pass", must_change=True)
    sign_in(page, world.origin, world.home.account_id, "frank", "one-time 1 Pass")
    expect(page).to_have_url(f"{world.origin}/sign-in/password")
    page.goto(f"{world.origin}/access")
    expect(page).to_have_url(f"{world.origin}/sign-in")
    sign_in(page, world.origin, world.home.account_id, "frank", "one-time 1 Pass")

    def change(new: str, again: str) -> None:
        page.get_by_label("Present password").fill("one-time 1 Pass")
        page.get_by_label("New password", exact=True).fill(new)
        page.get_by_label("New password, once more").fill(again)
        page.get_by_role("button", name="Change password and sign in").click()

    expect(page.get_by_text("At least eight characters of three of these kinds")).to_be_visible()
    change("Another 2 Password", "Another 3 Password")
    expect(page.get_by_role("alert")).to_contain_text("differ")
    expect(page.get_by_text("At least eight characters of three of these kinds")).to_be_visible()
    change("one-time 1 Pass", "one-time 1 Pass")
    expect(page.get_by_role("alert")).to_contain_text("The new password is the present one.")
    change("Another 2 Password", "Another 2 Password")
    expect(page).to_have_url(f"{world.origin}/access")
    expect(page.get_by_text("There is no role that you may take")).to_be_visible()
    assert other.get("/access").header("Location") == "/sign-in"
    assert Client(world.server).sign_in(world.home.account_id, "frank", "one-time 1 Pass").status == 403
    assert Client(world.server).sign_in(world.home.account_id, "frank", "Another 2 Password").status == 303


def test_the_root_user_signs_in_and_is_told_that_it_takes_no_roles(world: World, page: Page) -> None:
    world.server.set_password(world.data, None, "root has 1 Password")
    sign_in(page, world.origin, world.data.account_id, None, "root has 1 Password")
    expect(page.get_by_text("The root user takes no roles")).to_be_visible()
    assert last_sign_in(world.server, "Success")["userIdentity"] == {
        "type": "Root",
        "principalId": world.data.account_id,
        "arn": f"arn:aws:iam::{world.data.account_id}:root",
        "accountId": world.data.account_id,
    }


def test_a_session_ends_with_its_user_and_by_the_operators_command(world: World) -> None:
    for name in ("gina", "hugo"):
        new_user(world.server, world.home, name)
        world.server.set_password(world.home, name)
    gina, hugo = Client(world.server), Client(world.server)
    assert gina.sign_in(world.home.account_id, "gina").status == 303
    assert hugo.sign_in(world.home.account_id, "hugo").status == 303
    assert gina.get("/access").status == hugo.get("/access").status == 200
    iam = world.server.client("iam", world.home.root)
    key = iam.list_access_keys(UserName="gina")["AccessKeyMetadata"][0]["AccessKeyId"]
    iam.delete_access_key(UserName="gina", AccessKeyId=key)
    iam.delete_login_profile(UserName="gina")
    iam.delete_user(UserName="gina")
    assert gina.get("/access").header("Location") == "/sign-in"
    new_user(world.server, world.home, "gina")
    assert gina.get("/access").header("Location") == "/sign-in", "a namesake is somebody else"
    world.server.command("revoke", "user", f"arn:aws:iam::{world.home.account_id}:user/hugo")
    assert hugo.get("/access").header("Location") == "/sign-in"


def test_a_session_is_known_on_every_node_of_a_fleet(tmp_path: Path, redis_server: RedisServer) -> None:
    store = redis_server.new_store()
    first = PortalServer(tmp_path, store)
    with first.running():
        second = PortalServer(first.folder, store)
        with second.running():
            account = first.new_account()
            new_user(first, account, "alice")
            first.set_password(account, "alice")
            client = Client(first)
            assert client.sign_in(account.account_id, "alice").status == 303
            other = Client(second, client.cookies)
            assert other.get("/access").status == 200
            form = {"csrf_token": other.get("/access").token}
            assert other.post("/sign-out", form).status == 303
            assert client.get("/access").header("Location") == "/sign-in"


def test_a_browser_keeps_the_cookies_of_a_portal_under_tls(tmp_path: Path, browser: Browser) -> None:
    authority = Authority(tmp_path / "authority")
    authority.folder.mkdir()
    authority.found()
    authority.issue("broker")
    settings = {
        "BROKER_TLS_CERTIFICATE_FILE": str(authority.folder / "chain.pem"),
        "BROKER_TLS_KEY_FILE": str(authority.folder / "key.pem"),
    }
    server = PortalServer(tmp_path, f"sqlite:{tmp_path / 'broker.db'}", environment=settings)
    with server.running(), person(browser, ignore_https_errors=True) as page:
        account = server.new_account()
        server.command("root-password", account.account_id, entered="root has 1 Password")
        sign_in(page, server.origin, account.account_id, None, "root has 1 Password")
        expect(page).to_have_url(f"{server.origin}/access")
        (session,) = page.context.cookies()
        assert session["name"] == "__Host-broker-session"
        assert session["secure"]
        assert session["httpOnly"]
        page.get_by_role("button", name="Sign out").click()
        expect(page).to_have_url(f"{server.origin}/sign-in")
