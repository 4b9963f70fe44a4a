"""A code is for one host, one browser, one minute and one use; the cookie for one host and one session."""

from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from broker.errors import Refusal
from broker.names.protected_hosts import origin_of, return_path
from broker.portal.cookies import SessionReference, cookie_line, open_cookie
from broker.portal.dependencies import Portal
from broker.portal.forwarded_person import find_person, without_own
from broker.portal.host_sign_in import address_with_code, begin, exchange
from broker.portal.sessions import end_session, reference_of
from broker.storage.portal_records import PortalSession
from broker.storage.session_records import Revocation, Revocations
from broker.storage.store import REVOCATIONS, USERS, Transaction
from tests.unit.portal.conftest import ACCOUNT, NOW, World
from tests.unit.portal.test_sessions import begin as begin_session

HOST, OTHER = "app.example.com", "other.example.com"


class Hosts:
    """Two hosts behind proxies, and alice, who is signed in to the portal."""

    def __init__(self, world: World, session: PortalSession) -> None:
        self.world, self.session = world, session
        self.portal: Portal = replace(
            world.portal, url_for_hosts="https://id.example.com", sign_in_hosts=frozenset((HOST, OTHER))
        )

    def begun(self, host: str = HOST, returns_to: str = "/orders/7", cookie: str = "") -> tuple[str, str]:
        """The browser's cookie, and the code that the portal gives it."""
        address, line = begin(self.portal, cookie, host, returns_to)
        (query, origin) = parse_qs(urlsplit(address).query), urlsplit(address)
        assert (origin.netloc, query["host"]) == ("id.example.com", [host])
        led_to = address_with_code(
            self.portal, self.session, host, query["challenge"][0], query["return"][0], NOW
        )
        assert led_to.startswith(f"https://{host}/.broker/signed-in?code=")
        return line.partition(";")[0], parse_qs(urlsplit(led_to).query)["code"][0]

    async def exchanged(self, cookie: str, code: str, host: str = HOST, at: float = NOW) -> tuple[str, str]:
        """The line of the cookie, and the path."""

        async def work(store: Transaction) -> tuple[str, str]:
            line, path, caller = await exchange(self.portal, store, code, cookie, host, at)
            assert caller.principal.arn == f"arn:aws:iam::{ACCOUNT}:user/alice"
            return line, path

        return await self.portal.tools.store.transact(work)

    async def person(self, cookie: str, host: str = HOST, *, is_secure: bool = True, at: float = NOW) -> str:
        store = self.portal.tools.store.transaction()
        caller = await find_person(self.portal, store, cookie, host, is_secure, at)
        return "" if caller is None else caller.principal.arn.rpartition("/")[2]

    async def signed_in(self) -> str:
        line, _ = await self.exchanged(*self.begun())
        return line.partition(";")[0]


@pytest.fixture
async def hosts(world: World) -> Hosts:
    return Hosts(world, await begin_session(world))


async def refused(hosts: Hosts, cookie: str, code: str, reason: str, **more: object) -> None:
    with pytest.raises(Refusal) as found:
        await hosts.exchanged(cookie, code, **more)  # type: ignore[arg-type]
    assert (found.value.code, found.value.message) == ("AccessDenied", "The sign-in did not succeed.")
    assert reason in (found.value.reason or "")


async def test_a_person_comes_back_to_the_page_and_is_known_there(hosts: Hosts) -> None:
    line, path = await hosts.exchanged(*hosts.begun())
    assert path == "/orders/7"
    assert line.startswith("__Host-broker-forward=")
    assert line.endswith("; HttpOnly; Path=/; SameSite=Lax; Secure")
    assert await hosts.person(line.partition(";")[0]) == "alice"


async def test_the_cookie_is_good_at_no_other_host(hosts: Hosts) -> None:
    cookie = await hosts.signed_in()
    for host in (OTHER, "id.example.com", f"{HOST}:8443", f"x.{HOST}", "localhost", ""):
        assert await hosts.person(cookie, host) == ""
    assert await hosts.person(cookie, is_secure=False) == ""
    assert await hosts.person(cookie.removeprefix("__Host-")) == ""
    assert await hosts.person(f"{cookie}; {cookie}") == ""


async def test_the_cookie_of_a_host_is_none_of_the_portal_and_the_other_way_round(hosts: Hosts) -> None:
    value = (await hosts.signed_in()).partition("=")[2]
    assert await hosts.person(f"__Host-broker-session={value}", "id.example.com") == ""
    assert open_cookie(hosts.portal.tools.mint.keyring(), value, SessionReference, NOW) is None
    line = cookie_line(
        hosts.portal.tools.mint.keyring(),
        reference_of(hosts.session),
        hosts.portal.tools.entropy,
        is_secure=True,
    )
    text = line.partition(";")[0].partition("=")[2]
    assert isinstance(reference_of(hosts.session), SessionReference)
    assert await hosts.person(f"__Host-broker-session={text}") == "alice"
    assert await hosts.person(f"__Host-broker-forward={text}") == ""


async def test_a_host_that_the_settings_name_no_more_knows_nobody(hosts: Hosts) -> None:
    cookie = await hosts.signed_in()
    hosts.portal = replace(hosts.portal, sign_in_hosts=frozenset((OTHER,)))
    assert await hosts.person(cookie) == ""


async def test_a_code_is_good_once(hosts: Hosts) -> None:
    cookie, code = hosts.begun()
    await hosts.exchanged(cookie, code)
    await refused(hosts, cookie, code, "used before")


