"""Listening: at the sockets of systemd for the addresses that it has bound, else at sockets of our own.

sd_listen_fds(3): LISTEN_PID is this process, LISTEN_FDS how many sockets begin at descriptor 3. So the agent needs
neither root nor CAP_NET_BIND_SERVICE for port 80.
"""

import os
import socket
from collections.abc import Mapping, Sequence

from broker.names.addresses import parse_address
from broker.web.listeners import reserve

_FIRST = 3


def given_sockets(environment: Mapping[str, str]) -> list[socket.socket]:
    """Sockets that the service manager has bound for this process."""
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = environment.get("LISTEN_FDS", "")
    if not count.isdigit():
        return []
    return [socket.socket(fileno=_FIRST + number) for number in range(int(count))]


def sockets_at(addresses: Sequence[tuple[str, int]], given: Sequence[socket.socket]) -> list[socket.socket]:
    """One for each address, of `given` where one has it; raises AddressUnavailable."""
    found: list[socket.socket] = []
    for host, port in addresses:
        known = [one for one in given if _is_at(one, host, port)]
        found += known or reserve(host, port)
    return found


def _is_at(one: socket.socket, host: str, port: int) -> bool:
    name = one.getsockname()
    try:
        return bool(name[1] == port and parse_address(name[0]) == parse_address(host))
    except (ValueError, IndexError):
        return False
