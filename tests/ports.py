"""Ports that nobody listens on."""

import socket

_GIVEN: set[int] = set()


def free_port(below: int = 65536) -> int:
    """A TCP port of 127.0.0.1 that is free at this moment, and that was not given before: a server may not listen yet.

    `below` leaves room for a neighbour of it.
    """
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port < below and port not in _GIVEN:
            _GIVEN.add(port)
            return port
