"""The connections to the master that Redis Sentinel names.

Each new connection asks the sentinels for the master. A connection to a server that refuses a write is closed, since
there may be another master by now: the old one has become a replica, or has lost its replicas.
"""

from copy import copy
from typing import Any
from urllib.parse import parse_qsl, unquote

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.sentinel import (
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

_PORT = 26379
_TLS_FILES = {"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"}


class _Connection(SentinelManagedConnection):
    async def read_response(self, *arguments: Any, **options: Any) -> Any:
        try:
            return await super().read_response(*arguments, **options)
        except ResponseError as error:
            if not str(error).startswith("NOREPLICAS"):
                raise
            await self.disconnect()
            raise RedisConnectionError("the master has lost its replicas, and may not write") from error


class _Sentinels(Sentinel):
    async def discover_master(self, service_name: str) -> Any:
        """The address of the master.

        redis-py puts the sentinel that names it at the beginning of the list, as if the list were still as it was
        before. Of calls at the same time one would overwrite a sentinel that another has moved: it is asked no more.
        """
        own = copy(self)
        own.sentinels = list(self.sentinels)
        address = await Sentinel.discover_master(own, service_name)
        self.sentinels = own.sentinels
        return address


class _TlsConnection(_Connection, SentinelManagedSSLConnection):
    pass


class _MasterPool(SentinelConnectionPool, BlockingConnectionPool):
    """At most `max_connections`; who finds none free waits `timeout` seconds."""

    async def disconnect(self, inuse_connections: bool = True) -> None:
        """All of them, and then those to the sentinels, too; else the idle ones."""
        await super().disconnect(inuse_connections)
        if inuse_connections:
            for sentinel in self.sentinel_manager.sentinels:
                await sentinel.aclose()


def sentinel_client(url: str, options: dict[str, Any]) -> Any:
    """The client for redis+sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT/MASTER/NUMBER?ssl_ca_certs=FILE.

    The login and the files of TLS are for servers and sentinels. `options` are for connections to the servers. Raises
    ValueError where the URL does not name a master, or has other options.
    """
    scheme, _, rest = url.partition("://")
    rest, _, query = rest.partition("?")
    authority, _, path = rest.partition("/")
    login, _, hosts = authority.rpartition("@")
    name, _, number = path.partition("/")
    if not hosts or not name:
        raise ValueError("the URL of a Sentinel names its hosts, and the master")
    user, _, password = login.partition(":")
    shared = {
        **options,
        "username": unquote(user) or None,
        "password": unquote(password) or None,
        "ssl": scheme.startswith("rediss"),
        **_tls_files(query, is_tls=scheme.startswith("rediss")),
    }
    timeouts = {key: value for key, value in shared.items() if key != "max_connections"}
    sentinel = _Sentinels(  # type: ignore[no-untyped-call]
        [_address(host) for host in hosts.split(",")], sentinel_kwargs=timeouts
    )
    is_tls = shared.pop("ssl")
    connection = _TlsConnection if is_tls else _Connection
    pool = _MasterPool(  # type: ignore[no-untyped-call]
        unquote(name),
        sentinel,
        connection_class=connection,
        timeout=options["socket_timeout"],
        db=int(number or 0),
        **shared,
    )
    return Redis.from_pool(pool)


def _tls_files(query: str, *, is_tls: bool) -> dict[str, str]:
    given = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
    if not given.keys() <= (_TLS_FILES if is_tls else set()):
        raise ValueError(f"the URL of a Sentinel has no options but {', '.join(sorted(_TLS_FILES))}")
    return given


def _address(text: str) -> tuple[str, int]:
    host, separator, port = text.rpartition(":")
    return (host.strip("[]"), int(port)) if separator else (text, _PORT)
