"""Settings of a Redis server that break the guarantees of the engine."""

from typing import Any

from redis.exceptions import RedisError

from broker.storage.redis_errors import cause_of_redis


async def find_weaknesses(client: Any, *, may_fail_over: bool, replicas: int) -> list[str]:
    """A sentence each, for the operator. Raises what the client does, but for a server that hides its settings."""
    try:
        pairs = await client.config_get("append*", "maxmemory-policy", "min-replicas-to-write")
    except RedisError as error:
        return [
            f"the server does not show its settings ({cause_of_redis(error)}): make sure of appendfsync always"
        ]
    follow = await _followers(client) if may_fail_over else 0
    found = []
    if pairs.get("appendonly") != "yes":
        found.append("appendonly is off: a restart of the server loses what was acknowledged")
    elif pairs.get("appendfsync") != "always":
        found.append(f"appendfsync is {pairs.get('appendfsync')}: a crash may lose what was acknowledged")
    if pairs.get("maxmemory-policy") != "noeviction":
        found.append(f"maxmemory-policy is {pairs.get('maxmemory-policy')}: the server may evict records")
    least = int(pairs.get("min-replicas-to-write", 0))
    if may_fail_over and not least:
        found.append(
            "min-replicas-to-write is 0: a master that is cut off from the others goes on answering, and what it "
            "acknowledges is lost"
        )
    elif least < replicas:
        found.append(
            f"min-replicas-to-write is {least}, and store.redis_replicas {replicas}: a master with too few replicas "
            "takes commits that are then not acknowledged"
        )
    if may_fail_over and not replicas:
        found.append("store.redis_replicas is 0: a failover may lose what was acknowledged")
    elif may_fail_over and follow > replicas:
        found.append(
            f"store.redis_replicas is {replicas}, and {follow} replicas follow the master: a failover to one that is "
            "behind may lose what was acknowledged"
        )
    return found


async def _followers(client: Any) -> int:
    """How many replicas the master has; 0 where it does not say so."""
    try:
        return int((await client.info("replication")).get("connected_slaves", 0))
    except RedisError:
        return 0
