"""The gateway's listener: S3 on sockets that are reserved already."""

import logging
from collections.abc import Sequence
from socket import socket
from ssl import SSLContext

from aiohttp import web

from broker.gateway.exchange import Gateway
from broker.gateway.requests import answer
from broker.listening import AcceptedConnections, ListeningLimits, ends_within

_LAST_SECONDS = 1.5

_logger = logging.getLogger("broker.gateway")


class GatewayListener:
    """Serves S3; `maximum_connections` counts those that are idle, too."""

    def __init__(self, gateway: Gateway, *, maximum_connections: int) -> None:
        self._gateway, self._begun = gateway, 0
        self._server = web.Server(self._answer)
        limits = ListeningLimits(
            connections=maximum_connections,
            backlog=1024,
            keep_alive=75.0,
            longest_line=16 << 10,  # presigned URLs hold session tokens
            read_ahead=256 << 10,
        )
        self._accepted = AcceptedConnections(self._server, limits, _unreadable, _logger)

    async def listen(self, sockets: Sequence[socket], context: SSLContext | None = None) -> None:
        """Accept connections on `sockets`, with TLS where there is a context."""
        await self._accepted.listen(sockets, context)

    async def stop(self, grace: float) -> None:
        """Accept no more connections, end what was begun, and close; after `grace` seconds abort the rest.

        Idle connections do not count.
        """
        self._accepted.close()
        if not await ends_within(grace, lambda: self._begun):
            _logger.warning("%d requests did not end within %s s", self._begun, grace)
        await self._server.shutdown(_LAST_SECONDS)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self._begun += 1
        try:
            return await answer(self._gateway, request)
        finally:
            self._begun -= 1


def _unreadable(status: int) -> web.Response:
    """To what is no HTTP, or ambiguous."""
    return web.Response(status=status, text="This request cannot be read.\n", headers={"Server": "broker"})
