"""People sign in at a host that is not the portal's: nginx and Caddy by the examples, a real browser, and attackers."""

import http.client
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import CHROMIUM, REACHES_LOOPBACK, Account
from tests.e2e.forwarding import Answer, caddy, nginx, send, server_behind
from tests.e2e.portal import PASSWORD, Client, PortalServer, person
from tests.e2e.scenes import allow, new_user, records_of
from tests.e2e.test_tls import Authority
from tests.ports import free_port

ACCOUNT = "111111111111"
SHOP = f"arn:aws:execute-api:us-east-1:{ACCOUNT}:shop"
ORDER = "/orders/7?lines=2"
HTML = ("Accept", "text/html")


@dataclass
class Scene:
    """`alice` may read orders, `bob` may do nothing; nginx is `proxy`, for `host` and `other`.

    `secure` is a host behind nginx with TLS, `caddys` one behind Caddy.
    """

    server: PortalServer
    account: Account
    forward: str
    proxy: str
    host: str
    other: str
    secure: str
    caddys: str

    def get(self, path: str, *headers: tuple[str, str], host: str = "") -> Answer:
        proxy = f"127.0.0.1:{self.caddys.partition(':')[2]}" if host == self.caddys else self.proxy
        return send(proxy, "GET", path, [("Host", host or self.host), *headers])


def route(host: str) -> dict[str, object]:
    resource = f"{SHOP}/prod/{{method}}/orders/{{order}}"
    return {"host": host, "path": "/orders/{order}", "action": "execute-api:Invoke", "resource": resource}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder, port, tls_port, caddy_port = (
        tmp_path_factory.mktemp("host-sign-in"),
        *(free_port() for _ in "123"),
    )
    forward = f"127.0.0.1:{free_port()}"
    hosts = [f"{name}.localhost:{port}" for name in ("app", "other")]
    hosts += [f"app.example.com:{tls_port}", f"caddy.localhost:{caddy_port}"]
    environment = {
        **REACHES_LOOPBACK,
        "BROKER_LISTEN_FORWARD": forward,
        "BROKER_AUTHORIZE_ROUTES": json.dumps([*map(route, hosts), route("closed.localhost")]),
        "BROKER_AUTHORIZE_SIGN_IN_HOSTS": json.dumps(hosts),
    }
    server = PortalServer(folder, f"sqlite:{folder / 'broker.db'}", environment=environment)
    for name in ("nginx", "tls", "caddy"):
        (folder / name).mkdir()
    authority = Authority(folder / "tls")
    authority.found()
    authority.issue("app.example.com")
    certificate = f"ssl_certificate {folder}/tls/chain.pem; ssl_certificate_key {folder}/tls/key.pem;"
    with server.running(), server_behind() as behind:
        account = server.new_account(ACCOUNT)
        new_user(server, account, "alice", allow("execute-api:Invoke", on=f"{SHOP}/prod/*"))
        new_user(server, account, "bob")
        for name in ("alice", "bob"):
            server.set_password(account, name)
        names = "app.localhost other.localhost closed.localhost"
        with (
            nginx(folder / "nginx", forward, behind, port, names) as proxy,
            nginx(folder / "tls", forward, behind, tls_port, "app.example.com", certificate),
            caddy(folder / "caddy", forward, behind, caddy_port, "caddy.localhost"),
        ):
            yield Scene(server, account, forward, proxy, *hosts)


def fill_in(page: Page, user_name: str) -> None:
    page.get_by_label("Account id or alias").fill(ACCOUNT)
    page.get_by_label("User name").fill(user_name)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def test_a_person_signs_in_and_arrives_at_the_page_that_she_asked_for(scene: Scene, browser: Browser) -> None:
    with person(browser) as page:
        page.goto(f"http://{scene.host}{ORDER}")
        assert page.url.startswith(f"{scene.server.origin}/sign-in")
        fill_in(page, "alice")
        page.wait_for_url(f"http://{scene.host}{ORDER}")
        seen = json.loads(page.inner_text("body"))
        sent = {name.lower(): value for name, value in seen["headers"]}
        assert sent["x-broker-arn"] == f"arn:aws:iam::{ACCOUNT}:user/alice"
        assert "broker-" not in sent.get("cookie", "")
        # She is signed in at the portal: at the next host nobody asks her for anything.
        page.goto(f"http://{scene.other}/orders/8")
        page.wait_for_url(f"http://{scene.other}/orders/8")
        assert "user/alice" in page.inner_text("body")
        # And she is signed out everywhere at once.
        page.goto(f"{scene.server.origin}/access")
        page.get_by_role("button", name="Sign out").first.click()
        expect(page).to_have_url(f"{scene.server.origin}/sign-in")
        page.goto(f"http://{scene.host}{ORDER}")
        assert page.url.startswith(f"{scene.server.origin}/sign-in")


