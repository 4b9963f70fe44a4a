"""The shared engine: one Redis (or Redis Cluster) for the brokers of many machines.

Each partition is a handful of keys that share one hash slot, the account's:

    broker:{123456789012}:account/123456789012:revision       the number that grows with each commit
    broker:{123456789012}:account/123456789012:keys           sorted set: which keys there are, in byte order
    broker:{123456789012}:account/123456789012:expiry         sorted set: those that expire, by millisecond
    broker:{123456789012}:account/123456789012:value:<key>    one string per record, expired by Redis itself

A commit is one script whose keys are all declared, so it is one step for everybody else. A read is one MGET that
holds the revision too, so its values are true at that revision.

What the server has to promise: `appendonly yes`, `appendfsync always`, no eviction, and no failover to a replica
that lacks acknowledged writes (`weaknesses` tells what of this it can see). Expiry goes by the server's clock.

Two breaches of it are noticed, and nothing is answered while they last:
- A partition is behind a revision that this process has seen: the server was emptied, restored, or lacks what another
  one acknowledged. What revisions mean from then on is another history, so they are counted from a new origin.
- The server is a replica, or a master that may not write. Revisions are asked by GETEX, which reads as GET does, but
  is a writing command (Redis 6.2), so that a replica, which may be behind, does not answer it.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from hashlib import sha1
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError

from broker.storage.engine import Conflict, EngineUnavailable, Write

_NAMESPACE = "broker"
_SCHEMES = ("redis", "rediss", "unix", "redis+cluster", "rediss+cluster")

# KEYS: revision, keys, expiry, then each write's value. ARGV: the expected revision or "", then for each write its
# key, its expiry (milliseconds, "" for none, "deleted") and its value. Answers {committed, revision}.
_COMMIT = """
local revision = tonumber(redis.call('GET', KEYS[1]) or '0')
if ARGV[1] ~= '' and tonumber(ARGV[1]) ~= revision then
  return {0, revision}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now, 'LIMIT', 0, 100)) do
  redis.call('ZREM', KEYS[2], gone)
  redis.call('ZREM', KEYS[3], gone)
end
for i = 4, #KEYS do
  local at = 2 + (i - 4) * 3
  local key, expiry, value = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  if expiry == 'deleted' then
    redis.call('DEL', KEYS[i])
    redis.call('ZREM', KEYS[2], key)
    redis.call('ZREM', KEYS[3], key)
  else
    redis.call('SET', KEYS[i], value)
    redis.call('ZADD', KEYS[2], 0, key)
    if expiry == '' then
      redis.call('ZREM', KEYS[3], key)
    else
      redis.call('PEXPIREAT', KEYS[i], expiry)
      redis.call('ZADD', KEYS[3], expiry, key)
    end
  end
