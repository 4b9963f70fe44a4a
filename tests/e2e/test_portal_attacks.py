"""What attackers try at the portal, each refused; they send whatever they like."""

import re
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Account
from tests.e2e.portal import PASSWORD, Client, PortalServer
from tests.e2e.scenes import allow, new_role, new_user, records, trust
from tests.e2e.test_tls import Authority

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
NOT_BELIEVED = "The form was not taken"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PortalServer]:
    folder = tmp_path_factory.mktemp("portal")
    with PortalServer(folder, f"sqlite:{folder / 'broker.db'}").running() as running:
        assert isinstance(running, PortalServer)
        yield running


@pytest.fixture(scope="module")
def account(server: PortalServer) -> Account:
    made = server.new_account()
    new_user(server, made, "alice", allow("sts:AssumeRole"))
    new_user(server, made, "mallory")
    for name in ("alice", "mallory"):
        server.set_password(made, name)
    user = f"arn:aws:iam::{made.account_id}:user/alice"
    new_role(server, made, "reader", trust(user))
    return made


@pytest.fixture
def alice(server: PortalServer, account: Account) -> Client:
    client = Client(server)
    assert client.sign_in(account.account_id, "alice").status == 303
    return client


def role_path(account: Account) -> str:
    return f"/access/{account.account_id}/reader"


def assumptions(server: PortalServer) -> int:
    return sum(record["eventName"] == "AssumeRole" for record in records(server))


@pytest.mark.parametrize("token", ["", "0" * 32, "of mallory"])
def test_a_form_without_the_token_of_its_session_does_nothing(
    server: PortalServer, account: Account, alice: Client, token: str
) -> None:
    if token == "of mallory":
        mallory = Client(server)
        mallory.sign_in(account.account_id, "mallory")
        token = mallory.get("/access").token
    before = assumptions(server)
    answer = alice.post(role_path(account), {"csrf_token": token})
    assert answer.status == 403
    assert NOT_BELIEVED in answer.body
    assert alice.post("/sign-out", {"csrf_token": token}).status == 403
    assert alice.get("/access").status == 200
    assert assumptions(server) == before


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1"},
        {"Origin": "http://localhost:1"},
    ],
)
def test_a_form_from_another_site_does_nothing_even_with_the_token(
    server: PortalServer, account: Account, alice: Client, headers: dict[str, str]
) -> None:
    form = {"csrf_token": alice.get("/access").token}
    assert alice.post(role_path(account), form, **headers).status == 403
    assert alice.post("/sign-out", form, **headers).status == 403
    assert alice.get("/access").status == 200


def test_a_browser_that_says_no_origin_says_by_fetch_metadata_where_a_form_is_from(
    account: Account, alice: Client
) -> None:
    body = f"csrf_token={alice.get('/access').token}".encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    path = role_path(account)
    assert alice.send("POST", path, {**headers, "Sec-Fetch-Site": "cross-site"}, body).status == 403
    assert alice.send("POST", path, {**headers, "Sec-Fetch-Site": "same-origin"}, body).status == 200


def test_a_sign_in_form_is_good_only_in_the_browser_that_asked_for_it(
    server: PortalServer, account: Account
) -> None:
    """Else a page could sign its visitors in as its owner (login CSRF)."""
    token = Client(server).get("/sign-in").token
    form = {"account": account.account_id, "user_name": "alice", "password": PASSWORD, "csrf_token": token}
    without_cookie = Client(server).post("/sign-in", form)
    assert without_cookie.status == 403
    other = Client(server)
    other.get("/sign-in")
    assert other.post("/sign-in", form).status == 403
    assert "broker-session" not in other.cookies


def test_a_sign_in_begins_a_session_that_nobody_knew_before(server: PortalServer, account: Account) -> None:
    client = Client(server)
    client.sign_in(account.account_id, "mallory")
    planted = client.cookies["broker-session"]
    victim = Client(server, {"broker-session": planted})
    # Whose session is planted is signed in already; after signing out and in the cookie is another.
    victim.post("/sign-out", {"csrf_token": victim.get("/access").token})
    assert victim.sign_in(account.account_id, "alice").status == 303
    assert victim.cookies["broker-session"] != planted
    assert Client(server, {"broker-session": planted}).get("/access").status == 303


def test_a_cookie_that_was_changed_or_is_of_another_kind_is_none(
    server: PortalServer, account: Account, alice: Client
) -> None:
    good = alice.cookies["broker-session"]
    state = Client(server)
    state.get("/sign-in")
    for bad in (good[:-4] + "AAAA", good[:-4], "x", "", state.cookies["broker-sign-in"]):
        answer = Client(server, {"broker-session": bad}).get("/access")
        assert (answer.status, answer.header("Location")) == (303, "/sign-in")


def test_a_proven_password_is_no_session(server: PortalServer, account: Account) -> None:
    """The cookie of a sign-in that waits for a second factor opens nothing."""
    new_user(server, account, "ivan")
    server.set_password(account, "ivan", must_change=True)
    client = Client(server)
    assert client.sign_in(account.account_id, "ivan").header("Location") == "/sign-in/password"
    half_way = client.cookies["broker-sign-in"]
    for name in ("broker-session", "broker-sign-in"):
        assert Client(server, {name: half_way}).get("/access").status == 303


