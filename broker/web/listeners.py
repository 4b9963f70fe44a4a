"""Listening: an address is reserved for this broker alone, then shared by its workers.

SO_REUSEPORT lets every process of the same user bind a listening address, a second broker included. So an address is
first bound without it, which the kernel refuses while another process listens there; only then may our own workers
bind it too. The reserving socket does not listen then: it gets no connections, and keeps other processes out while
workers are replaced. Where only one worker serves, it accepts connections from the reserving socket itself.
"""

import errno
import socket
from collections.abc import Sequence

from broker.causes import cause_of

BACKLOG = 1024  # connections that wait to be accepted


class AddressUnavailable(Exception):
    """The broker cannot listen at a configured address; the message says where and why.

    `may_pass`: whether it may become possible without a change of settings.
    """

    def __init__(self, message: str, *, may_pass: bool) -> None:
        super().__init__(message)
        self.may_pass = may_pass


def reserve(host: str, port: int) -> list[socket.socket]:
    """Bind every address of `host`; raises AddressUnavailable where another process listens, of any user."""
    reserved: list[socket.socket] = []
    try:
        for family, _, _, _, address in _addresses_of(host, port):
            one = socket.socket(family, socket.SOCK_STREAM)
            reserved.append(one)
            # Allows binding over connections that an earlier broker left behind, never over a listener.
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, host != "::")
            one.bind(address)
    except OSError as error:
        for one in reserved:
            one.close()
        message = f"cannot listen on {_shown(host, port)}: {_explained(error)}"
        raise AddressUnavailable(message, may_pass=error.errno != errno.EACCES) from None
    return reserved


def overlap(some: Sequence[socket.socket], others: Sequence[socket.socket]) -> bool:
    """Whether two sets of sockets share an address: the kernel lets both bind, and only one listen."""
    return any(_is_same_address(one, other) for one in some for other in others)


def _is_same_address(one: socket.socket, other: socket.socket) -> bool:
    (host, port), (other_host, other_port) = one.getsockname()[:2], other.getsockname()[:2]
    if port != other_port:
        return False
    if one.family == other.family:
        return host == other_host or _EVERY_ADDRESS & {host, other_host} != set()
    six, its_host = (one, host) if one.family == socket.AF_INET6 else (other, other_host)
    return its_host == "::" and not six.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)


_EVERY_ADDRESS = {"0.0.0.0", "::"}  # noqa: S104  compared with, not bound


def allow_worker_sockets(reserved: Sequence[socket.socket]) -> None:
    """Let `worker_sockets` bind the same addresses from now on; a socket without SO_REUSEPORT cannot."""
    for one in reserved:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


def start_listening(reserved: Sequence[socket.socket]) -> None:
    """Queue connections at the reserved addresses until a process accepts them, also while that process is replaced."""
    for one in reserved:
        one.listen(BACKLOG)


def worker_sockets(reserved: Sequence[socket.socket]) -> list[socket.socket]:
    """A worker's own sockets at the reserved addresses; the kernel spreads connections over the listening ones."""
    own = []
    for one in reserved:
        mine = socket.socket(one.family, socket.SOCK_STREAM)
        mine.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        mine.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if one.family == socket.AF_INET6:
            only = one.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
            mine.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
        mine.bind(one.getsockname())
        own.append(mine)
    return own


def _addresses_of(host: str, port: int) -> list[tuple[int, int, int, str, tuple[str, int]]]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys(found))  # type: ignore[arg-type]


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _explained(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return "no address has this name"
    if error.errno == errno.EADDRINUSE:
        return "another program listens there, maybe another broker (ss -ltnp shows which)"
    if error.errno == errno.EADDRNOTAVAIL:
        return "this machine has no such address"
    if error.errno == errno.EACCES:
        return "ports below 1024 need root or CAP_NET_BIND_SERVICE"
    return cause_of(error)
