"""A password that is changed, taken away or has to be changed ends what was begun with it, and nothing else."""

import http.client
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.e2e.conftest import Account, Keys
from tests.e2e.portal import FORM, PASSWORD, Client, PortalServer
from tests.e2e.scenes import Phone, allow, new_user

NEW = "Another 2 Password"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PortalServer]:
    folder = tmp_path_factory.mktemp("password-ends-sessions")
    server = PortalServer(folder, f"sqlite:{folder / 'broker.db'}")
    with server.running():
        yield server


@pytest.fixture(scope="module")
def home(server: PortalServer) -> Account:
    return server.new_account()


def signed_in(server: PortalServer, home: Account, name: str, password: str = PASSWORD) -> Client:
    client = Client(server)
    assert client.sign_in(home.account_id, name, password).header("Location") == "/access"
    return client


def lives(client: Client) -> bool:
    return client.get("/security").status == 200


def new_person(server: PortalServer, home: Account, name: str) -> Keys:
    keys = new_user(server, home, name, allow("iam:*"))
    server.set_password(home, name)
    return keys


def test_a_person_who_changes_the_password_stays_signed_in_here_alone(
    server: PortalServer, home: Account
) -> None:
    keys = new_person(server, home, "alice")
    new_person(server, home, "bob")
    here, there, of_bob = (signed_in(server, home, name) for name in ("alice", "alice", "bob"))
    form = {
        "csrf_token": here.get("/security").token,
        "do": "ChangePassword",
        "OldPassword": PASSWORD,
        "NewPassword": NEW,
        "repeated_password": NEW,
    }
    assert here.post("/security", {**form, "OldPassword": "wrong"}).status == 403
    assert lives(there), "a password that was not changed ends nothing"
    assert here.post("/security", form).status == 303
    assert (lives(here), lives(there), lives(of_bob)) == (True, False, True)
    assert server.client("sts", keys).get_caller_identity()["Arn"].endswith("/alice")


CHANGES: dict[str, Callable[[Any, str], Any]] = {
    "update": lambda iam, name: iam.update_login_profile(UserName=name, Password=NEW),
    "reset": lambda iam, name: iam.update_login_profile(UserName=name, PasswordResetRequired=True),
    "delete": lambda iam, name: iam.delete_login_profile(UserName=name),
}


@pytest.mark.parametrize("change", CHANGES)
def test_an_administrator_who_changes_the_password_ends_all_sessions(
    server: PortalServer, home: Account, change: str
) -> None:
    name = f"carol-{change}"
    new_person(server, home, name)
    sessions = [signed_in(server, home, name) for _ in range(2)]
    CHANGES[change](server.client("iam", home.root), name)
    assert [lives(one) for one in sessions] == [False, False]


def test_a_change_that_is_not_of_the_password_ends_nothing(server: PortalServer, home: Account) -> None:
    new_person(server, home, "dora")
    session = signed_in(server, home, "dora")
    iam = server.client("iam", home.root)
    iam.update_login_profile(UserName="dora", PasswordResetRequired=False)
    assert lives(session)


def test_an_access_key_that_changes_the_password_ends_all_sessions(
    server: PortalServer, home: Account
) -> None:
    keys = new_person(server, home, "erin")
    session = signed_in(server, home, "erin")
    server.client("iam", keys).change_password(OldPassword=PASSWORD, NewPassword=NEW)
    assert not lives(session)


def test_a_form_that_is_held_back_until_the_password_was_changed_does_nothing(
    server: PortalServer, home: Account
) -> None:
    new_person(server, home, "henry")
    stolen = signed_in(server, home, "henry")
    form = urlencode({"csrf_token": stolen.get("/security").token, "do": "CreateAccessKey"}).encode()
    cookie = "; ".join(f"{name}={value}" for name, value in stolen.cookies.items())
    connection = http.client.HTTPConnection(server.portal, timeout=20)
    connection.putrequest("POST", "/security")
    for name, value in {"Content-Type": FORM, "Origin": server.origin, "Cookie": cookie}.items():
        connection.putheader(name, value)
    connection.putheader("Content-Length", str(len(form)))
    connection.endheaders(form[:-1])
    time.sleep(0.5)  # the session is found, and the form waited for
    iam = server.client("iam", home.root)
    before = iam.list_access_keys(UserName="henry")["AccessKeyMetadata"]
    iam.update_login_profile(UserName="henry", Password=NEW)
    connection.send(form[-1:])
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("Location")) == (303, "/sign-in")
    connection.close()
    assert iam.list_access_keys(UserName="henry")["AccessKeyMetadata"] == before


def test_the_operator_who_sets_or_removes_root_s_password_ends_root_s_sessions(server: PortalServer) -> None:
    account = server.new_account()

    def root(password: str) -> Client:
        client = Client(server)
        form = {"account": account.account_id, "password": password, "csrf_token": ""}
        form["csrf_token"] = client.get("/sign-in/root").token
        assert client.post("/sign-in/root", form).header("Location") == "/access"
        return client

    server.set_password(account, None)
    first = root(PASSWORD)
    server.set_password(account, None, NEW)
    assert not lives(first)
    second = root(NEW)
    server.command("root-password", account.account_id, "--remove")
    assert not lives(second)


def test_a_sign_in_that_is_half_way_ends_with_the_password_that_began_it(
    server: PortalServer, home: Account
) -> None:
    new_person(server, home, "frank")
    iam = server.client("iam", home.root)
    phone = Phone(iam, "frank")
    client = Client(server)
    assert client.sign_in(home.account_id, "frank").header("Location") == "/sign-in/code"
    form = {
        "csrf_token": client.get("/sign-in/code").token,
        "device": phone.serial_number,
        "code": phone.code(1),
    }
    iam.update_login_profile(UserName="frank", Password=NEW)
    refused = client.post("/sign-in/code", form)
    assert refused.status == 403
    assert "changed meanwhile" in refused.body
    assert not lives(client)


def test_a_password_that_has_to_be_changed_at_the_sign_in_still_opens_the_portal(
    server: PortalServer, home: Account
) -> None:
    new_person(server, home, "gina")
    before = signed_in(server, home, "gina")
    server.set_password(home, "gina", must_change=True)
    assert not lives(before)
    client = Client(server)
    assert client.sign_in(home.account_id, "gina").header("Location") == "/sign-in/password"
    form = {
        "csrf_token": client.get("/sign-in/password").token,
        "password": PASSWORD,
        "new_password": NEW,
        "repeated_password": NEW,
    }
    assert client.post("/sign-in/password", form).header("Location") == "/access"
    assert lives(client)
