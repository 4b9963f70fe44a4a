"""Ports that nobody listens on."""

import random
import socket
from contextlib import ExitStack
from pathlib import Path

_GIVEN: set[int] = set()
_LOWEST = 10_000
_LEAST_CHOICE = 1000
# The kernel takes from this range whenever any program of the machine connects, or binds port 0.
_EPHEMERAL = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])


def free_port(neighbour: int = 0) -> int:
    """A TCP port of 127.0.0.1 that is free at this moment, and that was not given before: a server may not listen yet.

    So is the one `neighbour` above it, where one is asked for. Where there is room, they are below the ports that the
    kernel gives out: no connection takes them before the server listens, or while it is restarted.
    """
    while True:
        with ExitStack() as probes:
            try:
                port = _bound(probes, _candidate(neighbour))
                wanted = {port, port + neighbour}
                if wanted & _GIVEN or max(wanted) > 65535:
                    continue
                for other in wanted - {port}:
                    _bound(probes, other)
            except OSError:
                continue
        _GIVEN.update(wanted)
        return port


def _candidate(neighbour: int) -> int:
    """0 where the kernel is to choose."""
    end = _EPHEMERAL - neighbour
    return random.SystemRandom().randrange(_LOWEST, end) if end - _LOWEST >= _LEAST_CHOICE else 0


def _bound(probes: ExitStack, port: int) -> int:
    probe = probes.enter_context(socket.socket())
    probe.bind(("127.0.0.1", port))
    bound: int = probe.getsockname()[1]
    return bound
