"""People of a real LDAP directory sign in to the portal, with a real browser."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import Account
from tests.e2e.portal import Client, PortalServer, person, roles_on
from tests.e2e.scenes import allow, new_role, records, trust
from tests.identity_providers.slapd import ADMIN, ADMIN_PASSWORD, GROUPS, PEOPLE, Slapd, group

PROVIDER = "ldap.example.com"
HOME = "111122223333"
READER = f"arn:aws:iam::{HOME}:role/reader"
INCORRECT = "Your authentication information is incorrect. Try again."


@dataclass
class Scene:
    server: PortalServer
    home: Account
    is_mapped: bool

    @property
    def origin(self) -> str:
        return self.server.origin


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with person(browser) as opened:
        yield opened


@pytest.fixture(scope="module", params=["by trust policies alone", "by a mapping of groups"])
def scene(
    request: pytest.FixtureRequest, slapd: Slapd, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    folder, is_mapped = tmp_path_factory.mktemp("portal"), "mapping" in request.param
    environment = {
        "BROKER_LDAP_SERVERS": slapd.tls_url,
        "BROKER_LDAP_PROVIDER": PROVIDER,
        "BROKER_LDAP_CERTIFICATE_AUTHORITIES": str(slapd.authority_file),
        "BROKER_LDAP_SEARCH_BASE": PEOPLE,
        "BROKER_LDAP_BIND_DN": ADMIN,
        "BROKER_LDAP_BIND_PASSWORD": ADMIN_PASSWORD,
        "BROKER_LDAP_GROUP_ATTRIBUTE": "",
        "BROKER_LDAP_GROUP_SEARCH_BASE": GROUPS,
        "BROKER_LDAP_NESTED_GROUPS": "true",
        "BROKER_LDAP_ROLES": json.dumps([f"{group('staff')} = {READER}"]) if is_mapped else "",
    }
    server = PortalServer(folder, f"sqlite:{folder / 'broker.db'}", environment=environment)
    with server.running():
        home = server.new_account(HOME)
        statement = {**trust("*"), "Principal": {"Federated": PROVIDER}, "Action": ACTION}
        staff = {"ForAnyValue:StringEquals": {"ldap:groups": group("staff")}}
        new_role(server, home, "reader", {**statement, "Condition": staff}, allow("iam:ListRoles"))
        new_role(server, home, "everybodys", statement, allow("iam:ListUsers"))
        new_role(server, home, "others", {**statement, "Principal": {"Federated": "other.example.com"}})
        yield Scene(server, home, is_mapped)


ACTION = "sts:AssumeRoleWithLDAPIdentity"


def sign_in(page: Page, scene: Scene, user_name: str, password: str) -> None:
    page.goto(scene.origin)
    page.get_by_role("link", name=f"Continue with {PROVIDER}").click()
    page.get_by_label("User name").fill(user_name)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_load_state()


def sign_ins(scene: Scene, outcome: str) -> list[dict[str, Any]]:
    return [one for one in records(scene.server) if one["responseElements"] == {"ConsoleLogin": outcome}]


def test_a_person_sees_the_roles_that_the_groups_give_and_gets_credentials(scene: Scene, page: Page) -> None:
    sign_in(page, scene, "alice", "her password")
    expect(page).to_have_url(f"{scene.origin}/access")
    assert roles_on(page) == (["reader"] if scene.is_mapped else ["everybodys", "reader"])
    page.get_by_role("button", name="Get credentials of reader").click()
    made = json.loads(page.locator("#text-json").text_content() or "")
    session = boto3.session.Session(
        made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"], "eu-west-1"
    )
    identity = session.client("sts", endpoint_url=scene.server.url).get_caller_identity()
    assert identity["Arn"] == f"arn:aws:sts::{HOME}:assumed-role/reader/alice"
    record = [one for one in records(scene.server) if one["eventName"] == "AssumeRoleWithLDAPIdentity"][-1]
    assert record["userIdentity"]["type"] == "LDAPUser"
    assert sign_ins(scene, "Success")[-1]["userIdentity"] == {
        "type": "LDAPUser",
        "principalId": f"{PROVIDER}:alice",
        "userName": "alice",
    }


def test_who_is_in_no_group_sees_what_is_everybodys(scene: Scene, page: Page) -> None:
    sign_in(page, scene, "bob", "his password")
    assert roles_on(page) == ([] if scene.is_mapped else ["everybodys"])


def test_a_role_that_no_group_gives_is_as_absent_as_any(scene: Scene) -> None:
    client = Client(scene.server)
    form = {"user_name": "bob", "password": "his password"}
    form["csrf_token"] = client.get("/sign-in/directory").token
    assert client.post("/sign-in/directory", form).status == 303
    token = client.get("/access").token
    assert client.post(f"/access/{HOME}/reader", {"csrf_token": token}).status == 404
    assert client.post(f"/access/{HOME}/others", {"csrf_token": token}).status == 404


@pytest.mark.parametrize(
    ("user_name", "password"),
    [
        ("alice", "wrong"),
        ("nobody", "x"),
        ("alice", ""),
        ("*", "her password"),
        ("alice)(uid=*", "her password"),
    ],
)
def test_whatever_is_wrong_the_person_reads_one_sentence(scene: Scene, user_name: str, password: str) -> None:
    client = Client(scene.server)
    before = len(sign_ins(scene, "Failure"))
    form = {"user_name": user_name, "password": password}
    form["csrf_token"] = client.get("/sign-in/directory").token
    answer = client.post("/sign-in/directory", form)
    assert answer.status == 403
    assert INCORRECT in answer.body
    failures = sign_ins(scene, "Failure")
    assert len(failures) == before + 1
    assert failures[-1]["errorMessage"].startswith("check failed: ")
    assert client.get("/access").status == 303


def test_a_form_from_another_site_does_nothing(scene: Scene) -> None:
    client = Client(scene.server)
    form = {"user_name": "alice", "password": "her password"}
    form["csrf_token"] = client.get("/sign-in/directory").token
    assert client.post("/sign-in/directory", form, Origin="https://evil.example").status == 403
    assert client.post("/sign-in/directory", {**form, "csrf_token": ""}).status == 403
    assert client.get("/access").status == 303


def directory_session(scene: Scene, user_name: str, password: str) -> Client:
    client = Client(scene.server)
    form = {"user_name": user_name, "password": password}
    form["csrf_token"] = client.get("/sign-in/directory").token
    assert client.post("/sign-in/directory", form).status == 303
    return client


def test_a_person_ends_one_session_or_the_operator_ends_all_of_them(scene: Scene) -> None:
    first, second, third = (directory_session(scene, "alice", "her password") for _ in range(3))
    of_bob = directory_session(scene, "bob", "his password")
    page = first.get("/security")
    shown = re.findall(r'name="session" value="(portal-[0-9a-f]{16})"', page.body)
    own = shown_id_of(first)
    other = next(one for one in shown if one in (shown_id_of(second), shown_id_of(third)))
    assert first.post("/security/sessions", {"csrf_token": page.token, "session": other}).status == 303
    assert first.get("/access").status == 200
    assert sorted(client.get("/access").status for client in (second, third)) == [200, 303]
    scene.server.command("revoke", "person", "alice", "--provider", PROVIDER)
    assert [client.get("/access").status for client in (first, second, third)] == [303, 303, 303]
    assert of_bob.get("/access").status == 200
    ended = [one for one in records(scene.server) if one["eventName"] == "EndPortalSessions"][-1]
    assert ended["requestParameters"]["person"] == "alice"
    assert own in ended["requestParameters"]["endedSessions"]
    assert other not in ended["requestParameters"]["endedSessions"]


def shown_id_of(client: Client) -> str:
    """What the page calls the session of this browser."""
    row = next(one for one in client.get("/security").body.split('<li class="row">') if "this browser" in one)
    found = re.search(r'name="session" value="([^"]+)"', row)
    assert found is not None
    return found[1]