def test_cookies_are_not_for_scripts_nor_for_other_sites(server: PortalServer, account: Account) -> None:
    client = Client(server)
    lines = [*client.get("/sign-in").all_headers("Set-Cookie")]
    lines += client.sign_in(account.account_id, "alice").all_headers("Set-Cookie")
    assert {line.partition("=")[0] for line in lines} == {"broker-sign-in", "broker-session"}
    for line in lines:
        assert "HttpOnly" in line
        assert "SameSite=Lax" in line
        assert "Path=/" in line
        assert "Domain" not in line


def test_every_answer_says_what_a_page_may_do(server: PortalServer, account: Account, alice: Client) -> None:
    style = re.search(r"/assets/\w+/portal\.css", alice.get("/access").body)
    assert style is not None
    for path, cached in (
        ("/sign-in", False),
        ("/access", False),
        ("/nowhere", False),
        (role_path(account), False),
        (style[0], True),
    ):
        answer = alice.get(path)
        assert answer.header("Content-Security-Policy") == POLICY
        assert answer.header("X-Content-Type-Options") == "nosniff"
        assert answer.header("X-Frame-Options") == "DENY"
        assert answer.header("Referrer-Policy") == "same-origin"
        assert answer.header("Strict-Transport-Security") == ""
        assert (answer.header("Cache-Control") == "no-store") is not cached
        assert "style=" not in answer.body
        assert "<style" not in answer.body
        assert not re.search(r"<script(?! src)", answer.body)


def test_no_page_of_another_host_is_ever_gone_to(server: PortalServer, account: Account) -> None:
    for path in ("//evil.example/access", "/%2F/evil.example", "/access/..//evil.example", "/\\evil.example"):
        client = Client(server)
        client.get(path)
        went = client.sign_in(account.account_id, "alice").header("Location")
        assert went == "/access"
    client = Client(server)
    assert client.get("/access?next=https://evil.example").header("Location") == "/sign-in"
    # What follows the sign-in is the page that was asked for, of this host; nothing reads `next`.
    went = client.sign_in(account.account_id, "alice").header("Location")
    assert went in ("/access?next=https://evil.example", "/access?next=https%3A%2F%2Fevil.example")
    assert client.get(went).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "", "a b", "127.0.0.1:1@evil.example"]
)
def test_a_host_name_that_the_operator_did_not_list_is_not_answered(server: PortalServer, host: str) -> None:
    """DNS rebinding: a page's own name that leads to the portal's address."""
    answer = Client(server).get("/sign-in", Host=host)
    assert answer.status in (400, 421)
    assert "password" not in answer.body


def test_a_role_that_is_not_ones_own_looks_as_one_that_does_not_exist(
    server: PortalServer, account: Account
) -> None:
    mallory = Client(server)
    mallory.sign_in(account.account_id, "mallory")
    form = {"csrf_token": mallory.get("/access").token}
    pages = []
    for name in ("reader", "no-such-role"):
        path = f"/access/{account.account_id}/{name}"
        for answer in (mallory.get(path), mallory.post(path, form)):
            assert answer.status == 404
            pages.append(re.sub(r"[0-9a-f-]{36}", "ID", answer.body))
    assert len(set(pages)) == 1


@pytest.mark.parametrize("duration", ["43201", "7200", "0", "-1", "1e3", "٣٦٠٠"])
def test_a_session_length_that_was_not_offered_is_refused(
    account: Account, alice: Client, duration: str
) -> None:
    form = {"csrf_token": alice.get("/access").token, "duration": duration}
    answer = alice.post(role_path(account), form)
    assert answer.status == 400
    assert "AWS_SECRET_ACCESS_KEY" not in answer.body


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"csrf_token=" + b"a" * (65 << 10), {}, 413),
        (b"a=1&" * 200, {}, 400),
        (b"\xff\xfe", {}, 400),
        (b"a=%ff", {}, 400),
        (b"csrf_token=1&csrf_token=2", {}, 400),
        (b"{}", {"Content-Type": "application/json"}, 415),
        (b"--x\r\n", {"Content-Type": "multipart/form-data; boundary=x"}, 415),
    ],
)
def test_what_is_no_small_form_is_refused(
    alice: Client, body: bytes, headers: dict[str, str], status: int
) -> None:
    assert alice.post("/sign-out", body, **headers).status == status
    assert alice.get("/access").status == 200


def test_methods_that_a_page_has_not_are_refused(alice: Client) -> None:
    for method in ("PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"):
        answer = alice.send(method, "/access", {"Origin": alice.server.origin})
        assert answer.status in (404, 405), method
    assert alice.get("/sign-out").status == 404
    assert alice.send("HEAD", "/access", {}).body == ""
    assert alice.get("/access").status == 200


