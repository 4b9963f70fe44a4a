"""The portal's listener: aiohttp's server on sockets that are reserved already, with limits of its own.

aiohttp closes a connection that is idle, or whose request does not arrive; one beyond the bound on how many there may
be is closed here. The connection of the other listeners is for machines: a page has cookies, forms and files.
"""

import asyncio
import logging
from collections.abc import Sequence
from http import HTTPStatus
from socket import socket
from ssl import SSLContext
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from broker.portal.application import make_application
from broker.portal.dependencies import Portal
from broker.portal.headers import add_headers

_BACKLOG = 256
_KEEP_ALIVE_SECONDS = 30.0  # also until the first request has arrived whole
_LARGEST_LINE = 8190  # bytes, of the request line and of each header
_LIMITS: dict[str, Any] = {
    "access_log": None,
    "keepalive_timeout": _KEEP_ALIVE_SECONDS,
    "max_line_size": _LARGEST_LINE,
    "max_field_size": _LARGEST_LINE,
    "lingering_time": 1.0,
    "auto_decompress": False,  # no browser compresses a form
}
_LAST_RECORD_SECONDS = 1.5  # for handlers whose browser was disconnected when the server stops
_POLL_SECONDS = 0.05
_HANDSHAKE_SECONDS, _SHUTDOWN_SECONDS = 15.0, 5.0  # of TLS

_logger = logging.getLogger("broker.portal")


class _Closing(asyncio.Protocol):
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
    """What cannot be read is no fault of ours: strangers fill no log with it, and learn no version."""
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or request.writer.output_size:
        return RequestHandler.handle_error(handler, request, status, exc, message)
    response = web.Response(status=status, text="This request cannot be read.\n")
    response.force_close()
    add_headers(response, is_secure=False)
    return response


class _Handler(RequestHandler):
    __slots__ = ()
    handle_error = _answer_unreadable


class PortalListener:
    """Serves the pages; `maximum_connections` counts those that are idle, too."""

    def __init__(self, portal: Portal, *, maximum_connections: int) -> None:
        self.portal = portal
        self._stopping = portal.stopping
        self._runner = web.AppRunner(make_application(portal))
        self._maximum_connections = maximum_connections
        self._servers: list[asyncio.Server] = []

    async def listen(self, sockets: Sequence[socket], context: SSLContext | None = None) -> None:
        """Accept connections on `sockets`, with TLS where there is a context."""
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        for one in sockets:
            one.setblocking(False)
            self._servers.append(
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
        """Accept no more connections, answer what was asked, and close; after `grace` seconds abort the rest."""
        self._stopping.set()
        for server in self._servers:
            server.close()
        handlers = self._runner.server
        if handlers is not None:
            handlers.pre_shutdown()
            if not await self.ends_within(grace):
                _logger.warning("%d connections did not end within %s s", len(handlers.connections), grace)
            await handlers.shutdown(_LAST_RECORD_SECONDS)
        await self._runner.cleanup()

    async def ends_within(self, seconds: float) -> bool:
        """Wait up to `seconds` for all connections to close and their handlers to end; False where some did not."""
        handlers = self._runner.server
        try:
            async with asyncio.timeout(seconds):
                # aiohttp has no notification for the end of a connection.
                while handlers is not None and handlers.connections:  # noqa: ASYNC110
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            return False
        return True

    def _accept(self) -> asyncio.Protocol:
        server = self._runner.server
        assert server is not None
        if len(server.connections) >= self._maximum_connections:
            _logger.warning("too many connections: a new one is closed")
            return _Closing()
        return _Handler(server, loop=asyncio.get_running_loop(), **_LIMITS)
