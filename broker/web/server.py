"""A server: its listeners, the connections it has, and how it ends.

A server has a bound of connections, for each is a descriptor and memory, and whoever reaches the listener may open
one. Where the bound is reached, those are cut off that have waited longest for their client, whatever for: an idle
client connects anew, and who opens connections only to hold them holds none for long. What is being answered is never
cut off: where all are, new ones wait in the kernel's queue until one ends.

The server accepts connections itself: asyncio's own would take and drop those that wait once the process has no
descriptors left (uvloop), and does not count those that are still in the TLS handshake.
"""

import asyncio
import logging
import resource
from collections.abc import Callable, Sequence
from heapq import nsmallest
from operator import itemgetter
from socket import socket
from ssl import SSLContext

from broker.web.connection import Connection
from broker.web.http import Answer
from broker.web.listeners import BACKLOG

_TLS_SECONDS = {"ssl_handshake_timeout": 15.0, "ssl_shutdown_timeout": 5.0}
_PAUSE_SECONDS = 0.2  # until it is tried again to take what waits
_SILENT_SECONDS = 60.0  # between two sentences in the log about the same want
_ENDING_SECONDS = 1.5  # for what is being done for a client that was cut off when the server stops
_SHARE_CUT_OFF = 32  # one part in so many goes at once: looking for those that may go takes a look at all

# Open files that are no client's: the store's (a Redis has up to 32 connections), the journal, the log, listeners.
_OWN_FILES = 64
OPERATIONS_CONNECTIONS = 32

_logger = logging.getLogger("broker.web")


class Server:
    """`answer` gives the response to each request; `clock` epoch seconds; `maximum_body` is in bytes.

    `maximum_connections` counts those in their TLS handshake, too; `name` is for the log.
    """

    def __init__(
        self,
        answer: Answer,
        clock: Callable[[], float],
        *,
        maximum_body: int = 256 << 10,
        maximum_connections: int = 1024,
        name: str = "server",
    ) -> None:
        self.answer = answer
        self.clock = clock
        self.maximum_body = maximum_body
        self.is_stopping = False
        self._maximum_connections = maximum_connections
        self._name = name
        self._connections: set[Connection] = set()
        self._arriving: dict[Connection, asyncio.Task[None]] = {}
        self._listeners: list[socket] = []
        self._is_empty = asyncio.Event()
        self._silent_until = 0.0

    async def listen(self, sockets: Sequence[socket], context: SSLContext | None = None) -> None:
        """Take connections on `sockets`, with TLS where there is a context."""
        loop = asyncio.get_running_loop()
        for one in sockets:
            one.setblocking(False)
            one.listen(BACKLOG)
            self._listeners.append(one)
            loop.add_reader(one, self._take, one, context)

    async def stop(self, grace: float) -> None:
        """Take no more connections, answer what was asked, and close; what outlasts `grace` seconds is cut off.

        What is being done for those that are cut off is given a moment more to end, and to leave its record.
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
        for arrival in self._arriving.values():
            arrival.cancel()
        await self.ends_within(_ENDING_SECONDS)

    async def ends_within(self, seconds: float) -> bool:
        """Whether all connections are gone, and nothing is being done for any, within so many seconds from now."""
        try:
            async with asyncio.timeout(seconds):
                while self._connections:
                    self._is_empty.clear()
                    await self._is_empty.wait()
        except TimeoutError:
            return False
        return True

    def add(self, connection: Connection) -> None:
        self._arriving.pop(connection, None)
        self._connections.add(connection)
        if self.is_stopping:
            connection.finish()

    def remove(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._is_empty.set()

    def _take(self, listener: socket, context: SSLContext | None) -> None:
        """Take one of the connections that wait at `listener`; for the next one the loop calls again."""
        if len(self._connections) + len(self._arriving) >= self._maximum_connections:
            self._make_room(listener, context, "too many connections")
            return
        try:
            accepted, _ = listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:  # no descriptors, or no memory
            self._make_room(listener, context, f"a connection cannot be taken: {error.strerror}")
            return
        connection = Connection(self)
        arrival = asyncio.get_running_loop().create_task(self._receive(accepted, context, connection))
        self._arriving[connection] = arrival
        # Not at the end of the task's own work: one that is cancelled at once never begins.
        arrival.add_done_callback(lambda _: self._arriving.pop(connection, None))

    async def _receive(self, accepted: socket, context: SSLContext | None, connection: Connection) -> None:
        seconds = {} if context is None else _TLS_SECONDS
        try:
            loop = asyncio.get_running_loop()
            await loop.connect_accepted_socket(lambda: connection, accepted, ssl=context, **seconds)
        except OSError as error:
            _logger.debug("a connection came to nothing: %s", error)

    def _make_room(self, listener: socket, context: SSLContext | None, why: str) -> None:
        """Cut off those that waited longest; what waits at `listener` is taken when they are gone."""
        waiting: list[tuple[float, Callable[[], object]]] = []
        for one in (*self._connections, *self._arriving):
            since = one.waits_since
            if since is not None:
                arrival = self._arriving.get(one)
                waiting.append((since, one.abort if arrival is None else arrival.cancel))
        longest = nsmallest(1 + self._maximum_connections // _SHARE_CUT_OFF, waiting, itemgetter(0))
        for _, cut_off in longest:
            cut_off()
        if longest:
            self._complain(f"{why}: those that waited longest for their client are cut off")
        else:
            self._complain(f"{why}, and all are being answered: new ones wait")
            loop = asyncio.get_running_loop()
            loop.remove_reader(listener)
            loop.call_later(_PAUSE_SECONDS, self._resume, listener, context)

    def _resume(self, listener: socket, context: SSLContext | None) -> None:
        if not self.is_stopping:
            asyncio.get_running_loop().add_reader(listener, self._take, listener, context)

    def _complain(self, why: str) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._silent_until:
            self._silent_until = now + _SILENT_SECONDS
            facts = {"listener": self._name, "connections": len(self._connections)}
            _logger.warning("%s", why, extra={"facts": facts})


def most_connections(wanted: int) -> int:
    """Connections of the API, and of the metadata service: what is `wanted`, or what open files there may be."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = (files - _OWN_FILES - OPERATIONS_CONNECTIONS) // 2
    if most >= wanted or files == resource.RLIM_INFINITY:
        return wanted
    _logger.warning("a limit of %d open files: %d connections at most", files, max(1, most))
    return max(1, most)
