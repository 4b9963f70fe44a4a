"""An HTTP server on the loopback address that answers as a test says, and a client that may reach it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver
from aiohttp.test_utils import TestServer

from broker.federation.fetching import AdmittedResolver, Fetcher
from broker.federation.reach import Reach

LOOPBACK = Reach(plain_http=True, private_networks=("127.0.0.0/8",))

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Host:
    """A server whose paths are answered by handlers; counts its requests by path."""

    def __init__(self) -> None:
        self.handlers: dict[str, Handler] = {}
        self.asked: list[str] = []
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._answer)
        self.server = TestServer(application)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    def answers(self, path: str, body: Any, **headers: str) -> None:
        async def handler(request: web.Request) -> web.Response:
            return web.json_response(body, headers=headers)

        self.handlers[path] = handler

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        handler = self.handlers.get(request.path)
        return web.Response(status=404) if handler is None else await handler(request)


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    host = Host()
    await host.server.start_server()
    yield host
    await host.server.close()


@pytest.fixture
async def make_fetcher() -> AsyncIterator[Callable[..., Fetcher]]:
    sessions = []

    def make(reach: Reach = LOOPBACK, resolver: AbstractResolver | None = None) -> Fetcher:
        admitted = AdmittedResolver(reach.private_networks, resolver)
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=admitted, use_dns_cache=False)
        )
        sessions.append(session)
        return Fetcher(session, admitted, reach)

    yield make
    for session in sessions:
        await session.close()