def test_guessing_passwords_is_slowed_down_and_says_so(server: PortalServer, account: Account) -> None:
    new_user(server, account, "kim")
    server.set_password(account, "kim")
    statuses = [
        Client(server).sign_in(account.account_id, "kim", f"guess {number}").status for number in range(8)
    ]
    assert statuses[0] == 403
    assert statuses[-1] == 429


def test_one_password_tried_on_many_users_from_one_address_is_slowed_down(tmp_path: Path) -> None:
    """Password spraying: no user is named twice, so that no user's own limit is reached."""
    settings = {"BROKER_PASSWORDS_FREE_ATTEMPTS_OF_ADDRESS": "6"}
    server = PortalServer(tmp_path, f"sqlite:{tmp_path / 'broker.db'}", environment=settings)
    with server.running():
        home = server.new_account()
        new_user(server, home, "lee")
        server.set_password(home, "lee")
        statuses = [
            Client(server).sign_in(home.account_id, f"user-{number}", "Spring 2026").status
            for number in range(8)
        ]
        assert statuses[:6] == [403] * 6
        assert statuses[-1] == 429
        assert Client(server).sign_in(home.account_id, "lee").status == 429


def test_what_was_typed_into_the_password_field_is_written_nowhere(
    server: PortalServer, account: Account
) -> None:
    typed = "a secret that 1 Typed"
    Client(server).sign_in(account.account_id, "alice", typed)
    Client(server).sign_in(account.account_id, typed, "x")
    written = "".join(file.read_text() for file in server.folder.glob("audit.jsonl*")) + server.log
    assert typed not in written
    assert "the password is wrong" in written


@pytest.mark.parametrize(
    "raw",
    [
        b"BAD\r\n\r\n",
        b"GET /\x01 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /sign-in HTTP/1.1\r\n\r\n",
        b"GET /sign-in HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /sign-in HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nExpect: more\r\nConnection: close\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\nExpect: \xff\r\nConnection: close\r\n\r\n",
        b"GET /%0a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_what_cannot_be_read_fills_no_log_and_learns_no_version(server: PortalServer, raw: bytes) -> None:
    host, _, port = server.portal.partition(":")
    before = server.log
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(raw)
        answer = connection.makefile("rb").read()
    assert re.match(rb"HTTP/1\.[01] 4(00|04|17) ", answer)
    assert b"aiohttp" not in answer
    assert b"Server: broker" in answer
    assert b"X-Frame-Options: DENY" in answer
    assert "Traceback" not in server.log.removeprefix(before)


def test_a_connection_that_sends_nothing_is_closed(server: PortalServer) -> None:
    host, _, port = server.portal.partition(":")
    with socket.create_connection((host, int(port)), timeout=60) as silent:
        silent.sendall(b"GET /sign-in HTTP/1.1\r\nHost: 127.0")
        began = time.monotonic()
        assert silent.recv(1) == b""
        assert time.monotonic() - began < 45


def test_under_tls_cookies_have_the_host_prefix_and_browsers_stay(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    authority.folder.mkdir()
    authority.found()
    authority.issue("broker")
    settings = {
        "BROKER_TLS_CERTIFICATE_FILE": str(authority.folder / "chain.pem"),
        "BROKER_TLS_KEY_FILE": str(authority.folder / "key.pem"),
    }
    server = PortalServer(tmp_path, f"sqlite:{tmp_path / 'broker.db'}", environment=settings)
    with server.running():
        context = ssl.create_default_context(cafile=str(authority.certificate))
        client = Client(server, context=context)
        answer = client.get("/sign-in")
        assert answer.header("Strict-Transport-Security") == "max-age=31536000"
        line = answer.header("Set-Cookie")
        assert line.startswith("__Host-broker-sign-in=")
        assert "Secure" in line


def test_behind_a_reverse_proxy_the_portal_answers_to_its_own_address_alone(tmp_path: Path) -> None:
    settings = {
        "BROKER_PORTAL_URL": "https://access.example.com",
        "BROKER_REQUESTS_TRUSTED_PROXIES": "127.0.0.1",
    }
    server = PortalServer(tmp_path, f"sqlite:{tmp_path / 'broker.db'}", environment=settings)
    with server.running():
        account = server.new_account()
        new_user(server, account, "alice")
        server.set_password(account, "alice")
        client = Client(server)
        assert client.get("/sign-in").status == 421
        proxied = {
            "Host": "access.example.com",
            "X-Forwarded-For": "203.0.113.9",
            "X-Forwarded-Proto": "https",
        }
        page = client.get("/sign-in", **proxied)
        assert page.status == 200
        assert "__Host-broker-sign-in" in client.cookies
        form = {
            "account": account.account_id,
            "user_name": "alice",
            "password": PASSWORD,
            "csrf_token": page.token,
        }
        assert client.post("/sign-in", form, **proxied).status == 403, "the origin is that of the listener"
        proxied["Origin"] = "https://access.example.com"
        assert client.post("/sign-in", form, **proxied).status == 303
        assert [one for one in records(server) if one["eventName"] == "ConsoleLogin"][-1][
            "sourceIPAddress"
        ] == "203.0.113.9"
