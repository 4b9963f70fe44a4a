"""The records of a Redis as they are at one moment, and back.

Partitions are read one by one, while brokers commit. Then one script asks for all revisions, and reads again what was
changed since: the partitions that it reads and those whose revision is unchanged are true at the same moment. It is
repeated until the rest is unchanged. In a cluster no script reads several accounts, so each account is true at a moment
of its own there.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

from broker.storage.engine import EngineUnavailable, Revision
from broker.storage.redis import RedisEngine
from broker.storage.redis_names import (
    PARTITIONS,
    index_key,
    parse_revision,
    revision_key,
    revision_text,
    value_key,
)
from broker.storage.sqlite_backup import PartitionCopy, StoreInUse

_ATTEMPTS = 100
_AT_ONCE = 500  # records in one command, or keys that one command deletes

# ARGV: how many partitions to read, then of each its revision key, the two index keys and the beginning of its values'
# keys; then the revision keys of the others. Answers {revision, keys, values, expiry} of each, then the revisions.
_READ = """
local answer = {}
local at = 2
for _ = 1, tonumber(ARGV[1]) do
  local keys = redis.call('ZRANGE', ARGV[at + 1], 0, -1)
  local values = {}
  for number, key in ipairs(keys) do
    values[number] = redis.call('GET', ARGV[at + 3] .. key) or false
  end
  local revision = redis.call('GET', ARGV[at]) or '0'
  table.insert(answer, {revision, keys, values, redis.call('ZRANGE', ARGV[at + 2], 0, -1, 'WITHSCORES')})
  at = at + 4
end
for one = at, #ARGV do
  table.insert(answer, redis.call('GET', ARGV[one]) or '0')
end
return answer
"""


async def read_copies(engine: RedisEngine) -> AsyncIterator[PartitionCopy]:
    """Copies of all partitions; a later copy of a partition replaces an earlier one. Raises EngineUnavailable."""
    seen: dict[str, Revision] = {}
    names = await engine.partitions("")
    for name in names:
        (copy,), _ = await _read(engine, [name], [])
        seen[name] = copy.revision
        yield copy
    changed: list[str] = []
    for _ in range(1 if engine.is_cluster else _ATTEMPTS):
        added = [name for name in await engine.partitions("") if name not in seen]
        wanted = [*changed, *added]
        copies, revisions = await _read(engine, wanted, [name for name in seen if name not in wanted])
        for copy in copies:
            seen[copy.partition] = copy.revision
            yield copy
        changed = [name for name, revision in revisions.items() if seen[name] != revision]
        if not changed:
            return
    if not engine.is_cluster:
        raise EngineUnavailable(
            "redis: the store changes faster than it can be copied; try again when it is quieter"
        )


async def _read(
    engine: RedisEngine, names: Sequence[str], others: Sequence[str]
) -> tuple[list[PartitionCopy], dict[str, Revision]]:
    arguments: list[str] = []
    for name in names:
        arguments += [
            revision_key(name),
            index_key(name, "keys"),
            index_key(name, "expiry"),
            value_key(name, ""),
        ]
    key = revision_key(names[0]) if names else PARTITIONS
    if engine.is_cluster:
        others = []
    arguments = [str(len(names)), *arguments, *map(revision_key, others)]
    answers = await engine.ask_script(_READ, [key], arguments)
    copies = [_copy(name, answer) for name, answer in zip(names, answers[: len(names)], strict=True)]
    revisions = map(parse_revision, answers[len(names) :])
    return copies, dict(zip(others, revisions, strict=True))


def _copy(partition: str, answer: Any) -> PartitionCopy:
    revision, keys, values, expiry = answer
    ends = {key: float(score) / 1000 for key, score in zip(expiry[::2], expiry[1::2], strict=True)}
    pairs = [(key, value) for key, value in zip(keys, values, strict=True) if value is not None]
    records = [(key.decode(), value, ends.get(key)) for key, value in pairs]
    return PartitionCopy(partition, parse_revision(revision), records)


async def require_unused(engine: RedisEngine, *, must_replace: bool) -> None:
    """Raises StoreInUse where the database holds records, or another program is connected to it."""
    if await engine.partitions("") and not must_replace:
        raise StoreInUse("the database holds a store: --replace puts the backup in its place")
    others = await engine.other_clients()
    if others:
        raise StoreInUse(f"the database is in use by {', '.join(others)}: stop every broker first")


async def put_copies(engine: RedisEngine, copies: Iterable[PartitionCopy], last: str) -> None:
    """Delete what is there, then write `copies`; the one called `last` in the end.

    # INVARIANT: `last` has the keyrings, without which no broker starts: none serves a restore that was cut off.
    """
    await _delete_all(engine, last)
    held: PartitionCopy | None = None
    for copy in copies:
        if copy.partition == last:
            held = copy
        else:
            await _put(engine, copy)
    if held is not None:
        await _put(engine, held)


async def _delete_all(engine: RedisEngine, first: str) -> None:
    """Every key, those of the partition `first` before all others."""
    for pattern in (f"{index_key(first, '')}*", "broker:*"):
        found = await engine.find_keys(pattern, _AT_ONCE)
        for start in range(0, len(found), _AT_ONCE):
            await engine.ask_all([("DEL", key) for key in found[start : start + _AT_ONCE]])


async def _put(engine: RedisEngine, copy: PartitionCopy) -> None:
    name = copy.partition
    for start in range(0, len(copy.records), _AT_ONCE):
        commands: list[tuple[Any, ...]] = []
        for key, value, expires_at in copy.records[start : start + _AT_ONCE]:
            commands.append(("SET", value_key(name, key), value))
            commands.append(("ZADD", index_key(name, "keys"), 0, key.encode()))
            if expires_at is not None:
                milliseconds = max(1, int(expires_at * 1000))
                commands.append(("PEXPIREAT", value_key(name, key), milliseconds))
                commands.append(("ZADD", index_key(name, "expiry"), milliseconds, key.encode()))
        await engine.ask_all(commands)
    await engine.ask_all(
        [("SET", revision_key(name), revision_text(copy.revision)), ("ZADD", PARTITIONS, 0, name)]
    )
