"""A connection's socket: its peer's address, and the hop limit of its packets."""

import asyncio
import socket
import ssl
from ipaddress import ip_address
from typing import Any

# Milliseconds until a connection whose packets are not acknowledged is closed. Without it the kernel would resend an
# answer that the hop limit stopped for a quarter of an hour.
_UNACKNOWLEDGED = 10_000


class Peer:
    """The other end of a connection: `address` as the kernel gives it (empty when it was closed), and whether it
    speaks TLS.
    """

    __slots__ = ("_transport", "address", "is_secure")

    def __init__(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("peername")
        self.address: str = peer[0] if isinstance(peer, tuple) else ""
        self.is_secure = transport.get_extra_info("sslcontext") is not None
        self._transport = transport

    def client_certificates(self) -> tuple[bytes, ...]:
        """The chain by which TLS verified the client, in DER, the client's own certificate first.

        It is empty where the client showed none, and where the handshake took up an earlier session: then nothing was
        verified on this connection.
        """
        connection: Any = self._transport.get_extra_info("ssl_object")
        if connection is None or connection.session_reused:
            return ()
        if hasattr(connection, "get_verified_chain"):  # from Python 3.13 on
            return tuple(connection.get_verified_chain())
        inner: Any = getattr(connection, "_sslobj", None)
        if not hasattr(inner, "get_verified_chain"):
            return ()
        return tuple(ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in inner.get_verified_chain() or ())

    def limit_hops(self, hops: int) -> bool:
        """Limit everything sent on this connection from now on to `hops` hops; False where that fails.

        The limit stays for the life of the connection. Were it lifted after the answer, the kernel would resend an
        answer that the limit stopped, and it would travel further.
        """
        connection = self._transport.get_extra_info("socket")
        if connection is None:
            return False
        try:
            if connection.family == socket.AF_INET6:
                connection.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, hops)
            if connection.family == socket.AF_INET or _is_mapped(self.address):
                connection.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, hops)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED)
        except OSError:
            return False
        return True


def _is_mapped(address: str) -> bool:
    """Whether a v6 socket speaks to a v4 peer."""
    return getattr(ip_address(address.partition("%")[0]), "ipv4_mapped", None) is not None
