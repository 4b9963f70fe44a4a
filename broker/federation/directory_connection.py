"""Connections to an LDAP directory: with TLS, with a deadline, and with a bound on what is received.

ldap3 compares host names itself, and applies its timeout to each read. Here a standard TLS context verifies the host,
and one deadline and one bound apply to the whole connection.
"""

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import ldap3
from ldap3.core.exceptions import LDAPException

from broker.federation.directory import DirectoryUnavailable

MOST_RECEIVED = 4 << 20  # bytes, on one connection


class BoundedSocket:
    """The methods of a socket that ldap3 uses, with a deadline, in seconds of the monotonic clock."""

    def __init__(self, inner: socket.socket, deadline: float, clock: Callable[[], float]) -> None:
        self.inner = inner
        self._deadline = deadline
        self._clock = clock
        self._left = MOST_RECEIVED

    def recv(self, size: int) -> bytes:
        self._set_timeout()
        received = self.inner.recv(size)
        self._left -= len(received)
        if self._left < 0:
            raise OSError(f"the directory sent more than {MOST_RECEIVED} bytes")
        return received

    def sendall(self, data: bytes) -> None:
        self._set_timeout()
        self.inner.sendall(data)

    def shutdown(self, how: int) -> None:
        self.inner.shutdown(how)

    def close(self) -> None:
        self.inner.close()

    def secure(self, context: ssl.SSLContext, host: str) -> None:
        """Start TLS; raises OSError where the server's certificate is not valid for `host`."""
        self._set_timeout()
        self.inner = context.wrap_socket(self.inner, server_hostname=host)

    def _set_timeout(self) -> None:
        self.inner.settimeout(remaining(self._deadline, self._clock))


def remaining(deadline: float, clock: Callable[[], float]) -> float:
    """Seconds until the deadline; raises TimeoutError when it has passed."""
    left = deadline - clock()
    if left <= 0:
        raise TimeoutError("the directory did not answer in time")
    return left


class _StandardTls(ldap3.Tls):
    """TLS by Python's own context, which verifies the host name, too."""

    def __init__(self, context: ssl.SSLContext, deadline: float, clock: Callable[[], float]) -> None:
        super().__init__(validate=ssl.CERT_REQUIRED)
        self._context = context
        self._deadline = deadline
        self._clock = clock

    def wrap_socket(self, connection: Any, do_handshake: bool = False) -> None:
        if not isinstance(connection.socket, BoundedSocket):
            connection.socket = BoundedSocket(connection.socket, self._deadline, self._clock)
        connection.socket.secure(self._context, connection.server.host)


@contextmanager
def connected(
    url: str,
    context: ssl.SSLContext,
    deadline: float,
    *,
    plain_text: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[ldap3.Connection]:
    """A connection to the server at `url`, not bound yet; errors of LDAP and of the network, also inside the
    context, are raised as DirectoryUnavailable.

    Everything is sent by TLS: from the start with ldaps URLs, else after StartTLS; without TLS only with `plain_text`.
    """
    connection = None
    try:
        tls = _StandardTls(context, deadline, clock)
        wait = remaining(deadline, clock)
        server = ldap3.Server(url, tls=tls, get_info=ldap3.NONE, connect_timeout=wait)
        connection = ldap3.Connection(
            server,
            auto_referrals=False,  # a password is sent to configured servers only
            check_names=False,
            read_only=True,
            return_empty_attributes=False,
        )
        connection.open(read_server_info=False)
        if not server.ssl:
            connection.socket = BoundedSocket(connection.socket, deadline, clock)
            if not plain_text and not connection.start_tls(read_server_info=False):
                raise DirectoryUnavailable(f"{url}: StartTLS failed")
        yield connection
    except (LDAPException, OSError) as error:
        raise DirectoryUnavailable(f"{url}: {error}") from None
    finally:
        if connection is not None:
            _close(connection)


def _close(connection: ldap3.Connection) -> None:
    opened = connection.socket
    with suppress(LDAPException, OSError):
        connection.unbind()
    if opened is not None:
        opened.close()  # ldap3 leaves it open where opening failed half-way
