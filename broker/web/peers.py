"""The client's address, behind trusted proxies.

X-Forwarded-For and X-Forwarded-Proto count only where the peer, and every hop behind it, is a trusted proxy; the
first untrusted address from the right is the client. Any client may send these headers, so they are ignored otherwise.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

from broker.names.addresses import Network, parse_address, parse_network
from broker.web.http import Request

_LONGEST_ADDRESS = 64  # characters; a longer text is no address, and is not cached

# As texts, whose hash Python keeps: results are cached by them, and to hash a network of `ipaddress` takes longer
# than all else here.
Networks = tuple[str, ...]


def parse_networks(texts: Sequence[str]) -> Networks:
    """In the one spelling of each; raises ValueError for what is no network."""
    return tuple(str(parse_network(text)) for text in texts)


def source_of(request: Request, trusted: Networks) -> tuple[str, bool]:
    """The client's address and whether it spoke TLS to the outermost trusted hop."""
    peer, secure = request.peer.address, request.peer.is_secure
    if not trusted:
        return _find_address(peer) or "", secure
    forwarded_for = request.all_headers("x-forwarded-for")
    forwarded_proto = request.find_header("x-forwarded-proto") or ""
    return find_source(peer, secure, forwarded_for, forwarded_proto, trusted=trusted)


def find_source(
    peer_address: str,
    peer_is_secure: bool,
    forwarded_for: Sequence[str],
    forwarded_proto: str,
    *,
    trusted: Networks,
) -> tuple[str, bool]:
    """The same, of what is known of the peer and the values of the two headers."""
    peer = _find_address(peer_address) or ""
    if not trusted or not _is_trusted(peer, trusted):
        return peer, peer_is_secure
    forwarded = [hop.strip() for value in forwarded_for for hop in value.split(",")]
    source = peer
    for hop in reversed(forwarded):
        found = _find_address(hop) if len(hop) <= _LONGEST_ADDRESS else None
        if found is None:
            break
        source = found
        if not _is_trusted(source, trusted):
            break
    return source, peer_is_secure or forwarded_proto.lower() == "https"


def is_proxy(request: Request, proxies: Networks) -> bool:
    """Whether the peer itself is one of `proxies`."""
    return _is_trusted(_find_address(request.peer.address) or "", proxies)


def certificates_of(request: Request, trusted: Networks) -> Callable[[], tuple[bytes, ...]]:
    """What gives the client's certificates. What a trusted proxy shows is its own, and nothing of its clients'."""
    if trusted and _is_trusted(_find_address(request.peer.address) or "", trusted):
        return tuple
    return request.peer.client_certificates


@lru_cache(maxsize=4096)
def _find_address(text: str) -> str | None:
    """In the one spelling that is compared and recorded, without a zone; None where `text` is no address.

    A v4 client of a dual-stack socket is that v4 client.
    """
    try:
        return str(parse_address(text.partition("%")[0]))
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def _is_trusted(host: str, trusted: Networks) -> bool:
    if not host:
        return False
    address = parse_address(host)
    return any(address.version == network.version and address in network for network in _parsed(trusted))


@lru_cache(maxsize=16)
def _parsed(trusted: Networks) -> tuple[Network, ...]:
    return tuple(map(parse_network, trusted))
