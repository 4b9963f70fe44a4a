"""`/federation`: a program's temporary credentials open the console in a browser, and nothing beside it."""

import json
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.conftest import Account, Keys
from tests.e2e.looks import look_at
from tests.e2e.portal import FORM, Answer, Client, PortalServer, person, sign_in
from tests.e2e.scenes import allow, assume, new_role, new_user, records, trust

AWS_CONSOLE = "https://console.aws.amazon.com/"


@dataclass
class World:
    """`dana` may take the role `reader`, whose sessions may look at users."""

    server: PortalServer
    home: Account
    dana: Keys
    role: str
    passwords: set[str] = field(default_factory=set)

    def credentials(self, **options: Any) -> Keys:
        return assume(self.server, self.dana, self.role, RoleSessionName="tool", **options)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("federation")
    server = PortalServer(folder, f"sqlite:{folder / 'broker.db'}")
    with server.running():
        home = server.new_account()
        dana = new_user(server, home, "dana", allow("sts:*", "iam:*"))
        trusted = trust(f"arn:aws:iam::{home.account_id}:root")
        role = new_role(server, home, "reader", trusted, allow("iam:ListUsers", "sts:AssumeRole"))
        yield World(server, home, dana, role)


def shown(keys: Keys) -> str:
    return json.dumps(
        {
            "sessionId": keys.access_key_id,
            "sessionKey": keys.secret_access_key,
            "sessionToken": keys.session_token,
        }
    )


def ask(world: World, keys: Keys | str, **more: str) -> Answer:
    session = keys if isinstance(keys, str) else shown(keys)
    query = urlencode({"Action": "getSigninToken", "Session": session, **more})
    return Client(world.server).get(f"/federation?{query}")


def token(world: World, keys: Keys, **more: str) -> str:
    answer = ask(world, keys, **more)
    assert answer.status == 200, answer.body
    return str(json.loads(answer.body)["SigninToken"])


def login(world: World, sign_in_token: str, destination: str = AWS_CONSOLE) -> str:
    query = {
        "Action": "login",
        "Issuer": "https://tool.example",
        "Destination": destination,
        "SigninToken": sign_in_token,
    }
    return f"/federation?{urlencode(query)}"


def overview(world: World) -> str:
    return f"/console/{world.home.account_id}/overview"


def test_credentials_open_the_console_of_their_role_in_a_browser(world: World, browser: Browser) -> None:
    with person(browser) as page:
        page.goto(world.server.origin + login(world, token(world, world.credentials())))
        expect(page).to_have_url(world.server.origin + overview(world))
        expect(page.locator(".who")).to_contain_text("as the role reader")
        expect(page.get_by_role("button", name="Leave the role")).to_have_count(0)
        page.get_by_role("list", name="Console").get_by_role("link", name="Users").click()
        expect(page.get_by_role("link", name="dana")).to_be_visible()
        for elsewhere in ("/access", "/security"):
            page.goto(world.server.origin + elsewhere)
            expect(page).to_have_url(world.server.origin + overview(world))
        page.get_by_role("button", name="Sign out").click()
        expect(page).to_have_url(f"{world.server.origin}/sign-in")
    arn = f"arn:aws:sts::{world.home.account_id}:assumed-role/reader/tool"
    for name in ("GetSigninToken", "ConsoleLogin", "ListUsers", "Logout"):
        assert [one for one in records(world.server) if one["eventName"] == name][-1]["userIdentity"][
            "arn"
        ] == arn


def test_a_session_of_the_console_is_good_for_nothing_else_and_never_for_root(world: World) -> None:
    client = Client(world.server)
    assert client.get(login(world, token(world, world.credentials()))).status == 303
    csrf = {"csrf_token": client.get(overview(world)).token}
    assert client.post("/security", {**csrf, "do": "CreateAccessKey"}).header("Location") == "/console"
    assert client.post("/console", csrf).header("Location") == "/console"
    role = f"/console/{world.home.account_id}/as/reader"
    assert client.post(role, csrf).header("Location") == "/console"
    assert client.get("/access").header("Location") == "/console"
    answer = client.post(
        f"/console/{world.home.account_id}/new/user", {**csrf, "do": "CreateUser", "UserName": "x"}
    )
    assert answer.status == 403
    assert "assumed-role/reader/tool is not authorized" in answer.body


def test_a_form_may_be_posted_by_programs(world: World) -> None:
    session = shown(world.credentials())
    client = Client(world.server)
    answer = client.post(
        "/federation", {"Action": "getSigninToken", "Session": session}, Origin="https://x.example"
    )
    assert answer.status == 200
    assert client.get(login(world, json.loads(answer.body)["SigninToken"])).status == 303


