"""Which requests for revisions wait for one another, over masters of a cluster that answer as the test says."""

import asyncio
import itertools

import pytest

from broker.storage.engine import NEVER_WRITTEN, EngineUnavailable, Revision
from broker.storage.redis_batches import Answers
from broker.storage.redis_revisions import Revisions

TIMEOUT = 0.4


class Masters:
    """A partition is the name of its master, a slash, and a number."""

    def __init__(self, *, accepts_losses: bool = False) -> None:
        self.hung: set[str] = set()
        self.stored: dict[str, Revision] = {}
        self.asked: list[list[str]] = []
        self.released = asyncio.Event()
        self.revisions = Revisions(
            self.ask, self.confirm, TIMEOUT, accepts_losses=accepts_losses, master_of=master_of
        )

    async def ask(self, partitions: list[str]) -> Answers:
        self.asked.append(partitions)
        answers: Answers = [self.stored.get(one, NEVER_WRITTEN) for one in partitions]
        if self.hung & set(map(master_of, partitions)):
            await self.released.wait()
        else:
            await asyncio.sleep(0.002)
        return answers

    async def confirm(self, partitions: list[str]) -> dict[str, EngineUnavailable]:
        return {}


def master_of(partition: str) -> str:
    return partition.partition("/")[0]


async def outcome(masters: Masters, partition: str) -> object:
    return (await asyncio.gather(masters.revisions.latest(partition), return_exceptions=True))[0]


async def test_a_master_that_hangs_refuses_no_partition_of_another_under_steady_traffic() -> None:
    masters = Masters()
    masters.hung = {"hung"}
    asking = []
    loop = asyncio.get_running_loop()
    end = loop.time() + 4 * TIMEOUT
    for number in itertools.count():
        asking.append(asyncio.create_task(outcome(masters, f"hung/{number}")))
        asking.append(asyncio.create_task(outcome(masters, f"sound/{number}")))
        await asyncio.sleep(0.01)
        if loop.time() > end:
            break
    outcomes = await asyncio.gather(*asking)
    assert all(isinstance(one, EngineUnavailable) for one in outcomes[::2])
    assert outcomes[1::2] == [NEVER_WRITTEN] * (len(outcomes) // 2)
    masters.revisions.close()


async def test_a_loss_that_one_master_has_is_not_taken_back_by_an_answer_of_another() -> None:
    masters = Masters()
    before = Revision(5, b"before")
    masters.stored["first/1"] = before
    assert await masters.revisions.latest("first/1") == before
    masters.hung = {"second"}
    other = asyncio.create_task(outcome(masters, "second/1"))
    await asyncio.sleep(0.01)
    masters.stored.clear()
    with pytest.raises(EngineUnavailable, match="revision 5 of first/1"):
        await masters.revisions.latest("first/1")
    masters.released.set()
    assert isinstance(await other, EngineUnavailable)
    with pytest.raises(EngineUnavailable, match="lost commits"):
        masters.revisions.require_nothing_lost()
    # And it ends when the partition is there again, whatever is asked.
    masters.stored["first/1"] = before
    assert await masters.revisions.latest("second/1") == NEVER_WRITTEN
    masters.revisions.require_nothing_lost()
    masters.revisions.close()


async def test_a_loss_that_was_accepted_is_not_noted_again_by_a_request_from_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("broker.storage.redis_revisions._ACCEPTED_AFTER", 0.05)
    masters = Masters(accepts_losses=True)
    masters.stored["first/1"] = Revision(5, b"before")
    await masters.revisions.latest("first/1")
    masters.stored["first/1"] = Revision(3, b"after")
    assert isinstance(await outcome(masters, "first/1"), EngineUnavailable)
    masters.hung = {"second"}
    other = asyncio.create_task(outcome(masters, "second/1"))
    await asyncio.sleep(0.06)
    assert masters.asked[-1] == ["second/1", "first/1"]
    assert await masters.revisions.latest("first/1") == Revision(3, b"after")
    masters.released.set()
    assert await other == NEVER_WRITTEN
    masters.revisions.require_nothing_lost()
    masters.revisions.close()


async def test_calls_for_one_master_are_still_batched() -> None:
    masters = Masters()
    names = [f"first/{number}" for number in range(50)]
    await asyncio.gather(*map(masters.revisions.latest, names * 3))
    assert masters.asked == [names]
    masters.revisions.close()
