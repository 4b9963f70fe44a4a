"""A server: its listeners, its connections, and its shutdown.

The number of connections is bounded, since each costs a descriptor and memory, and any client may open one. At the
bound, those that have waited longest for their client are closed, whether in keep-alive, head or body: an idle client
reconnects, and a client that only holds connections open holds none for long. A connection whose request is being
answered is never closed: where all are, new ones wait in the kernel's queue until one ends.

The server accepts connections itself: asyncio's own server would accept and drop queued connections when the process
has no descriptors left (uvloop), and does not count those that are still in the TLS handshake.
"""

import asyncio
import logging
import resource
from collections.abc import Awaitable, Callable, Sequence
from heapq import nsmallest
from operator import itemgetter
from socket import socket
from ssl import SSLContext

from broker.trace_context import HEADER, enter_trace
from broker.web.connection import Connection
from broker.web.http import Handler, Request, Response
from broker.web.listeners import BACKLOG

_TLS_SECONDS = {"ssl_handshake_timeout": 15.0, "ssl_shutdown_timeout": 5.0}
_RETRY_SECONDS = 0.2  # until accepting is retried
_WARNING_SECONDS = 60.0  # between two warnings in the log
_LAST_RECORD_SECONDS = 1.5  # for handlers whose client was disconnected when the server stops
_EVICTED_SHARE = 32  # 1/32 of the bound is evicted at once, because finding the longest idle looks at all

# Open files that are no client's: the store's (a Redis has up to 32 connections), the journal, the log, listeners.
_OWN_FILES = 64
OPERATIONS_CONNECTIONS = 32
PORTAL_CONNECTIONS = 256

_logger = logging.getLogger("broker.web")


class Server:
    """`answer` gives the response to each request; `clock` epoch seconds; `maximum_body` is in bytes.

    `maximum_connections` counts those in their TLS handshake, too; `name` is for the log.
    """

    def __init__(
        self,
        answer: Handler,
        clock: Callable[[], float],
        *,
        maximum_body: int = 256 << 10,
        maximum_connections: int = 1024,
        name: str = "server",
    ) -> None:
        self._handler = answer
        self.clock = clock
        self.maximum_body = maximum_body
        self.is_stopping = False
        self._maximum_connections = maximum_connections
        self._name = name
        self._connections: set[Connection] = set()
        self._handshakes: dict[Connection, asyncio.Task[None]] = {}
        self._listeners: list[socket] = []
        self._all_closed = asyncio.Event()
        self._next_warning_at = 0.0

    def answer(self, request: Request) -> Awaitable[Response]:
        enter_trace(request.all_headers(HEADER))
        return self._handler(request)

    @property
    def connections(self) -> int:
        return len(self._connections)

    async def listen(self, sockets: Sequence[socket], context: SSLContext | None = None) -> None:
        """Accept connections on `sockets`, with TLS where there is a context."""
        loop = asyncio.get_running_loop()
        for one in sockets:
            one.setblocking(False)
            one.listen(BACKLOG)
            self._listeners.append(one)
            loop.add_reader(one, self._accept, one, context)

    async def stop(self, grace: float) -> None:
        """Accept no more connections, answer complete requests, and close; after `grace` seconds abort the rest.

        Handlers whose connection was aborted get a moment more to end and to write their record.
        """
        self.is_stopping = True
        while self._listeners:
            listener = self._listeners.pop()
            asyncio.get_running_loop().remove_reader(listener)
            listener.close()
        for connection in list(self._connections):
            connection.finish()
        if not await self.ends_within(grace):
            _logger.warning("%d connections did not end within %s s", len(self._connections), grace)
            for connection in list(self._connections):
                connection.abort()
        for handshake in self._handshakes.values():
            handshake.cancel()
        await self.ends_within(_LAST_RECORD_SECONDS)

    async def ends_within(self, seconds: float) -> bool:
        """Wait up to `seconds` for all connections to close and their handlers to end; False where some did not."""
        try:
            async with asyncio.timeout(seconds):
                while self._connections:
                    self._all_closed.clear()
                    await self._all_closed.wait()
        except TimeoutError:
            return False
        return True

    def add(self, connection: Connection) -> None:
        self._handshakes.pop(connection, None)
        self._connections.add(connection)
        if self.is_stopping:
            connection.finish()

    def remove(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._all_closed.set()

    def _accept(self, listener: socket, context: SSLContext | None) -> None:
        """Accept one connection at `listener`; the loop calls again for the next one."""
        if len(self._connections) + len(self._handshakes) >= self._maximum_connections:
            self._evict_idle(listener, context, "too many connections")
            return
        try:
            accepted, _ = listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:  # no descriptors, or no memory
            self._evict_idle(listener, context, f"a connection cannot be taken: {error.strerror}")
            return
        connection = Connection(self)
        handshake = asyncio.get_running_loop().create_task(self._handshake(accepted, context, connection))
        self._handshakes[connection] = handshake
        # A callback, not a `finally` in the task: a task that is cancelled at once never runs.
        handshake.add_done_callback(lambda _: self._handshakes.pop(connection, None))

    async def _handshake(self, accepted: socket, context: SSLContext | None, connection: Connection) -> None:
        seconds = {} if context is None else _TLS_SECONDS
        try:
            loop = asyncio.get_running_loop()
            await loop.connect_accepted_socket(lambda: connection, accepted, ssl=context, **seconds)
        except OSError as error:
            _logger.debug("a connection failed before its first request: %s", error)

    def _evict_idle(self, listener: socket, context: SSLContext | None, why: str) -> None:
        """Close the connections that were idle longest; the loop accepts at `listener` again when they are closed."""
        waiting: list[tuple[float, Callable[[], object]]] = []
        for one in (*self._connections, *self._handshakes):
            since = one.idle_since
            if since is not None:
                handshake = self._handshakes.get(one)
                waiting.append((since, one.abort if handshake is None else handshake.cancel))
        longest = nsmallest(1 + self._maximum_connections // _EVICTED_SHARE, waiting, itemgetter(0))
        for _, cut_off in longest:
            cut_off()
        if longest:
            self._warn(f"{why}: those that waited longest for their client are cut off")
        else:
            self._warn(f"{why}, and all are being answered: new ones wait")
            loop = asyncio.get_running_loop()
            loop.remove_reader(listener)
            loop.call_later(_RETRY_SECONDS, self._resume, listener, context)

    def _resume(self, listener: socket, context: SSLContext | None) -> None:
        if not self.is_stopping:
            asyncio.get_running_loop().add_reader(listener, self._accept, listener, context)

    def _warn(self, why: str) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._next_warning_at:
            self._next_warning_at = now + _WARNING_SECONDS
            facts = {"listener": self._name, "connections": len(self._connections)}
            _logger.warning("%s", why, extra={"facts": facts})


def most_connections(wanted: int, others: int = OPERATIONS_CONNECTIONS) -> int:
    """Connections of the API, and of the metadata service: what is `wanted`, or what open files there may be.

    `others` are those of all other listeners.
    """
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = (files - _OWN_FILES - others) // 2
    if most >= wanted or files == resource.RLIM_INFINITY:
        return wanted
    _logger.warning("a limit of %d open files: %d connections at most", files, max(1, most))
    return max(1, most)