async def test_a_code_is_good_for_a_minute(hosts: Hosts) -> None:
    cookie, code = hosts.begun()
    await refused(hosts, cookie, code, "has expired", at=NOW + 60)
    await hosts.exchanged(cookie, code, at=NOW + 59)


async def test_a_code_is_good_for_its_host_alone(hosts: Hosts) -> None:
    _, code = hosts.begun()
    cookie, _ = hosts.begun(OTHER)
    await refused(hosts, cookie, code, "for another host", host=OTHER)


async def test_a_code_of_another_browser_signs_nobody_in(hosts: Hosts) -> None:
    """Or somebody could sign a victim in as themselves, or use a code that they have read."""
    cookie, code = hosts.begun()
    other, _ = hosts.begun()
    assert cookie != other
    for wrong in ("", other, f"{cookie}; {cookie}", cookie[:-1], cookie.removeprefix("__Host-"), "a=b"):
        await refused(hosts, wrong, code, "not begun by this browser")
    await hosts.exchanged(cookie, code)  # what others tried did not use it up


@pytest.mark.parametrize("code", ["", "x", "AAAA" * 40, "\N{SNOWMAN}"])
async def test_what_is_no_code_of_ours_is_refused(hosts: Hosts, code: str) -> None:
    await refused(hosts, hosts.begun()[0], code, "none that was given out")


async def test_a_changed_code_and_a_cookie_as_a_code_are_refused(hosts: Hosts) -> None:
    cookie, code = hosts.begun()
    await refused(hosts, cookie, f"{code[:-4]}AAAA", "none that was given out")
    await refused(hosts, cookie, (await hosts.signed_in()).partition("=")[2], "none that was given out")


async def test_pages_that_are_opened_at_once_have_one_verifier(hosts: Hosts) -> None:
    first, code = hosts.begun()
    second, other = hosts.begun(returns_to="/orders/8", cookie=first)
    assert first == second
    assert (await hosts.exchanged(second, code))[1] == "/orders/7"
    assert (await hosts.exchanged(second, other))[1] == "/orders/8"


async def test_a_verifier_that_is_none_of_ours_is_replaced(hosts: Hosts) -> None:
    chosen, _ = hosts.begun(cookie="__Host-broker-forward-state=chosen")
    assert "chosen" not in chosen


async def test_the_cookie_ends_with_the_session_of_the_portal(hosts: Hosts) -> None:
    cookie, (verifier, code) = await hosts.signed_in(), hosts.begun()
    assert await hosts.person(cookie, at=NOW + 3599) == "alice"
    assert (
        await hosts.person(cookie, at=NOW + 3600) == ""
    )  # idle at the portal: what happens elsewhere is no use of it
    await end_session(hosts.portal, hosts.session)
    assert await hosts.person(cookie) == ""
    await refused(hosts, verifier, code, "has ended")


async def test_the_cookie_ends_with_a_revocation_and_with_the_user(hosts: Hosts) -> None:
    cookie, world = await hosts.signed_in(), hosts.world

    async def revoke(store: Transaction) -> None:
        revoked = Revocation(issued_before=0, ends_at=hosts.session.ends_at, revoked_at=int(NOW))
        found = Revocations(by_subject={hosts.session.access_key_id: revoked})
        store.put(REVOCATIONS, ACCOUNT, found, expires_at=hosts.session.ends_at)

    async def restore(store: Transaction) -> None:
        store.delete(REVOCATIONS, ACCOUNT, "")

    async def remove(store: Transaction) -> None:
        store.delete(USERS, ACCOUNT, "alice")

    await world.broker.store.transact(revoke)
    assert await hosts.person(cookie) == ""
    await world.broker.store.transact(restore)
    assert await hosts.person(cookie) == "alice"
    await world.broker.store.transact(remove)
    assert await hosts.person(cookie) == ""


async def test_the_server_behind_gets_none_of_these_cookies(hosts: Hosts) -> None:
    verifier, _ = hosts.begun()
    cookie = await hosts.signed_in()
    plain = "broker-forward=a; broker-forward-state=b"
    assert without_own(f"cart=full; {cookie}; {verifier}; {plain}; a=b") == "cart=full; a=b"


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "evil",
        "",
        "/a\r\nSet-Cookie: a=b",
        "/a b",
        "/\t/evil.example",
        "/a\\b",
        "/\N{SNOWMAN}",
        "/.broker/sign-in?return=%2F",
        f"/{'a' * 1024}",
        "?a",
        "#a",
    ],
)
def test_what_could_lead_elsewhere_leads_to_the_first_page(target: str) -> None:
    assert return_path(target) == "/"


def test_a_path_is_returned_to_as_it_is() -> None:
    for target in ("/", "/orders/7", "/orders/7?a=b&c=%2F%2F", "/a//b", "/?next=//x", "/a%20b"):
        assert return_path(target) == target


@given(st.one_of(st.text(), st.text(alphabet="/\\.:@?#\t\n ae%", max_size=12)))
def test_no_target_leads_to_another_host(target: str) -> None:
    assert urlsplit(urljoin(f"https://{HOST}/.broker/signed-in", return_path(target))).netloc == HOST


def test_only_this_machine_is_spoken_to_without_tls() -> None:
    for host in ("localhost", "app.localhost:8081", "127.0.0.1:80", "127.1.2.3"):
        assert origin_of(host) == f"http://{host}"
    for host in (
        "app.example.com",
        "localhost.example.com",
        "127.0.0.1.example.com",
        "notlocalhost",
        "10.0.0.1",
    ):
        assert origin_of(host) == f"https://{host}"
