"""The revisions of partitions that this process has seen in a Redis server, and the questions for them.

A partition that no longer has a revision which was seen has lost commits: the server was emptied, set back, or lacks
what another one acknowledged. While that lasts every read and commit fails. Where the operator accepts losses, one
that has lasted for some seconds counts no more: until then the answer may be that of a master that was replaced, and
does not know it yet. No cached record is then taken for a current one, since no two histories share a revision.
"""

import asyncio
from collections.abc import Awaitable, Callable, Set

from broker.storage.engine import NEVER_WRITTEN, EngineUnavailable, Revision
from broker.storage.redis_connection import translated_errors
from broker.storage.redis_errors import NO_ANSWER

# Seconds until a loss is accepted: longer than a master goes on that was cut off (`min-replicas-max-lag`). And how many
# of the accepted ones are shown.
_ACCEPTED_AFTER = 5.0
_MOST_ACCEPTED = 100

# How many revisions are asked for within one time limit.
_AT_ONCE = 1000

Answers = list[Revision | EngineUnavailable]
Ask = Callable[[list[str]], Awaitable[Answers]]
Confirm = Callable[[list[str]], Awaitable[dict[str, EngineUnavailable]]]


class Revisions:
    """Belongs to one event loop."""

    def __init__(self, ask: Ask, confirm: Confirm, timeout: float, *, accepts_losses: bool) -> None:
        """`ask` reads the revisions of partitions. `timeout` in seconds, for both together.

        `confirm` returns when the replicas have what the server has of them, and names those of which they have not.
        """
        self._ask = ask
        self._confirm = confirm
        self._timeout = timeout
        self._accepts_losses = accepts_losses
        self._waiting: dict[str, asyncio.Future[Revision]] = {}
        self._deadline: asyncio.TimerHandle | None = None  # of those who wait
        self._asking_task: asyncio.Task[None] | None = None
        self._seen: dict[str, Revision] = {}  # the latest of each partition
        self._lost: dict[str, Revision] = {}  # those that partitions no longer have
        self._lost_since = 0.0  # when the first of them was missed, by the event loop's clock
        self.accepted_losses: list[str] = []  # a sentence each, for the operator

    async def latest(self, partition: str) -> Revision:
        """Concurrent calls are batched into one request, always one that is not yet sent."""
        waiting = self._waiting.get(partition)
        if waiting is None:
            loop = asyncio.get_running_loop()
            if not self._waiting:
                # A request that waits for the one before it is refused as soon as if it had been sent.
                self._deadline = loop.call_later(self._timeout, _fail_all, self._waiting, _no_answer())
            waiting = self._waiting[partition] = loop.create_future()
            if self._asking_task is None:
                self._asking_task = asyncio.create_task(self._ask_all())
        # Shielded, because other calls wait for the same future: the cancellation of one must not cancel them.
        return await asyncio.shield(waiting)

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
        if self._asking_task is not None:
            self._asking_task.cancel()

    async def _ask_all(self) -> None:
        while self._waiting:
            waiting, self._waiting = self._waiting, {}
            deadline = self._deadline
            try:
                async with translated_errors(), asyncio.timeout(self._timeout):
                    answers = await self._not_lost(list(waiting))
            except EngineUnavailable as error:
                _fail_all(waiting, error)
            except BaseException:
                _fail_all(waiting | self._waiting, EngineUnavailable("redis: the engine is closing"))
                self._waiting = {}
                self._asking_task = None
                raise
            else:
                _answer_all(waiting, answers)
            if deadline is not None:
                deadline.cancel()
        self._asking_task = None

    async def _not_lost(self, partitions: list[str]) -> Answers:
        """Raises EngineUnavailable while a revision that was seen before is lost."""
        asked = [*partitions, *(name for name in self._lost if name not in partitions)]
        # Read before the request: during it, other calls may see later revisions.
        seen = [self._seen.get(name, NEVER_WRITTEN) for name in asked]
        answers = dict(zip(asked, await self._ask(asked), strict=True))
        known = {name: answer for name, answer in answers.items() if isinstance(answer, Revision)}
        found = [
            (name, before, known[name]) for name, before in zip(asked, seen, strict=True) if name in known
        ]
        lost = {name: (before, now) for name, before, now in found if is_lost(before, now)}
        self._note_lost(lost, unknown=answers.keys() - known.keys())
        new = [name for name, answer in known.items() if self._is_new(name, answer)]
        unconfirmed = await self._confirm(new) if new else {}
        for name in new:
            if name not in unconfirmed:
                self.note(name, known[name])
        self.require_nothing_lost()
        return [unconfirmed.get(name, answers[name]) for name in partitions]

    def _is_new(self, partition: str, answer: Revision) -> bool:
        return answer.number > self._seen.get(partition, NEVER_WRITTEN).number

    def _note_lost(self, lost: dict[str, tuple[Revision, Revision]], unknown: Set[str]) -> None:
        """`lost`: what was seen, and what is there now. What was lost remains so while it is `unknown`."""
        now = asyncio.get_running_loop().time()
        if not self._lost:
            self._lost_since = now
        if self._accepts_losses and now >= self._lost_since + _ACCEPTED_AFTER:
            for name, (before, answer) in lost.items():
                self._accept(name, before, answer)
            lost = {}
        still = {name: before for name, before in self._lost.items() if name in unknown}
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


def _no_answer() -> EngineUnavailable:
    return EngineUnavailable(f"redis: {NO_ANSWER}")


def answered(answers: Answers) -> list[Revision]:
    """Raises the first EngineUnavailable."""
    for answer in answers:
        if isinstance(answer, EngineUnavailable):
            raise answer
    return [answer for answer in answers if isinstance(answer, Revision)]


async def ask_in_slices(ask: Ask, partitions: list[str]) -> Answers:
    """The answers for any number of partitions: each slice has a time limit of its own."""
    answers: Answers = []
    for start in range(0, len(partitions), _AT_ONCE):
        answers += await ask(partitions[start : start + _AT_ONCE])
    return answers


def _answer_all(waiting: dict[str, "asyncio.Future[Revision]"], answers: Answers) -> None:
    for (name, future), answer in zip(waiting.items(), answers, strict=True):
        if isinstance(answer, EngineUnavailable):
            _fail_all({name: future}, answer)
        elif not future.done():
            future.set_result(answer)


def _fail_all(waiting: dict[str, "asyncio.Future[Revision]"], error: EngineUnavailable) -> None:
    for future in waiting.values():
        if not future.done():
            future.set_exception(error)
            # Marks the exception as retrieved: the waiting call may have been cancelled.
            future.exception()
