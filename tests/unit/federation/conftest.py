"""An HTTP server on the loopback address that answers as a test says, and a client that may reach it."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver
from aiohttp.test_utils import TestServer

from broker.federation.fetching import Fetcher, open_fetcher
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
    fetchers = []

    def make(reach: Reach = LOOPBACK, resolver: AbstractResolver | None = None) -> Fetcher:
        fetchers.append(open_fetcher(reach, ssl.create_default_context(), resolver))
        return fetchers[-1]

    yield make
    for fetcher in fetchers:
        await fetcher.close()
