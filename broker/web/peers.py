"""Who is at the other end of the connection, proxies taken off.

X-Forwarded-For and X-Forwarded-Proto count only where the peer, and every hop behind it, is a trusted proxy; the
first untrusted address from the right is the client. Anybody may send these headers, so nobody else is believed.
"""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from broker.web.http import Request

_LONGEST_ADDRESS = 64  # characters: what is longer is none, and not worth remembering

Networks = tuple[IPv4Network | IPv6Network, ...]


def parse_networks(texts: Sequence[str]) -> Networks:
    return tuple(ip_network(text) for text in texts)


def source_of(request: Request, trusted: Networks) -> tuple[str, bool]:
    """The client's address and whether it spoke TLS to the outermost trusted hop."""
    peer = _address(request.peer.address)
    secure = request.peer.is_secure
    if not trusted or not _is_trusted(peer, trusted):
        return peer, secure
    forwarded = [hop.strip() for value in request.all_headers("x-forwarded-for") for hop in value.split(",")]
    source = peer
    for hop in reversed(forwarded):
        if len(hop) > _LONGEST_ADDRESS or not _is_address(hop):
            break
        source = _address(hop)
        if not _is_trusted(source, trusted):
            break
    return source, secure or (request.find_header("x-forwarded-proto") or "").lower() == "https"


@lru_cache(maxsize=4096)
def _address(text: str) -> str:
    """Without a zone; a v4 client of a dual-stack socket is that v4 client."""
    host = text.partition("%")[0]
    return host.removeprefix("::ffff:") if host.startswith("::ffff:") and "." in host else host


@lru_cache(maxsize=4096)
def _is_trusted(host: str, trusted: Networks) -> bool:
    if not _is_address(host):
        return False
    address = ip_address(host)
    return any(address.version == network.version and address in network for network in trusted)


@lru_cache(maxsize=4096)
def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
