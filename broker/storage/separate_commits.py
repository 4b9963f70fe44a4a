"""`commit_each` of an engine that cannot write to several partitions at once: a commit for each."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from broker.storage.changes import require_no_feed
from broker.storage.engine import EngineUnavailable, Revision, Write

_AT_ONCE = 32

Commit = Callable[[str, Sequence[Write], Revision | None], Awaitable[Revision]]


async def commit_separately(
    commit: Commit, writes: Mapping[str, Sequence[Write]]
) -> dict[str, EngineUnavailable]:
    """See Engine.commit_each."""
    require_no_feed(writes)
    errors: dict[str, EngineUnavailable] = {}

    async def commit_one(partition: str) -> None:
        try:
            await commit(partition, writes[partition], None)
        except EngineUnavailable as error:
            errors[partition] = error

    partitions = list(writes)
    for start in range(0, len(partitions), _AT_ONCE):
        await asyncio.gather(*map(commit_one, partitions[start : start + _AT_ONCE]))
    return errors
