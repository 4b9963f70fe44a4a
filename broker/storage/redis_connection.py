"""The client of a Redis server, and its errors as those of an engine."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from broker.storage.redis_cluster import ClusterClient
from broker.storage.redis_errors import FAILURES, unavailable
from broker.storage.redis_sentinel import sentinel_client

SCHEMES = (
    "redis",
    "rediss",
    "unix",
    *(f"{tls}+{kind}" for tls in ("redis", "rediss") for kind in ("cluster", "sentinel")),
)


def redis_client(url: str, timeout: float, connections: int) -> Any:
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in SCHEMES:
        raise ValueError(f"a Redis URL begins with one of {', '.join(f'{known}://' for known in SCHEMES)}")
    single = scheme.removesuffix("+cluster")
    # Protocol 2: RESP3 adds maintenance notices that cost time on every answer, and nothing that is used here.
    options: dict[str, Any] = {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "protocol": 2,
        "max_connections": connections,
    }
    if single != scheme:
        cluster: Any = ClusterClient.from_url(f"{single}://{rest}", retry=_no_retry(), **options)
        cluster.answer_seconds = timeout
        return cluster
    if scheme.endswith("+sentinel"):
        return sentinel_client(url, {"retry": _no_retry(), **options})
    pool = BlockingConnectionPool.from_url(url, timeout=timeout, retry=_no_retry(), **options)
    return Redis.from_pool(pool)


def _no_retry() -> Retry:
    return Retry(NoBackoff(), 0)


@asynccontextmanager
async def translated_errors() -> AsyncIterator[None]:
    try:
        yield
    except FAILURES as error:
        raise unavailable(error) from error
