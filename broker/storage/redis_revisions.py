"""The revisions of partitions that this process has seen in a Redis server, and the questions for them.

A partition that no longer has a revision which was seen has lost commits: the server was emptied, set back, or lacks
what another one acknowledged. While that lasts every read and commit fails. Where the operator accepts losses, one
that has lasted for some seconds counts no more: until then the answer may be that of a master that was replaced, and
does not know it yet. No cached record is then taken for a current one, since no two histories share a revision.

Each master of a cluster has its own requests, one after another: one that hangs refuses its own partitions alone.

# INVARIANT: requests to several masters may overlap, so an answer takes back no loss of a partition that it is not of.
"""

import asyncio
from collections.abc import Awaitable, Callable, Set

from broker.storage.engine import NEVER_WRITTEN, EngineUnavailable, Revision
from broker.storage.redis_batches import Answers, Ask, Batches

# Seconds until a loss is accepted: longer than a master goes on that was cut off (`min-replicas-max-lag`). And how many
# of the accepted ones are shown.
_ACCEPTED_AFTER = 5.0
_MOST_ACCEPTED = 100

Confirm = Callable[[list[str]], Awaitable[dict[str, EngineUnavailable]]]


class Revisions:
    """Belongs to one event loop."""

    def __init__(
        self,
        ask: Ask,
        confirm: Confirm,
        timeout: float,
        *,
        accepts_losses: bool,
        master_of: Callable[[str], str] = lambda partition: "",
    ) -> None:
        """`ask` reads the revisions of partitions. `timeout` in seconds, for both together.

        `confirm` returns when the replicas have what the server has of them, and names those of which they have not.
        `master_of` names the master of a partition, as far as that is known: it is asked apart from the others.
        """
        self._ask = ask
        self._confirm = confirm
        self._timeout = timeout
        self._accepts_losses = accepts_losses
        self._master_of = master_of
        self._batches: dict[str, Batches] = {}  # by the master
        self._seen: dict[str, Revision] = {}  # the latest of each partition
        self._lost: dict[str, Revision] = {}  # those that partitions no longer have
        self._lost_since = 0.0  # when the first of them was missed, by the event loop's clock
        self.accepted_losses: list[str] = []  # a sentence each, for the operator

    async def latest(self, partition: str) -> Revision:
        """Concurrent calls are batched into one request, always one that is not yet sent."""
        master = self._master_of(partition)
        if master not in self._batches:
            self._batches[master] = Batches(self._not_lost, self._timeout)
        return await self._batches[master].latest(partition)

    def note(self, partition: str, revision: Revision) -> None:
        """`revision` cannot be lost: a commit was acknowledged with it, or it was read and confirmed."""
        if revision.number > self._seen.get(partition, NEVER_WRITTEN).number:
            self._seen[partition] = revision

    async def note_read(self, partition: str, revision: Revision) -> None:
        """Note what was read beside `latest`. Raises EngineUnavailable where it is not confirmed."""
        if revision.number > self._seen.get(partition, NEVER_WRITTEN).number:
            for error in (await self._confirm([partition])).values():
                raise error
            self.note(partition, revision)

    def require_nothing_lost(self) -> None:
        for name, revision in self._lost.items():
            raise EngineUnavailable(
                f"redis: the server has lost commits: revision {revision} of {name} was acknowledged and is missing; "
                "restore the server, or restart the brokers if its data are as intended"
            )

    def close(self) -> None:
        for batches in self._batches.values():
            batches.close()

    async def _not_lost(self, partitions: list[str]) -> Answers:
        """Raises EngineUnavailable while a revision that was seen before is lost."""
        lost_before = set(self._lost)
        asked = list(dict.fromkeys([*partitions, *lost_before]))
        # Read before the request: during it, other calls may see later revisions.
        seen = [self._seen.get(name, NEVER_WRITTEN) for name in asked]
        answers = dict(zip(asked, await self._ask(asked), strict=True))
        known = {name: answer for name, answer in answers.items() if isinstance(answer, Revision)}
        found = [
            (name, before, known[name]) for name, before in zip(asked, seen, strict=True) if name in known
        ]
        lost = {
            name: (before, now)
            for name, before, now in found
            if is_lost(before, now) and self._has_seen(name, before)
        }
        self._note_lost(lost, (lost_before & known.keys()) | lost.keys())
        new = [name for name, answer in known.items() if self._is_new(name, answer)]
        unconfirmed = await self._confirm(new) if new else {}
        for name in new:
            if name not in unconfirmed:
                self.note(name, known[name])
        self.require_nothing_lost()
        return [unconfirmed.get(name, answers[name]) for name in partitions]

    def _is_new(self, partition: str, answer: Revision) -> bool:
        return answer.number > self._seen.get(partition, NEVER_WRITTEN).number

    def _has_seen(self, partition: str, revision: Revision) -> bool:
        """False where another request found its loss meanwhile, and accepted it."""
        return self._seen.get(partition, NEVER_WRITTEN).number >= revision.number

    def _note_lost(self, lost: dict[str, tuple[Revision, Revision]], judged: Set[str]) -> None:
        """`lost`: what was seen, and what is there now. What was lost before remains so if it is not `judged` again."""
        now = asyncio.get_running_loop().time()
        if not self._lost:
            self._lost_since = now
        if self._accepts_losses and now >= self._lost_since + _ACCEPTED_AFTER:
            for name, (before, answer) in lost.items():
                self._accept(name, before, answer)
            lost = {}
        still = {name: before for name, before in self._lost.items() if name not in judged}
        self._lost = still | {name: before for name, (before, _) in lost.items()}

    def _accept(self, partition: str, seen: Revision, answer: Revision) -> None:
        if self._seen.get(partition) == seen:
            self._seen[partition] = NEVER_WRITTEN
            self.accepted_losses.append(
                f"commits were lost, as store.accept_lost_commits allows: {partition} had revision {seen}, "
                f"and was found at {answer}"
            )
            del self.accepted_losses[:-_MOST_ACCEPTED]


def is_lost(seen: Revision, answer: Revision) -> bool:
    """Whether a partition that answers so does not have the revision that was seen."""
    return answer.number <= seen.number and answer != seen