def test_a_form_that_is_posted_is_read_as_every_other_whole_and_in_time(world: World) -> None:
    client = Client(world.server)
    form = {"Action": "getSigninToken", "Session": shown(world.credentials())}
    assert client.post("/federation", form, Content_Type="application/json").status == 415
    # One byte of two is sent: nobody waits for the other for ever.
    connection = socket.create_connection(world.server.portal.split(":"), timeout=30)  # type: ignore[arg-type]
    head = f"POST /federation HTTP/1.1\r\nHost: {world.server.portal}\r\nContent-Type: {FORM}\r\n"
    with connection:
        connection.sendall(f"{head}Content-Length: 2\r\n\r\nA".encode())
        assert connection.recv(64).startswith(b"HTTP/1.1 408")


def test_a_sign_in_token_is_good_once(world: World) -> None:
    address = login(world, token(world, world.credentials()))
    assert Client(world.server).get(address).status == 303
    again = Client(world.server)
    assert again.get(address).status == 403
    assert again.cookies == {}
    failed = [one for one in records(world.server) if one["eventName"] == "ConsoleLogin"][-1]
    assert failed["errorMessage"] == "sign-in token: it was used before"


def signed_in(world: World, name: str = "mallory") -> Client:
    """Who came by a password."""
    if name not in world.passwords:
        new_user(world.server, world.home, name)
        world.server.set_password(world.home, name)
        world.passwords.add(name)
    client = Client(world.server)
    assert client.sign_in(world.home.account_id, name).status == 303
    return client


def logins(world: World) -> int:
    return sum(one["eventName"] == "ConsoleLogin" for one in records(world.server))


def test_a_link_does_not_replace_the_session_of_somebody_else_unasked(world: World) -> None:
    """Else a page could sign its visitors in as its owner (login CSRF)."""
    victim, address = signed_in(world), login(world, token(world, world.credentials()))
    before, counted = dict(victim.cookies), logins(world)
    asked = victim.get(address)
    assert (asked.status, victim.cookies, logins(world)) == (409, before, counted)
    assert "mallory" in asked.body
    assert f"arn:aws:sts::{world.home.account_id}:assumed-role/reader/tool" in asked.body
    fields = dict(re.findall(r'name="(SigninToken|Destination)" value="([^"]*)"', asked.body))
    for wrong in ({}, {"csrf_token": "0" * 32}):
        assert victim.post("/federation/replace", {**fields, **wrong}).status == 403
    own = {**fields, "csrf_token": asked.token}
    assert victim.post("/federation/replace", own, Origin="https://evil.example").status == 403
    assert victim.get(f"/federation/replace?{urlencode(own)}").status == 404
    assert "mallory" in victim.get("/access").body
    assert Client(world.server).get(address).status == 303  # nothing was used up


def test_a_person_who_goes_on_is_signed_out_and_then_in(world: World) -> None:
    victim = signed_in(world)
    before = dict(victim.cookies)
    asked = victim.get(login(world, token(world, world.credentials())))
    fields = dict(re.findall(r'name="(SigninToken|Destination|csrf_token)" value="([^"]*)"', asked.body))
    assert victim.post("/federation/replace", fields).header("Location") == overview(world)
    assert "as the role reader" in " ".join(re.sub("<[^>]+>", " ", victim.get(overview(world)).body).split())
    assert Client(world.server, before).get("/access").header("Location") == "/sign-in"
    proven = [one for one in records(world.server) if one["userIdentity"]["type"] != "Unknown"]
    ended, begun = [one for one in proven if one["eventName"] in ("Logout", "ConsoleLogin")][-2:]
    assert (ended["eventName"], ended["userIdentity"]["userName"]) == ("Logout", "mallory")
    assert begun["userIdentity"]["arn"].endswith("assumed-role/reader/tool")


def test_a_link_of_the_same_session_name_asks_nothing_and_of_another_asks(world: World) -> None:
    client = Client(world.server)
    for _ in range(2):
        assert client.get(login(world, token(world, world.credentials()))).status == 303
    other = assume(world.server, world.dana, world.role, RoleSessionName="other")
    assert client.get(login(world, token(world, other))).status == 409


@pytest.mark.parametrize("site", ["cross-site", "same-site", ""])
def test_a_link_of_another_site_signs_nobody_out_unasked(world: World, site: str) -> None:
    """Else a second link would sign in somebody else where nobody is signed in any more."""
    victim = signed_in(world)
    asked = victim.get("/federation?Action=logout", **({"Sec-Fetch-Site": site} if site else {}))
    assert asked.status == 200
    assert victim.get("/access").status == 200
    assert victim.post("/sign-out", {"csrf_token": asked.token}).status == 303
    assert victim.get("/access").status == 303


def test_a_tool_that_opens_the_browser_signs_out(world: World) -> None:
    client = signed_in(world)
    answer = client.get("/federation?Action=logout", **{"Sec-Fetch-Site": "none"})
    assert answer.header("Location") == "/sign-in"
    assert client.get("/access").status == 303
    assert Client(world.server).get("/federation?Action=logout").header("Location") == "/sign-in"


