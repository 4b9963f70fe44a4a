"""A server: its listeners, the connections it has, and how it ends."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from socket import socket
from ssl import SSLContext

from broker.web.connection import Connection
from broker.web.http import Answer
from broker.web.listeners import BACKLOG

_HANDSHAKE_SECONDS = 15.0
_CLOSING_SECONDS = 5.0

_logger = logging.getLogger("broker.web")


class Server:
    """`answer` gives the response to each request; `clock` epoch seconds; `maximum_body` is in bytes."""

    def __init__(self, answer: Answer, clock: Callable[[], float], *, maximum_body: int = 256 << 10) -> None:
        self.answer = answer
        self.clock = clock
        self.maximum_body = maximum_body
        self.is_stopping = False
        self._connections: set[Connection] = set()
        self._listeners: list[asyncio.Server] = []
        self._is_empty = asyncio.Event()

    async def listen(self, sockets: Sequence[socket], context: SSLContext | None = None) -> None:
        """Take connections on `sockets`, with TLS where there is a context."""
        loop = asyncio.get_running_loop()
        for one in sockets:
            listener = await loop.create_server(
                lambda: Connection(self),
                sock=one,
                backlog=BACKLOG,
                ssl=context,
                ssl_handshake_timeout=_HANDSHAKE_SECONDS if context else None,
                ssl_shutdown_timeout=_CLOSING_SECONDS if context else None,
            )
            self._listeners.append(listener)

    async def stop(self, grace: float) -> None:
        """Take no more connections, answer what was asked, and close; what outlasts `grace` seconds is cut off."""
        self.is_stopping = True
        for listener in self._listeners:
            listener.close()
        for connection in list(self._connections):
            connection.finish()
        try:
            async with asyncio.timeout(grace):
                while self._connections:
                    self._is_empty.clear()
                    await self._is_empty.wait()
        except TimeoutError:
            _logger.warning("%d connections did not end within %s s", len(self._connections), grace)
            for connection in list(self._connections):
                connection.abort()

    def add(self, connection: Connection) -> None:
        self._connections.add(connection)
        if self.is_stopping:
            connection.finish()

    def remove(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._is_empty.set()
