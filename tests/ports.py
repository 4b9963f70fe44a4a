"""Ports that nobody listens on."""

import socket
from contextlib import ExitStack

_GIVEN: set[int] = set()


def free_port(neighbour: int = 0) -> int:
    """A TCP port of 127.0.0.1 that is free at this moment, and that was not given before: a server may not listen yet.

    So is the one `neighbour` above it, where one is asked for.
    """
    while True:
        with ExitStack() as probes:
            port = _bound(probes, 0)
            wanted = {port, port + neighbour}
            if wanted & _GIVEN or max(wanted) > 65535:
                continue
            try:
                for other in wanted - {port}:
                    _bound(probes, other)
            except OSError:
                continue
        _GIVEN.update(wanted)
        return port


def _bound(probes: ExitStack, port: int) -> int:
    probe = probes.enter_context(socket.socket())
    probe.bind(("127.0.0.1", port))
    bound: int = probe.getsockname()[1]
    return bound