def test_a_person_in_a_browser_reads_who_would_be_signed_in(world: World, browser: Browser) -> None:
    signed_in(world)
    with person(browser) as page:
        sign_in(page, world.server.origin, world.home.account_id, "mallory")
        address = world.server.origin + login(world, token(world, world.credentials()))
        page.goto(address)
        look_at(page, "replace-session")
        page.get_by_role("link", name="Stay signed in").click()
        expect(page).to_have_url(f"{world.server.origin}/access")
        page.goto(address)
        page.get_by_role("button", name="Sign out and go on").click()
        expect(page.locator(".who")).to_contain_text("as the role reader")
        page.goto(f"{world.server.origin}/federation?Action=logout")
        expect(page).to_have_url(f"{world.server.origin}/sign-in")


def test_a_person_who_follows_a_link_that_signs_out_is_asked(world: World, browser: Browser) -> None:
    signed_in(world)
    with person(browser) as page:
        sign_in(page, world.server.origin, world.home.account_id, "mallory")
        page.goto(f"data:text/html,<a href='{world.server.origin}/federation?Action=logout'>elsewhere</a>")
        page.get_by_role("link", name="elsewhere").click()
        expect(page.get_by_role("heading", name="Sign out?")).to_be_visible()
        look_at(page, "ask-sign-out")
        page.get_by_role("main").get_by_role("button", name="Sign out").click()
        expect(page).to_have_url(f"{world.server.origin}/sign-in")


@pytest.mark.parametrize("part", ["sessionId", "sessionKey", "sessionToken"])
def test_credentials_of_which_a_part_is_wrong_get_no_token(world: World, part: str) -> None:
    wrong = json.loads(shown(world.credentials()))
    wrong[part] = json.loads(shown(world.credentials()))[part]
    answer = ask(world, json.dumps(wrong))
    assert answer.status == 400
    assert json.loads(answer.body)["Error"]["Message"] == "The credentials of the session are not valid."


def test_credentials_that_were_revoked_open_nothing_and_end_an_open_console(world: World) -> None:
    new_role(world.server, world.home, "gone", trust(f"arn:aws:iam::{world.home.account_id}:root"))
    arn = f"arn:aws:iam::{world.home.account_id}:role/gone"
    keys = assume(world.server, world.dana, arn)
    first, second = token(world, keys), token(world, keys, SessionDuration="43200")
    client = Client(world.server)
    assert client.get(login(world, first)).status == 303
    assert client.get(overview(world)).status == 200
    world.server.command("revoke", "role", arn)
    assert client.get(overview(world)).header("Location") == "/sign-in"
    assert Client(world.server).get(login(world, second)).status == 403
    assert ask(world, keys).status == 400


def test_only_roles_and_federated_users_open_the_console(world: World) -> None:
    sts = world.server.client("sts", world.dana)
    own = Keys.of(sts.get_session_token()["Credentials"])
    assert "GetFederationToken" in ask(world, own).body
    federated = Keys.of(sts.get_federation_token(Name="contractor")["Credentials"])
    assert ask(world, federated).status == 200
    assert "SessionDuration" in ask(world, federated, SessionDuration="3600").body
    chained = assume(world.server, world.credentials(), world.role)
    assert "SessionDuration" in ask(world, chained, SessionDuration="3600").body
    assert ask(world, chained).status == 200
    for wrong in ("899", "43201", "-1", "1e3", "٣٦٠٠"):
        assert ask(world, world.credentials(), SessionDuration=wrong).status == 400


@pytest.mark.parametrize(
    ("destination", "leads_to"),
    [
        ("", "overview"),
        ("https://us-east-1.console.aws.amazon.com/iam/home#/roles", "overview"),
        ("{origin}/console/{account}/users", "users"),
        ("{origin}/access", "overview"),
        ("{origin}//evil.example/", "overview"),
        ("{origin}/console/{account}/../../x", "overview"),
    ],
)
def test_a_destination_is_a_page_of_the_console(world: World, destination: str, leads_to: str) -> None:
    wanted = destination.format(origin=world.server.origin, account=world.home.account_id)
    answer = Client(world.server).get(login(world, token(world, world.credentials()), wanted))
    assert answer.header("Location") == f"/console/{world.home.account_id}/{leads_to}"


@pytest.mark.parametrize(
    "destination",
    [
        "https://evil.example/",
        "https://console.aws.amazon.com.evil.example/",
        "https://console.aws.amazon.com@evil.example/",
        "http://console.aws.amazon.com/",
        "//evil.example",
        "javascript:alert(1)",
        "https://[",
    ],
)
def test_a_destination_elsewhere_is_refused_and_uses_nothing_up(world: World, destination: str) -> None:
    sign_in_token = token(world, world.credentials())
    answer = Client(world.server).get(login(world, sign_in_token, destination))
    assert answer.status == 400
    assert answer.header("Location") == ""
    assert Client(world.server).get(login(world, sign_in_token)).status == 303


def test_secrets_of_a_sign_in_with_credentials_are_written_nowhere(world: World) -> None:
    keys = world.credentials()
    sign_in_token = token(world, keys)
    Client(world.server).get(login(world, sign_in_token))
    written = json.dumps(records(world.server)) + world.server.log
    for secret in (keys.secret_access_key, keys.session_token, sign_in_token):
        assert str(secret) not in written
