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
    partitions = list(writes)
    for start in range(0, len(partitions), _AT_ONCE):
        some = partitions[start : start + _AT_ONCE]
        commits = [commit(partition, writes[partition], None) for partition in some]
        # All have ended when an error is raised: the caller may write again what it thinks unwritten.
        outcomes = await asyncio.gather(*commits, return_exceptions=True)
        for partition, outcome in zip(some, outcomes, strict=True):
            if isinstance(outcome, EngineUnavailable):
                errors[partition] = outcome
            elif isinstance(outcome, BaseException):
                raise outcome
    return errors
