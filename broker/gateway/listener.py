"""The gateway's listener: aiohttp's server on sockets that are reserved already, with limits of its own."""

import asyncio
import logging
from collections.abc import Sequence
from http import HTTPStatus
from socket import socket
from ssl import SSLContext
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from broker.gateway.exchange import Gateway
from broker.gateway.requests import answer

_BACKLOG = 1024
_KEEP_ALIVE_SECONDS = 75.0
_LARGEST_LINE = 16 << 10  # bytes: presigned URLs hold session tokens
_READ_AHEAD = 256 << 10  # bytes of a body, for each connection
_LIMITS: dict[str, Any] = {
    "access_log": None,
    "keepalive_timeout": _KEEP_ALIVE_SECONDS,
    "max_line_size": _LARGEST_LINE,
    "max_field_size": _LARGEST_LINE,
    "lingering_time": 1.0,
    "auto_decompress": False,  # what is compressed is stored so
    "read_bufsize": _READ_AHEAD,
}
_POLL_SECONDS = 0.05
_LAST_SECONDS = 1.5
_HANDSHAKE_SECONDS, _SHUTDOWN_SECONDS = 15.0, 5.0  # of TLS

_logger = logging.getLogger("broker.gateway")


class _Refusing(asyncio.Protocol):
    """For a connection too many: it is closed at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.abort()


def _answer_unreadable(
    handler: RequestHandler,
    request: web.BaseRequest,
    status: int = 500,
    exc: BaseException | None = None,
    message: str | None = None,
) -> web.StreamResponse:
    """What is no HTTP, or ambiguous, is refused and its connection closed; the log says nothing of it."""
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or request.writer.output_size:
        return RequestHandler.handle_error(handler, request, status, exc, message)
    response = web.Response(
        status=status, text="This request cannot be read.\n", headers={"Server": "broker"}
    )
    response.force_close()
    return response


class _StoreConnection(RequestHandler):
    __slots__ = ()
    handle_error = _answer_unreadable


class GatewayListener:
    """Serves S3; `maximum_connections` counts those that are idle, too."""

    def __init__(self, gateway: Gateway, *, maximum_connections: int) -> None:
        self._gateway, self._begun = gateway, 0
        self._server = web.Server(self._answer)
        self._maximum_connections = maximum_connections
        self._listening: list[asyncio.Server] = []

    async def listen(self, sockets: Sequence[socket], context: SSLContext | None = None) -> None:
        """Accept connections on `sockets`, with TLS where there is a context."""
        loop = asyncio.get_running_loop()
        for one in sockets:
            one.setblocking(False)
            self._listening.append(
                await loop.create_server(
                    self._accept,
                    sock=one,
                    ssl=context,
                    backlog=_BACKLOG,
                    ssl_handshake_timeout=None if context is None else _HANDSHAKE_SECONDS,
                    ssl_shutdown_timeout=None if context is None else _SHUTDOWN_SECONDS,
                )
            )

    async def stop(self, grace: float) -> None:
        """Accept no more connections, end what was begun, and close; after `grace` seconds abort the rest."""
        for one in self._listening:
            one.close()
        self._server.pre_shutdown()
        if not await self.ends_within(grace):
            _logger.warning("%d requests did not end within %s s", self._begun, grace)
        await self._server.shutdown(_LAST_SECONDS)

    async def ends_within(self, seconds: float) -> bool:
        """Wait up to `seconds` for what was begun; False where some did not end. Idle connections do not count."""
        try:
            async with asyncio.timeout(seconds):
                while self._begun:  # noqa: ASYNC110  only an end that is waited for needs to be noticed
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            return False
        return True

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self._begun += 1
        try:
            return await answer(self._gateway, request)
        finally:
            self._begun -= 1

    def _accept(self) -> asyncio.Protocol:
        if len(self._server.connections) >= self._maximum_connections:
            _logger.warning("too many connections: a new one is closed")
            return _Refusing()
        return _StoreConnection(self._server, loop=asyncio.get_running_loop(), **_LIMITS)