end
return {1, redis.call('INCR', KEYS[1])}
"""

# KEYS: revision, keys. ARGV: lowest, highest, how many. Answers the revision, then the keys in between.
_RANGE = """
local found = redis.call('ZRANGE', KEYS[2], ARGV[1], ARGV[2], 'BYLEX', 'LIMIT', 0, ARGV[3])
table.insert(found, 1, redis.call('GET', KEYS[1]) or '0')
return found
"""

# How far the origins of two histories are apart: more than there will be commits.
_HISTORY = 1 << 44

_DELETED = b"deleted"
_NO_LIMIT = -1

# How many values one MGET asks for, and how often a scan begins anew because commits came in between.
_VALUES_AT_ONCE = 500
_SCAN_ATTEMPTS = 20


class RedisEngine:
    """An `Engine` over a Redis server. Lives on one event loop; connects when it is first asked, and again."""

    def __init__(self, url: str, *, timeout: float = 2.0, connections: int = 32) -> None:
        """`url`: redis://, rediss:// (TLS), unix://, or redis+cluster://, with user, password and options in it.

        `timeout` in seconds, for connecting and for each answer. Raises ValueError for a URL that is none.
        """
        self._client: Any = _client(url, timeout, connections)
        self._waiting: dict[str, asyncio.Future[int]] = {}
        self._asking: asyncio.Task[None] | None = None
        self._listed: set[str] = set()
        self._seen: dict[str, int] = {}  # the latest revision of each partition, as the server counts
        self._behind: dict[str, int] = {}  # partitions that were found behind, and where they were seen
        self._origin = 0

    async def revision(self, partition: str) -> int:
        """See Engine. Those who ask meanwhile share one question, always one that is yet to be sent."""
        waiting = self._waiting.get(partition)
        if waiting is None:
            waiting = self._waiting[partition] = asyncio.get_running_loop().create_future()
            if self._asking is None:
                self._asking = asyncio.create_task(self._ask_revisions())
        # Shielded, for it is shared: one who gives up does not give up for the others.
        return await asyncio.shield(waiting)

    async def get(self, partition: str, key: str) -> bytes | None:
        value: bytes | None = await self._read("GET", _value(partition, key))
        return value

    async def fetch(self, partition: str, keys: Sequence[str]) -> tuple[int, list[bytes | None]]:
        revision, *values = await self._read(
            "MGET", _revision(partition), *(_value(partition, k) for k in keys)
        )
        return int(revision or 0) + self._origin, values

    async def scan(
        self, partition: str, prefix: str, after: str = "", limit: int | None = None
    ) -> list[tuple[str, bytes]]:
        for _ in range(_SCAN_ATTEMPTS):
            found = await self._scan_once(partition, prefix, after, limit)
            if found is not None:
                return found
        raise EngineUnavailable(f"redis: {partition} changed {_SCAN_ATTEMPTS} times while it was listed")

    async def commit(self, partition: str, writes: Sequence[Write], expecting: int | None) -> int:
        """See Engine. Never sent twice: where the connection breaks, whether it was done is unknown."""
        self._require_nothing_lost()
        if expecting is not None:
            expecting -= self._origin
        keys = [_revision(partition), _index(partition, "keys"), _index(partition, "expiry")]
        arguments: list[bytes | str | int] = ["" if expecting is None else expecting]
        for write in writes:
            keys.append(_value(partition, write.key))
            arguments += [write.key.encode(), _expiry(write), write.value or b""]
        async with _explained():
            if not expecting and partition not in self._listed:
                # In another slot, so it goes first: `partitions` leaves out what has no revision.
                await self._client.execute_command("ZADD", _PARTITIONS, 0, partition)
                self._listed.add(partition)
            is_committed, revision = await self._run(_COMMIT, keys, arguments)
        if not is_committed:
            raise Conflict(f"{partition}: at revision {revision}, not {expecting}")
        self._seen[partition] = max(self._seen.get(partition, 0), int(revision))
        return int(revision) + self._origin

    async def partitions(self, prefix: str) -> list[str]:
        lowest, highest = _bounds(prefix, "")
        names = await self._read("ZRANGE", _PARTITIONS, lowest, highest, "BYLEX")
        found = [name.decode() for name in names]
        async with _explained():
            revisions = await self._revisions(found)
        return [name for name, revision in zip(found, revisions, strict=True) if revision]

    async def weaknesses(self) -> list[str]:
        """What the server's settings take away from the promise of `commit`; a sentence each, for the operator."""
        async with _explained():
            try:
                pairs = await self._client.config_get("append*", "maxmemory-policy")
            except RedisError as error:
                return [f"the server does not show its settings ({error}): make sure of appendfsync always"]
        found = []
        if pairs.get("appendonly") != "yes":
            found.append("appendonly is off: a restart of the server loses what was acknowledged")
        elif pairs.get("appendfsync") != "always":
            found.append(f"appendfsync is {pairs.get('appendfsync')}: a crash may lose what was acknowledged")
        if pairs.get("maxmemory-policy") != "noeviction":
            found.append(
                f"maxmemory-policy is {pairs.get('maxmemory-policy')}: the server may forget records"
            )
        return found

    async def close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
        await self._client.aclose()

    async def _ask_revisions(self) -> None:
        while self._waiting:
            waiting, self._waiting = self._waiting, {}
            try:
                async with _explained():
                    answers = await self._revisions_not_behind(list(waiting))
            except EngineUnavailable as error:
                _fail(waiting, error)
            except BaseException:
                _fail(waiting | self._waiting, EngineUnavailable("redis: the engine is closing"))
                self._waiting = {}
                self._asking = None
                raise
            else:
                _settle(waiting, answers)
        self._asking = None

    async def _revisions_not_behind(self, partitions: list[str]) -> list[int]:
        """Raises EngineUnavailable where one is behind what was seen before, and as long as any is that was."""
        asked = [*partitions, *(name for name in self._behind if name not in partitions)]
        seen = [self._seen.get(name, 0) for name in asked]  # before asking: meanwhile others may see more
        answers = await self._again(self._revisions, asked)
        was_behind, self._behind = bool(self._behind), {}
        for name, before, answer in zip(asked, seen, answers, strict=True):
            if answer < before:
                self._behind[name] = before
            elif answer > before:
                self._seen[name] = max(self._seen.get(name, 0), answer)
        self._require_nothing_lost()
        if was_behind:
            self._origin += _HISTORY
        return [answer + self._origin for answer in answers[: len(partitions)]]

    def _require_nothing_lost(self) -> None:
        for name, seen in self._behind.items():
            raise EngineUnavailable(
                f"redis: the server has lost commits: {name} is behind revision {seen}, which it had acknowledged; "
                "restore it, or restart the brokers if it is as it should be"
            )

    async def _revisions(self, partitions: list[str]) -> list[int]:
        if len(partitions) == 1:
            return [int(await self._client.execute_command("GETEX", _revision(partitions[0])) or 0)]
        # One by one, since each may lie in another slot; on one connection, in one round trip.
        pipeline = self._client.pipeline(transaction=False)
        for partition in partitions:
            pipeline.execute_command("GETEX", _revision(partition))
        return [int(answer or 0) for answer in await pipeline.execute()]

    async def _scan_once(
        self, partition: str, prefix: str, after: str, limit: int | None
    ) -> list[tuple[str, bytes]] | None:
        """None where a commit came in between. Keys whose value has expired are in the index a while longer."""
        found: list[tuple[str, bytes]] = []
        seen: int | None = None
        while limit is None or len(found) < limit:
            wanted = _NO_LIMIT if limit is None else limit - len(found)
            revision, keys = await self._range(partition, prefix, after, wanted)
            if seen is None:
                seen = revision
            for start in range(0, len(keys), _VALUES_AT_ONCE):
                some = keys[start : start + _VALUES_AT_ONCE]
                revision, values = await self.fetch(partition, some)
                if revision != seen:
                    return None
                found += [(key, value) for key, value in zip(some, values, strict=True) if value is not None]
            if revision != seen:
                return None
            if limit is None or len(keys) < wanted:
                break
            after = keys[-1]
        return found

    async def _range(self, partition: str, prefix: str, after: str, wanted: int) -> tuple[int, list[str]]:
        lowest, highest = _bounds(prefix, after)
        keys = [_revision(partition), _index(partition, "keys")]
        async with _explained():
            revision, *found = await self._again(self._run, _RANGE, keys, [lowest, highest, wanted])
        return int(revision) + self._origin, [key.decode() for key in found]

    async def _read(self, *command: Any) -> Any:
        async with _explained():
            return await self._again(self._client.execute_command, *command)

    async def _again(self, ask: Any, *arguments: Any) -> Any:
        """Ask a second time where the connection turns out to be dead: a question does no harm twice."""
        try:
            return await ask(*arguments)
        except RedisConnectionError:
            return await ask(*arguments)

    async def _run(self, script: str, keys: Sequence[str], arguments: Sequence[bytes | str | int]) -> Any:
        digest = sha1(script.encode(), usedforsecurity=False).hexdigest()
        try:
            return await self._client.execute_command("EVALSHA", digest, len(keys), *keys, *arguments)
        except NoScriptError:
            return await self._client.execute_command("EVAL", script, len(keys), *keys, *arguments)


