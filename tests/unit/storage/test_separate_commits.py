import asyncio
from collections.abc import Sequence

import pytest

from broker.storage.engine import NEVER_WRITTEN, EngineUnavailable, Revision, Write
from broker.storage.separate_commits import commit_separately

WRITES = {f"usage/{number}": [Write("a", b"1")] for number in range(40)}


async def test_the_partitions_that_could_not_be_written_are_named_and_the_others_are_written() -> None:
    written = []

    async def commit(partition: str, writes: Sequence[Write], expecting: Revision | None) -> Revision:
        if partition in ("usage/3", "usage/35"):
            raise EngineUnavailable(partition)
        written.append(partition)
        return NEVER_WRITTEN

    errors = await commit_separately(commit, WRITES)
    assert {partition: str(error) for partition, error in errors.items()} == {
        "usage/3": "usage/3",
        "usage/35": "usage/35",
    }
    assert sorted([*written, *errors]) == sorted(WRITES)


async def test_an_unforeseen_error_is_raised_when_no_commit_runs_any_more() -> None:
    running: set[str] = set()

    async def commit(partition: str, writes: Sequence[Write], expecting: Revision | None) -> Revision:
        if partition == "usage/3":
            raise KeyError(partition)
        running.add(partition)
        await asyncio.sleep(0.01)
        running.remove(partition)
        return NEVER_WRITTEN

    with pytest.raises(KeyError):
        await commit_separately(commit, WRITES)
    assert not running
