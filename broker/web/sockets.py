"""What a connection itself says and can be told: its peer, and how far its packets may go."""

import socket
from ipaddress import ip_address

from aiohttp import web

# Milliseconds until a connection whose packets are not acknowledged is given up: an answer that dies on its way, as
# the hop limit wants it, is not sent again for a quarter of an hour.
_UNACKNOWLEDGED = 10_000


def peer_of(request: web.BaseRequest) -> str:
    """The peer's address as the kernel gives it; empty where the connection is gone or has none."""
    transport = request.transport
    peer = transport.get_extra_info("peername") if transport is not None else None
    return peer[0] if isinstance(peer, tuple) else ""


def limit_hops(request: web.BaseRequest, hops: int) -> bool:
    """Let everything that is sent on this connection from now on live for `hops` hops; False where that fails.

    It stays so for the life of the connection. Were the limit lifted after the answer, the kernel would send an answer
    that was lost behind the limit once more, and further.
    """
    transport = request.transport
    connection = transport.get_extra_info("socket") if transport is not None else None
    if connection is None:
        return False
    try:
        if connection.family == socket.AF_INET6:
            connection.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, hops)
        if connection.family == socket.AF_INET or _is_mapped(connection):
            connection.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, hops)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED)
    except OSError:
        return False
    return True


def _is_mapped(connection: socket.socket) -> bool:
    """Whether a v6 socket speaks to a v4 peer."""
    return getattr(ip_address(connection.getpeername()[0].partition("%")[0]), "ipv4_mapped", None) is not None
