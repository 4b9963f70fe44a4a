"""Fetching from providers that are slow, endless, or redirect."""

import asyncio
import gzip
import socket
from collections.abc import Callable

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from broker.federation import fetching
from broker.federation.fetching import Fetcher
from broker.federation.reach import FetchFailed, Reach, require_admitted
from tests.unit.federation.conftest import LOOPBACK, Host

MakeFetcher = Callable[..., Fetcher]


async def test_an_answer_is_fetched_with_its_lifetime(host: Host, make_fetcher: MakeFetcher) -> None:
    host.answers("/a", {"x": 1}, **{"Cache-Control": "max-age=60"})
    answer = await make_fetcher().get(f"{host.url}/a")
    assert (answer.body, answer.cache_control) == (b'{"x": 1}', "max-age=60")


async def test_a_redirect_is_followed(host: Host, make_fetcher: MakeFetcher) -> None:
    async def redirect(request: web.Request) -> web.Response:
        raise web.HTTPFound("/b")

    host.handlers["/a"] = redirect
    host.answers("/b", {})
    assert (await make_fetcher().get(f"{host.url}/a")).body == b"{}"


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest/",
        "http://[fd00:ec2::254]/",
        "http://10.0.0.1/",
        "file:///etc/passwd",
        "https://",
    ],
)
async def test_a_redirect_inwards_is_not_followed(host: Host, make_fetcher: MakeFetcher, target: str) -> None:
    async def redirect(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": target})

    host.handlers["/a"] = redirect
    with pytest.raises(FetchFailed, match=r"may not be reached|is not https|names no host"):
        await make_fetcher().get(f"{host.url}/a")


async def test_an_endless_chain_of_redirects_ends(host: Host, make_fetcher: MakeFetcher) -> None:
    async def redirect(request: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": "/a"})

    host.handlers["/a"] = redirect
    with pytest.raises(FetchFailed, match="more than 3 redirects"):
        await make_fetcher().get(f"{host.url}/a")
    assert len(host.asked) == 4


async def test_an_endless_answer_is_cut_off(host: Host, make_fetcher: MakeFetcher) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"a" * 65536)

    host.handlers["/a"] = endless
    with pytest.raises(FetchFailed, match="more than 1048576 bytes"):
        await make_fetcher().get(f"{host.url}/a")


async def test_a_slow_answer_is_not_waited_for(
    host: Host, make_fetcher: MakeFetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slow(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(100):
            await response.write(b"a")
            await asyncio.sleep(0.05)
        return response

    monkeypatch.setattr(fetching, "LONGEST_WAIT", 0.3)
    host.handlers["/a"] = slow
    with pytest.raises(FetchFailed, match="did not answer within"):
        await make_fetcher().get(f"{host.url}/a")


async def test_a_compressed_answer_is_not_decompressed(host: Host, make_fetcher: MakeFetcher) -> None:
    body = gzip.compress(b" " * (64 << 20))

    async def bomb(request: web.Request) -> web.Response:
        return web.Response(body=body, headers={"Content-Encoding": "gzip"})

    host.handlers["/a"] = bomb
    with pytest.raises(FetchFailed, match="bytes"):
        await make_fetcher().get(f"{host.url}/a")


async def test_an_answer_other_than_200_is_refused(host: Host, make_fetcher: MakeFetcher) -> None:
    with pytest.raises(FetchFailed, match="answered 404"):
        await make_fetcher().get(f"{host.url}/a")


async def test_a_provider_that_cannot_be_reached_is_named(make_fetcher: MakeFetcher) -> None:
    with pytest.raises(FetchFailed, match="cannot be reached"):
        await make_fetcher().get("http://127.0.0.1:1/a")


class Rebinding(AbstractResolver):
    """Answers a public address first, the loopback address from then on."""

    def __init__(self) -> None:
        self.answers = ["203.0.113.1", "127.0.0.1"]
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        address = self.answers[min(self.asked, 1)]
        self.asked += 1
        return [
            {
                "hostname": host,
                "host": address,
                "port": port,
                "family": socket.AF_INET,
                "proto": 0,
                "flags": 0,
            }
        ]

    async def close(self) -> None:
        pass


async def test_a_name_that_changes_its_address_is_not_reached(host: Host, make_fetcher: MakeFetcher) -> None:
    """For each connection the address that it goes to is checked."""
    host.answers("/a", {})
    resolver = Rebinding()
    resolver.asked = 1
    fetcher = make_fetcher(Reach(plain_http=True), resolver)
    with pytest.raises(FetchFailed, match="no address that may be reached"):
        await fetcher.get(f"http://rebinding.example:{host.server.port}/a")
    assert host.asked == []


async def test_what_the_client_takes_for_an_address_is_checked_as_one(
    host: Host, make_fetcher: MakeFetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a URL seemed to say: here nothing has looked at it."""
    host.answers("/a", {})
    monkeypatch.setattr(fetching, "require_admitted", lambda url, reach: None)
    fetcher = make_fetcher(Reach(plain_http=True))
    for spelt in ("127.0.0.1", "\uff11\uff12\uff17.0.0.1", "127\u30020.0.1"):
        with pytest.raises(FetchFailed, match=r"127\.0\.0\.1 may not be reached"):
            await fetcher.get(f"http://{spelt}:{host.server.port}/a")
    assert host.asked == []


async def test_a_name_with_an_admitted_address_is_reached(host: Host, make_fetcher: MakeFetcher) -> None:
    host.answers("/a", {})
    answer = await make_fetcher().get(f"http://localhost:{host.server.port}/a")
    assert answer.body == b"{}"


@pytest.mark.parametrize(
    "url",
    [
        "http://idp.example.com/",
        "https://user@idp.example.com/",
        "https://user:password@idp.example.com/",
        "https:///path",
        "https://[::1",
        "https://127.0.0.1/",
        "https://[::ffff:169.254.169.254]/",
        "https://\uff11\uff12\uff17.0.0.1/",
        "https://127\u30020\u30020\u30021/",
        "https://m\u00fcnchen.example/",
        "ftp://idp.example.com/",
        "",
    ],
)
def test_a_url_that_may_not_be_fetched_is_refused_unread(url: str) -> None:
    with pytest.raises(FetchFailed):
        require_admitted(url, Reach())


def test_what_the_operator_admits_may_be_fetched() -> None:
    require_admitted("http://127.0.0.1:5556/dex", LOOPBACK)
    require_admitted("https://idp.example.com/realm", Reach())


SECRET = {"token": "s e&c=ret"}


async def test_a_question_arrives_with_its_secret_and_any_status_is_an_answer(
    host: Host, make_fetcher: MakeFetcher
) -> None:
    async def answer(request: web.Request) -> web.Response:
        told = f"{request.method} {request.query['a']} {request.query['token']} {request.headers['Authorization']}"
        return web.Response(status=403, text=told)

    host.handlers["/a"] = answer
    answered = await make_fetcher().ask("POST", f"{host.url}/a?a=b", SECRET, {"Authorization": "own"})
    assert (answered.status, answered.body) == (403, b"POST b s e&c=ret own")


async def test_a_secret_does_not_follow_a_redirect(host: Host, make_fetcher: MakeFetcher) -> None:
    async def redirect(request: web.Request) -> web.Response:
        raise web.HTTPTemporaryRedirect("/b")

    host.handlers["/a"] = redirect
    host.answers("/b", {})
    assert (await make_fetcher().ask("POST", f"{host.url}/a", SECRET, {})).status == 307
    assert host.asked == ["/a"]


@pytest.mark.parametrize("fault", ["endless", "slow", "broken", "away", "inwards"])
async def test_what_fails_of_a_question_never_quotes_the_secret(
    host: Host, make_fetcher: MakeFetcher, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if fault == "slow":
            await asyncio.sleep(5)
        if fault == "broken":
            assert request.transport is not None
            request.transport.close()
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(200):
            await response.write(b"x" * 1024)
        return response

    monkeypatch.setattr(fetching, "LONGEST_WAIT", 0.3)
    host.handlers["/a"] = answer
    urls = {"away": "http://127.0.0.1:1/a", "inwards": "http://169.254.169.254/a"}
    with pytest.raises(FetchFailed) as caught:
        await make_fetcher().ask("POST", urls.get(fault, f"{host.url}/a"), SECRET, {})
    assert "ret" not in str(caught.value)
