"""The portal's listener: its pages on sockets that are reserved already.

aiohttp closes a connection that is idle, or whose request does not arrive. The connection of the other listeners is for
machines: a page has cookies, forms and files.
"""

import logging
from collections.abc import Sequence
from socket import socket
from ssl import SSLContext

from aiohttp import web

from broker.listening import AcceptedConnections, ListeningLimits, ends_within
from broker.portal.application import make_application
from broker.portal.dependencies import Portal
from broker.portal.headers import add_headers

_LAST_RECORD_SECONDS = 1.5  # for handlers whose browser was disconnected when the server stops

_logger = logging.getLogger("broker.portal")


class PortalListener:
    """Serves the pages; `maximum_connections` counts those that are idle, too."""

    def __init__(self, portal: Portal, *, maximum_connections: int) -> None:
        self.portal = portal
        self._stopping = portal.stopping
        self._runner = web.AppRunner(make_application(portal))
        self._limits = ListeningLimits(
            connections=maximum_connections, backlog=256, keep_alive=30.0, longest_line=8190
        )
        self._accepted: AcceptedConnections | None = None

    async def listen(self, sockets: Sequence[socket], context: SSLContext | None = None) -> None:
        """Accept connections on `sockets`, with TLS where there is a context."""
        await self._runner.setup()
        assert self._runner.server is not None
        self._accepted = AcceptedConnections(self._runner.server, self._limits, _unreadable, _logger)
        await self._accepted.listen(sockets, context)

    async def stop(self, grace: float) -> None:
        """Accept no more connections, answer what was asked, and close; after `grace` seconds abort the rest."""
        self._stopping.set()
        if self._accepted is not None:
            self._accepted.close()
        if not await self.ends_within(grace):
            _logger.warning("%d connections did not end within %s s", self._connections(), grace)
        if self._runner.server is not None:
            await self._runner.server.shutdown(_LAST_RECORD_SECONDS)
        await self._runner.cleanup()

    async def ends_within(self, seconds: float) -> bool:
        """Wait up to `seconds` for all connections to close and their handlers to end; False where some did not."""
        return await ends_within(seconds, self._connections)

    def _connections(self) -> int:
        return len(self._runner.server.connections) if self._runner.server is not None else 0


def _unreadable(status: int) -> web.Response:
    response = web.Response(status=status, text="This request cannot be read.\n")
    add_headers(response, is_secure=False)
    return response
