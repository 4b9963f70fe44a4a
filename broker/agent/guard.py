"""What every listener of the agent asks first: is the request from here, and meant for here?

- The peer's address is one that the operator has named: who routes packets to this machine from elsewhere gets nothing.
- The Host header names an address at which this listener listens: a page in a browser whose name was made to resolve
  to it (DNS rebinding) sends its name.
- No header says that a proxy has passed the request on, as EC2's service refuses it for tokens.
"""

from collections.abc import Sequence
from functools import lru_cache

from broker.names.addresses import Network, parse_address
from broker.web.http import Request
from broker.web.target import split_host

_FORWARDED = ("x-forwarded-for", "forwarded")


class Guard:
    """`hosts` are the addresses of the listener, `networks` who may ask; None: clients that are known otherwise."""

    def __init__(self, hosts: Sequence[str], networks: Sequence[Network] | None) -> None:
        self._hosts = frozenset(_canonical(host) for host in hosts)
        self._networks = None if networks is None else tuple(networks)
        self._is_admitted = lru_cache(maxsize=4096)(self._find_network)

    def why_not(self, request: Request) -> str:
        """Why the request is refused, for the log; "" where it is not."""
        host = request.find_header("host")
        name, _ = (split_host(host) if host is not None else None) or ("", "")
        if _canonical(name) not in self._hosts:
            return f"called by the name {name[:80]!r}"
        if any(request.find_header(header) is not None for header in _FORWARDED):
            return "it came through a proxy"
        if not self._is_admitted(request.peer.address):
            return "its address is not one of the networks"
        return ""

    def _find_network(self, peer: str) -> bool:
        if self._networks is None:
            return True
        try:
            address = parse_address(peer.partition("%")[0])
        except ValueError:
            return False
        return any(address in network for network in self._networks if network.version == address.version)


@lru_cache(maxsize=1024)
def _canonical(host: str) -> str:
    try:
        return str(parse_address(host.partition("%")[0]))
    except ValueError:
        return host.lower()
