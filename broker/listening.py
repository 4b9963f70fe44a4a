"""aiohttp's server on sockets that are reserved already: a bound on connections, TLS, and a quiet end.

For the portal and the gateway, whose bodies are forms, files and streams. The listeners of machines have the broker's
own connection (`broker.web`).
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from http import HTTPStatus
from socket import socket
from ssl import SSLContext
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

_POLL_SECONDS = 0.05
_HANDSHAKE_SECONDS, _SHUTDOWN_SECONDS = 15.0, 5.0  # of TLS


class ListeningLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Times in seconds, sizes in bytes. An idle connection is closed after `keep_alive`, and so is one whose first
    request does not arrive whole. `longest_line` bounds the request line and each header. `connections` counts those
    that are idle, too. `read_ahead` bounds what is read of a body before it is asked for.
    """

    connections: int
    backlog: int
    keep_alive: float
    longest_line: int
    read_ahead: int = 64 << 10


class AcceptedConnections:
    """Connections of `server`; a request that cannot be read is answered by `refuse`, given its status."""

    def __init__(
        self,
        server: web.Server,
        limits: ListeningLimits,
        refuse: Callable[[int], web.Response],
        logger: logging.Logger,
    ) -> None:
        self._server, self._limits, self._logger = server, limits, logger
        self._connection = _connection_class(refuse)
        self._listening: list[asyncio.Server] = []
        self._options: dict[str, Any] = {
            "access_log": None,
            "keepalive_timeout": limits.keep_alive,
            "max_line_size": limits.longest_line,
            "max_field_size": limits.longest_line,
            "lingering_time": 1.0,
            "auto_decompress": False,  # no browser compresses a form, and what is compressed is stored so
            "read_bufsize": limits.read_ahead,
        }

    async def listen(self, sockets: Sequence[socket], context: SSLContext | None) -> None:
        """Accept connections on `sockets`, with TLS where there is a context."""
        loop = asyncio.get_running_loop()
        for one in sockets:
            one.setblocking(False)
            self._listening.append(
                await loop.create_server(
                    self._accept,
                    sock=one,
                    ssl=context,
                    backlog=self._limits.backlog,
                    ssl_handshake_timeout=None if context is None else _HANDSHAKE_SECONDS,
                    ssl_shutdown_timeout=None if context is None else _SHUTDOWN_SECONDS,
                )
            )

    def close(self) -> None:
        """Accept no more, and close what is idle; what was begun goes on."""
        for one in self._listening:
            one.close()
        self._server.pre_shutdown()

    def _accept(self) -> asyncio.Protocol:
        if len(self._server.connections) >= self._limits.connections:
            self._logger.warning("too many connections: a new one is closed")
            return _Closing()
        return self._connection(self._server, loop=asyncio.get_running_loop(), **self._options)


class _Closing(asyncio.Protocol):
    """For a connection too many: it is closed at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.abort()


def _connection_class(refuse: Callable[[int], web.Response]) -> type[RequestHandler]:
    def answer_unreadable(
        handler: RequestHandler,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What cannot be read is no fault of ours: strangers fill no log with it, and learn no version."""
        # aiohttp quotes an `Expect` that it does not know, and fails where that is no UTF-8.
        if isinstance(exc, UnicodeEncodeError) and "Expect" in request.headers:
            status = HTTPStatus.EXPECTATION_FAILED
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or request.writer.output_size:
            return RequestHandler.handle_error(handler, request, status, exc, message)
        response = refuse(status)
        response.force_close()
        return response

    return type("Connection", (RequestHandler,), {"__slots__": (), "handle_error": answer_unreadable})


async def ends_within(seconds: float, count: Callable[[], int]) -> bool:
    """Wait up to `seconds` until `count` is 0, of which aiohttp has no notification; False where it is not."""
    try:
        async with asyncio.timeout(seconds):
            while count():  # noqa: ASYNC110
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        return False
    return True
