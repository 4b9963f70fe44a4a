"""The shared engine: one Redis (or Redis Cluster) for the brokers of many machines.

Each partition is a few keys in one hash slot, the account's:

    broker:{123456789012}:account/123456789012:revision       the number of commits, and the mark of the last one
    broker:{123456789012}:account/123456789012:keys           sorted set: all keys, in byte order
    broker:{123456789012}:account/123456789012:expiry         sorted set: those that expire, by millisecond
    broker:{123456789012}:account/123456789012:value:<key>    one string per record, which Redis expires
    broker:{123456789012}:account/123456789012:changes        list: the keys that each of the last commits has written
    broker:{123456789012}:account/123456789012:receipt:<mark> for a minute: the commit with this mark was applied

A commit is one script whose keys are all declared, so it is atomic. A read is one MGET that includes the revision, so
its values are true at that revision.

Requirements on the server: `appendonly yes`, `appendfsync always`, no eviction, and no failover to a replica that lacks
acknowledged writes (`weaknesses` reports those that it can see). Records expire by the server's clock.

With `replicas`, a commit counts when that many have acknowledged it, and what others have committed is read when they
have: a failover to one of them takes nothing back (`redis_replication.py`).

Two violations are detected, and while they last every read and commit fails:
- A partition is behind a revision that this process has seen, or has another mark at its number (`redis_revisions.py`).
  This is not detected where others have committed more often meanwhile; but since no two histories share a revision, no
  cached record is then taken for a current one.
- The server is a replica, or a master that may not write (`min-replicas-to-write`). Revisions are read by GETEX, which
  reads as GET does, but is a writing command (Redis 6.2): a replica, which may be behind, refuses it.

While the slot of a partition moves to another master of a cluster, nothing is committed there (`redis_cluster.py`).
Where the answer to a commit is lost, its receipt shows whether it was applied (`redis_scripts.py`).
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from broker.storage.changes import changes_since, packed_changes
from broker.storage.engine import (
    MARK_SIZE,
    Changes,
    Conflict,
    EngineUnavailable,
    OutcomeUnknown,
    Revision,
    Write,
)
from broker.storage.redis_batches import Answers, answered, ask_in_slices
from broker.storage.redis_cluster import ClusterClient
from broker.storage.redis_connection import redis_client, translated_errors
from broker.storage.redis_errors import FAILURES, unavailable
from broker.storage.redis_names import (
    PARTITIONS,
    bounds,
    index_key,
    parse_entry,
    parse_revision,
    receipt_key,
    revision_key,
    revision_text,
    value_key,
)
from broker.storage.redis_reading import read_revisions
from broker.storage.redis_replication import Argument, run, run_and_wait
from broker.storage.redis_revisions import Revisions
from broker.storage.redis_scripts import (
    BARRIER,
    CHANGES,
    COMMIT,
    LIST_PARTITION,
    PAGE,
    SETTLE,
    TIME,
    WITHDRAWN,
    expiry_argument,
)
from broker.storage.redis_weaknesses import find_weaknesses
from broker.storage.separate_commits import commit_separately

# How many values a scan reads at once, and how often a scan is tried where commits interrupt it.
_VALUES_AT_ONCE, _SCAN_ATTEMPTS = 500, 20

# How much of the time limit one answer may take; the rest is for a request that waits for another, or for a receipt.
_ANSWER_SHARE = 0.75

# How much of it replicas may take to acknowledge a commit; and what others have committed, before it is read.
_REPLICATION_SHARE, _CONFIRMATION_SHARE = 0.5, 0.25
_CONFIRMED_AT_ONCE = 8

# Seconds between two requests for a receipt; and for the commits that are in progress when the engine is closed.
_SETTLE_PAUSE = 0.1
_CLOSE_TIMEOUT = 3.0


class RedisEngine:
    """An `Engine` over a Redis server. Belongs to one event loop; connects at first use, and reconnects."""

    def __init__(
        self,
        url: str,
        entropy: Callable[[int], bytes],
        *,
        timeout: float = 2.0,
        connections: int = 32,
        replicas: int = 0,
        accepts_losses: bool = False,
    ) -> None:
        """`url`: redis:// or rediss:// (TLS), with +cluster or +sentinel, or unix://; with user, password and options.

        `entropy(n)` returns n fresh random bytes. `timeout` in seconds, until a reading or a commit fails; where
        the answer to a commit is lost, that includes finding out whether it was applied. `replicas` is how many must
        have a commit before it counts, `accepts_losses` whether commits may be missing that were seen (`Revisions`).
        Raises ValueError.
        """
        self._client: Any = redis_client(url, timeout * _ANSWER_SHARE, connections)
        self.is_cluster = "+cluster://" in url
        self._may_fail_over = self.is_cluster or "+sentinel://" in url
        self._entropy = entropy
        self._timeout = timeout
        self._replicas = replicas
        self._committing: set[asyncio.Future[None]] = set()
        self._is_closed = False
        self._listed: set[str] = set()
        self._confirming: dict[str, asyncio.Semaphore] = {}  # by the master
        self._revisions = Revisions(
            self._ask_revisions,
            self._find_unconfirmed,
            timeout,
            accepts_losses=accepts_losses,
            master_of=self._master_of,
        )

    async def revision(self, partition: str) -> Revision:
        """See Engine. Concurrent calls are batched into one request, always one that is not yet sent."""
        return await self._revisions.latest(partition)

    async def get(self, partition: str, key: str) -> bytes | None:
        value: bytes | None = await self._read("GET", value_key(partition, key))
        return value

    async def fetch(self, partition: str, keys: Sequence[str]) -> tuple[Revision, list[bytes | None]]:
        revision, *values = await self._read(
            "MGET", revision_key(partition), *(value_key(partition, k) for k in keys)
        )
        return parse_revision(revision), values

    async def scan(
        self, partition: str, prefix: str, after: str = "", limit: int | None = None
    ) -> list[tuple[str, bytes]]:
        for _ in range(_SCAN_ATTEMPTS):
            found = await self._scan_once(partition, prefix, after, limit)
            if found is not None:
                return found
        raise EngineUnavailable(f"redis: {partition} changed {_SCAN_ATTEMPTS} times while it was listed")

    async def page(
        self, partition: str, prefix: str, after: str, limit: int
    ) -> tuple[Revision, list[tuple[str, bytes]]]:
        keys = [revision_key(partition), index_key(partition, "keys")]
        arguments = [value_key(partition, ""), *bounds(prefix, after), limit]
        async with translated_errors():
            revision, *found = await self._retry_once(self._run, PAGE, keys, arguments)
        named = zip(found[::2], found[1::2], strict=True)
        return parse_revision(revision), [(key.decode(), value) for key, value in named]

    async def changes(self, partition: str, since: Revision) -> Changes | None:
        keys = [revision_key(partition), index_key(partition, "changes")]
        async with translated_errors(), asyncio.timeout(self._timeout):
            latest, *entries = await self._retry_once(self._run, CHANGES, keys, [since.number])
            await self._revisions.note_read(partition, parse_revision(latest))
        changes = changes_since(since, [parse_entry(entry) for entry in entries])
        # Where an early version has committed since the last entry, that one is not the latest revision.
        return changes if changes is not None and changes.revision == parse_revision(latest) else None

    async def commit(self, partition: str, writes: Sequence[Write], expecting: Revision | None) -> Revision:
        """See Engine. Never sent twice: where the answer is lost, the receipt is read."""
        self._revisions.require_nothing_lost()
        mark = self._entropy(MARK_SIZE).hex()
        keys = [revision_key(partition), index_key(partition, "keys"), index_key(partition, "expiry")]
        keys += [receipt_key(partition, mark), index_key(partition, "changes")]
        arguments: list[Argument] = ["" if expecting is None else revision_text(expecting), mark]
        arguments.append(packed_changes(partition, writes))
        for write in writes:
            keys.append(value_key(partition, write.key))
            arguments += [write.key.encode(), expiry_argument(write), write.value or b""]
        begun = asyncio.get_running_loop().time()
        async with translated_errors():
            if not (expecting and expecting.number) and partition not in self._listed:
                await self._list(partition, begun)
            is_committed, answer = await self._commit(keys, arguments, begun)
        revision = parse_revision(answer)
        if not is_committed:
            raise Conflict(f"{partition}: at revision {revision}, not {expecting}")
        self._revisions.note(partition, revision)
        return revision

    async def commit_each(self, writes: Mapping[str, Sequence[Write]]) -> dict[str, EngineUnavailable]:
        # A script cannot write to several slots of a cluster.
        return await commit_separately(self.commit, writes)

    async def partitions(self, prefix: str) -> list[str]:
        lowest, highest = bounds(prefix, "")
        names = await self._read("ZRANGE", PARTITIONS, lowest, highest, "BYLEX")
        found = [name.decode() for name in names]
        async with translated_errors():
            revisions = answered(await ask_in_slices(self._ask_revisions, found))
        return [name for name, revision in zip(found, revisions, strict=True) if revision.number]

    async def now(self) -> float:
        """The server's clock, by which records expire. In a cluster, that of the node which has the keyrings."""
        async with translated_errors():
            seconds, microseconds = await self._retry_once(self._run, TIME, [revision_key("keys")], [])
        return int(seconds) + int(microseconds) / 1e6

    async def weaknesses(self) -> list[str]:
        """Settings of the server that break the guarantees of `commit`; a sentence each, for the operator."""
        async with translated_errors():
            found = await find_weaknesses(
                self._client, may_fail_over=self._may_fail_over, replicas=self._replicas
            )
        return found + self._revisions.accepted_losses

    async def ask_script(self, script: str, keys: Sequence[str], arguments: Sequence[str]) -> Any:
        """The answer of a script that only reads."""
        async with translated_errors():
            return await self._retry_once(self._run, script, keys, arguments)

    async def ask_all(self, commands: Sequence[tuple[Any, ...]]) -> None:
        """Send the commands in one round trip; for a store that nobody uses."""
        async with translated_errors():
            pipeline = self._client.pipeline(transaction=False)
            for command in commands:
                pipeline.execute_command(*command)
            await pipeline.execute()

    async def other_clients(self) -> list[str]:
        """Addresses of the others that are connected to the same database; none are known of a cluster."""
        if self.is_cluster:
            return []
        async with translated_errors():
            own = await self._client.client_info()
            listed = await self._client.client_list()
        return [one["addr"] for one in listed if one["db"] == str(own["db"]) and one["id"] != str(own["id"])]

    async def find_keys(self, pattern: str, at_once: int) -> list[Any]:
        """The keys in the database that match a pattern of Redis."""
        async with translated_errors():
            return [key async for key in self._client.scan_iter(match=pattern, count=at_once)]

    async def close(self) -> None:
        """Wait for the commits in progress, at most _CLOSE_TIMEOUT, then disconnect."""
        self._is_closed = True
        if self._committing:
            await asyncio.wait(self._committing, timeout=_CLOSE_TIMEOUT)
        self._revisions.close()
        await self._client.aclose()

    async def _list(self, partition: str, begun: float) -> None:
        """In another slot, so before the commit, not in it: `partitions` skips names without a revision."""
        async with asyncio.timeout_at(begun + self._timeout * _ANSWER_SHARE):
            _, reached = await self._run_and_wait(LIST_PARTITION, [PARTITIONS], [partition])
        if reached < self._replicas:
            raise EngineUnavailable(f"redis: {self._not_replicated(reached)}")
        self._listed.add(partition)

    async def _commit(
        self, keys: Sequence[str], arguments: Sequence[Argument], begun: float
    ) -> tuple[int, bytes]:
        """`begun`: since when the time limit counts, by the event loop's clock."""
        in_progress: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._committing.add(in_progress)
        try:
            async with asyncio.timeout_at(begun + self._timeout * _ANSWER_SHARE):
                (is_committed, answer), reached = await self._run_and_wait(COMMIT, keys, arguments)
        except ResponseError:
            raise  # an answer: the server refused it
        except FAILURES as error:
            if isinstance(error.__context__, ConnectionRefusedError):
                raise  # it was never sent
            return 1, await self._settle_commit(keys[3], error, begun + self._timeout)
        finally:
            self._committing.discard(in_progress)
            in_progress.set_result(None)
        if is_committed and reached < self._replicas:
            raise OutcomeUnknown(
                f"redis: a commit may be lost with the master: {self._not_replicated(reached)}"
            )
        return is_committed, answer

    async def _settle_commit(self, receipt: str, lost: Exception, deadline: float) -> bytes:
        """The revision that a commit has made whose answer was `lost`; `deadline` by the event loop's clock.

        Raises EngineUnavailable where it was not applied and never will be, and OutcomeUnknown where that is unknown.
        """
        why = f"redis: {lost or type(lost).__name__}"
        loop = asyncio.get_running_loop()
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    answer = await self._ask_receipt(receipt)
                break
            except FAILURES as error:
                if self._is_closed or loop.time() >= deadline:
                    reason = "the answer to a commit was lost, and it is unknown whether it was applied"
                    raise OutcomeUnknown(f"{why}: {reason}: {error or type(error).__name__}") from lost
            await asyncio.sleep(_SETTLE_PAUSE)
        if answer == WITHDRAWN:
            raise EngineUnavailable(f"{why}: the commit was not applied") from lost
        return answer

    async def _ask_receipt(self, receipt: str) -> bytes:
        answer: bytes = await self._run(SETTLE, [receipt], [])  # this follows a new master, too
        if self._replicas:
            _, reached = await self._run_and_wait(SETTLE, [receipt], [])
            if reached < self._replicas:
                raise TimeoutError(self._not_replicated(reached))
        return answer

    async def _find_unconfirmed(self, partitions: list[str]) -> dict[str, EngineUnavailable]:
        """Those of which replicas do not have what the server has: a failover could take back what is answered."""
        if not self._replicas:
            return {}
        # A server replicates in order, so one answer is for all that it has.
        asked = partitions if self.is_cluster else partitions[:1]
        outcomes = await asyncio.gather(*map(self._find_unreplicated, asked))
        if not self.is_cluster:
            outcomes *= len(partitions)
        return {name: error for name, error in zip(partitions, outcomes, strict=True) if error is not None}

    async def _find_unreplicated(self, partition: str) -> EngineUnavailable | None:
        master = self._master_of(partition)
        async with self._confirming.setdefault(master, asyncio.Semaphore(_CONFIRMED_AT_ONCE)):
            try:
                key = revision_key(partition)
                is_there, reached = await self._run_and_wait(BARRIER, [key], [], _CONFIRMATION_SHARE)
            except FAILURES as error:
                return unavailable(error)
        if not is_there:
            return EngineUnavailable(f"redis: the revision of {partition} was read, and is no longer there")
        if reached >= self._replicas:
            return None
        return EngineUnavailable(f"redis: {self._not_replicated(reached)}")

    async def _run_and_wait(
        self,
        script: str,
        keys: Sequence[str],
        arguments: Sequence[Argument],
        share: float = _REPLICATION_SHARE,
    ) -> tuple[Any, int]:
        """The answer, and how many replicas have it; where none are asked for, none are waited for."""
        if not self._replicas:
            return await self._run(script, keys, arguments), 0
        milliseconds = int(self._timeout * share * 1000)
        return await run_and_wait(self._client, script, keys, arguments, self._replicas, milliseconds)

    def _not_replicated(self, reached: int) -> str:
        return f"{reached} of {self._replicas} replicas have answered in time (store.redis_replicas)"

    async def _ask_revisions(self, partitions: list[str]) -> Answers:
        answers: Answers = await self._retry_once(read_revisions, self._client, partitions)
        return answers

    def _master_of(self, partition: str) -> str:
        return self._client.master_of(revision_key(partition)) if self.is_cluster else ""

    async def _scan_once(
        self, partition: str, prefix: str, after: str, limit: int | None
    ) -> list[tuple[str, bytes]] | None:
        """None where a commit interrupted the scan."""
        found: list[tuple[str, bytes]] = []
        seen: Revision | None = None
        while limit is None or len(found) < limit:
            wanted = _VALUES_AT_ONCE if limit is None else min(_VALUES_AT_ONCE, limit - len(found))
            revision, pairs = await self.page(partition, prefix, after, wanted)
            if seen is not None and revision != seen:
                return None
            found += pairs
            if len(pairs) < wanted:
                break
            seen, after = revision, pairs[-1][0]
        return found

    async def _read(self, *command: Any) -> Any:
        async with translated_errors():
            if isinstance(self._client, ClusterClient):
                return await self._retry_once(self._client.ask, command[1], command)
            return await self._retry_once(self._client.execute_command, *command)

    async def _retry_once(self, ask: Any, *arguments: Any) -> Any:
        """Retry once where the connection was dead; for reads only, which may be repeated."""
        async with asyncio.timeout(self._timeout):
            try:
                return await ask(*arguments)
            except RedisConnectionError:
                return await ask(*arguments)

    async def _run(self, script: str, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        return await run(self._client, script, keys, arguments)