def test_who_may_not_is_denied_and_not_sent_in_circles(scene: Scene, browser: Browser) -> None:
    with person(browser) as page:
        page.goto(f"http://{scene.host}{ORDER}")
        # The portal's page leads on by itself: the answer may be there before the click returns.
        with page.expect_response(lambda answer: answer.url == f"http://{scene.host}{ORDER}") as found:
            fill_in(page, "bob")
        assert found.value.status == 403


class Visitor:
    """A script that goes the way of a browser, a step at a time."""

    def __init__(self, scene: Scene, user_name: str = "alice") -> None:
        self.scene = scene
        self.portal = Client(scene.server)
        self.portal.sign_in(ACCOUNT, user_name)
        self.cookies: dict[str, str] = {}

    def get(self, path: str, host: str = "") -> Answer:
        sent = [("Cookie", "; ".join(f"{name}={text}" for name, text in self.cookies.items()))]
        answer = self.scene.get(path, HTML, *(sent if self.cookies else []), host=host)
        for line in answer.headers.get_all("Set-Cookie") or []:
            name, _, text = line.partition(";")[0].partition("=")
            self.cookies[name] = text
        return answer

    def begin(self, host: str = "") -> str:
        """The portal's page to which the host sends."""
        answer = self.get(ORDER, host)
        first = urlsplit(answer.headers["Location"])
        assert (answer.status, first.netloc) == (302, host or self.scene.host)
        answer = self.get(f"{first.path}?{first.query}", host)
        assert answer.status == 302
        return str(answer.headers["Location"]).removeprefix(self.scene.server.origin)

    def code(self, page: str) -> str:
        """The path at the host, with the code, to which the portal sends."""
        answer = self.portal.get(page)
        assert answer.status == 200, answer.body
        address = urlsplit(answer.header("Refresh").partition("url=")[2])
        return f"{address.path}?{address.query}"


def test_under_tls_the_cookies_are_those_that_no_other_host_can_set(scene: Scene, browser: Browser) -> None:
    rules = ["--no-sandbox", "--host-resolver-rules=MAP app.example.com 127.0.0.1"]
    own = browser.browser_type.launch(executable_path=CHROMIUM, args=rules)
    with closing(own), person(own, ignore_https_errors=True) as page:
        page.goto(f"https://{scene.secure}{ORDER}")
        fill_in(page, "alice")
        page.wait_for_url(f"https://{scene.secure}{ORDER}")
        expect(page.locator("body")).to_contain_text(f"arn:aws:iam::{ACCOUNT}:user/alice")
        assert "broker-" not in page.inner_text("body")
        kept = {one["name"]: one for one in page.context.cookies(f"https://{scene.secure}")}
        assert set(kept) == {"__Host-broker-forward", "__Host-broker-forward-state"}
        for one in kept.values():
            assert one["secure"] and one["httpOnly"] and one["sameSite"] == "Lax"


def test_the_way_of_a_browser_through_caddy(scene: Scene) -> None:
    visitor = Visitor(scene)
    path = visitor.code(visitor.begin(scene.caddys))
    answer = visitor.get(path, scene.caddys)
    assert (answer.status, answer.headers["Location"]) == (302, ORDER)
    assert "user/alice" in visitor.get(ORDER, scene.caddys).body.decode()


def test_the_way_of_a_browser_step_by_step(scene: Scene) -> None:
    visitor = Visitor(scene)
    path = visitor.code(visitor.begin())
    answer = visitor.get(path)
    assert (answer.status, answer.headers["Location"]) == (302, ORDER)
    assert answer.headers["Cache-Control"] == "no-store"
    assert visitor.get(ORDER).status == 200
    again = visitor.get(path)
    assert again.status == 403
    request_id = again.body.decode().partition("request id: ")[2].strip()
    (record,) = records_of(scene.server, request_id)
    assert (record["eventName"], record["errorCode"]) == ("SignInAtHost", "AccessDenied")
    assert "used before" in record["errorMessage"]
    assert parse_qs(urlsplit(path).query)["code"][0] not in json.dumps(record)