_PARTITIONS = f"{_NAMESPACE}:partitions"


def _base(partition: str) -> str:
    """Where the partition's keys begin; its hash tag is what follows the slash: the account."""
    return f"{_NAMESPACE}:{{{partition.rpartition('/')[2]}}}:{partition}"


def _revision(partition: str) -> str:
    return f"{_base(partition)}:revision"


def _index(partition: str, which: str) -> str:
    return f"{_base(partition)}:{which}"


def _value(partition: str, key: str) -> str:
    return f"{_base(partition)}:value:{key}"


def _bounds(prefix: str, after: str) -> tuple[bytes, bytes]:
    """Of a BYLEX range: what begins with `prefix` and is behind `after`. No UTF-8 holds the byte 0xff."""
    lowest = b"(" + after.encode() if after and after >= prefix else b"[" + prefix.encode()
    return lowest, b"(" + prefix.encode() + b"\xff"


def _expiry(write: Write) -> bytes | int | str:
    if write.value is None:
        return _DELETED
    return "" if write.expires_at is None else max(1, int(write.expires_at * 1000))


def _client(url: str, timeout: float, connections: int) -> Any:
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in _SCHEMES:
        raise ValueError(f"a Redis URL begins with one of {', '.join(f'{known}://' for known in _SCHEMES)}")
    single = scheme.removesuffix("+cluster")
    # Protocol 2: RESP3 adds maintenance notices that cost on every answer, and nothing that is used here.
    options: dict[str, Any] = {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "protocol": 2,
        "max_connections": connections,
    }
    if single != scheme:
        return RedisCluster.from_url(f"{single}://{rest}", retry=_no_retry(), **options)
    pool = BlockingConnectionPool.from_url(url, timeout=timeout, retry=_no_retry(), **options)
    return Redis.from_pool(pool)


def _no_retry() -> Retry:
    return Retry(NoBackoff(), 0)


@asynccontextmanager
async def _explained() -> AsyncIterator[None]:
    try:
        yield
    except (RedisError, OSError, TimeoutError) as error:
        raise EngineUnavailable(f"redis: {error or type(error).__name__}") from error


def _settle(waiting: dict[str, "asyncio.Future[int]"], answers: list[int]) -> None:
    for future, answer in zip(waiting.values(), answers, strict=True):
        if not future.done():
            future.set_result(answer)


def _fail(waiting: dict[str, "asyncio.Future[int]"], error: EngineUnavailable) -> None:
    for future in waiting.values():
        if not future.done():
            future.set_exception(error)
            # Taken note of here: whoever waited may have gone.
            future.exception()