def test_the_cookie_of_one_host_is_nothing_at_another_and_at_the_portal(scene: Scene) -> None:
    visitor = Visitor(scene)
    visitor.get(visitor.code(visitor.begin()))
    assert visitor.get(ORDER).status == 200
    assert visitor.get(ORDER, scene.other).status == 302
    text = visitor.cookies["broker-forward"]
    for name in ("broker-forward", "broker-session"):
        stranger = Client(scene.server, {name: text})
        assert stranger.get("/access").header("Location") == "/sign-in"
    assert scene.get(ORDER, HTML, ("Cookie", f"broker-session={text}")).status == 302


def test_nobody_is_signed_in_by_the_code_of_another_browser_or_for_another_host(scene: Scene) -> None:
    victim, attacker = Visitor(scene), Visitor(scene, "bob")
    path = attacker.code(attacker.begin())
    assert scene.get(path, HTML).status == 403
    victim.begin()
    assert victim.get(path).status == 403
    assert "broker-forward" not in victim.cookies
    assert attacker.get(path, scene.other).status == 403
    assert attacker.get(path).status == 302


def test_the_cookie_ends_with_the_sign_out_at_the_portal(scene: Scene) -> None:
    visitor = Visitor(scene)
    visitor.get(visitor.code(visitor.begin()))
    assert visitor.get(ORDER).status == 200
    token = visitor.portal.get("/access").token
    visitor.portal.post("/sign-out", {"csrf_token": token})
    assert visitor.get(ORDER).status == 302


@pytest.mark.parametrize("target", ["//evil.example/", "https://evil.example/", "/\\evil.example"])
def test_nobody_is_led_to_another_host(scene: Scene, target: str) -> None:
    visitor = Visitor(scene)
    answer = visitor.get(f"/.broker/sign-in?return={quote(target, safe='')}")
    page = answer.headers["Location"].removeprefix(scene.server.origin)
    assert "evil" not in page
    led_to = visitor.get(visitor.code(page.replace("return=%2F", f"return={quote(target, safe='')}")))
    assert (led_to.status, led_to.headers["Location"]) == (302, "/")


def test_the_portal_makes_codes_for_hosts_of_the_settings_alone(scene: Scene) -> None:
    visitor = Visitor(scene)
    page = visitor.begin()
    known = quote(scene.host, safe="")
    assert known in page
    for host in ("evil.example", "closed.localhost", "app.localhost", f"{scene.host}@evil.example", ""):
        answer = visitor.portal.get(page.replace(known, quote(host, safe="")))
        assert (answer.status, answer.header("Refresh")) == (400, "")
    for spoiled in (f"{page}&host=evil.example", page.replace("challenge=", "challenge=a")):
        assert visitor.portal.get(spoiled).status == 400


def test_only_a_host_of_the_settings_has_these_pages_and_only_for_its_proxy(scene: Scene) -> None:
    path = "/.broker/sign-in?return=%2F"
    for host in ("closed.localhost", "app.localhost", "evil.example", scene.server.portal):
        assert send(scene.forward, "GET", path, [("Host", host)]).status == 403
    forged = [("Host", "closed.localhost"), ("X-Forwarded-Host", scene.host), ("X-Original-Host", scene.host)]
    assert send(scene.forward, "GET", path, forged).status == 403
    assert send(scene.forward, "GET", path, [("Host", scene.host)]).status == 302
    assert send(scene.forward, "POST", path, [("Host", scene.host)]).status == 403
    # No cookie of TLS where the browser did not speak it.
    for scheme, status in (("http", 403), ("https", 302)):
        headers = [("Host", scene.secure), ("X-Forwarded-Proto", scheme)]
        assert send(scene.forward, "GET", path, headers).status == status
    host, _, port = scene.forward.partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=10, source_address=("127.0.0.9", 0))
    with closing(connection):
        connection.request("GET", path, headers={"Host": scene.host})
        assert connection.getresponse().status == 403
    assert scene.get("/.broker/../forward/x-original").status != 200
    assert scene.get("/.broker/else").status == 403


def test_a_host_that_the_settings_do_not_name_sends_to_the_portal_as_before(scene: Scene) -> None:
    answer = scene.get(ORDER, HTML, host="closed.localhost")
    assert (answer.status, answer.headers["Location"]) == (302, scene.server.origin)


def test_a_program_is_asked_for_a_proof_and_not_sent_anywhere(scene: Scene) -> None:
    answer = scene.get(ORDER)
    assert answer.status == 401
    assert "AWS4-HMAC-SHA256" in answer.headers["WWW-Authenticate"]
