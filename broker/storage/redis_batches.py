"""Concurrent questions for revisions, batched into requests to one server, or to one master of a cluster."""

import asyncio
from collections.abc import Awaitable, Callable

from broker.storage.engine import EngineUnavailable, Revision
from broker.storage.redis_connection import translated_errors
from broker.storage.redis_errors import NO_ANSWER

Answers = list[Revision | EngineUnavailable]
Ask = Callable[[list[str]], Awaitable[Answers]]
_Waiting = dict[str, "asyncio.Future[Revision]"]

# How many revisions are asked for within one time limit, where the limit is not that of a call.
_AT_ONCE = 1000


class Batches:
    """Belongs to one event loop."""

    def __init__(self, ask: Ask, timeout: float) -> None:
        """`ask` reads the revisions of partitions; `timeout` in seconds, for a request."""
        self._ask = ask
        self._timeout = timeout
        self.waiting: _Waiting = {}  # for a request that is not yet sent
        self._deadline: asyncio.TimerHandle | None = None  # of those who wait
        self._asking_task: asyncio.Task[None] | None = None

    async def latest(self, partition: str) -> Revision:
        """Concurrent calls are batched into one request, always one that is not yet sent."""
        waiting = self.waiting.get(partition)
        if waiting is None:
            loop = asyncio.get_running_loop()
            if not self.waiting:
                # A request that waits for the one before it is refused as soon as if it had been sent.
                self._deadline = loop.call_later(self._timeout, _fail_all, self.waiting, _no_answer())
            waiting = self.waiting[partition] = loop.create_future()
            if self._asking_task is None:
                self._asking_task = asyncio.create_task(self._ask_all())
        # Shielded, because other calls wait for the same future: the cancellation of one must not cancel them.
        return await asyncio.shield(waiting)

    def close(self) -> None:
        if self._asking_task is not None:
            self._asking_task.cancel()

    async def _ask_all(self) -> None:
        while self.waiting:
            waiting, self.waiting = self.waiting, {}
            deadline = self._deadline
            try:
                async with translated_errors(), asyncio.timeout(self._timeout):
                    answers = await self._ask(list(waiting))
            except EngineUnavailable as error:
                _fail_all(waiting, error)
            except BaseException:
                _fail_all(waiting | self.waiting, EngineUnavailable("redis: the engine is closing"))
                self.waiting = {}
                self._asking_task = None
                raise
            else:
                _answer_all(waiting, answers)
            if deadline is not None:
                deadline.cancel()
        self._asking_task = None


async def ask_in_slices(ask: Ask, partitions: list[str]) -> Answers:
    """The answers for any number of partitions: each slice has a time limit of its own."""
    answers: Answers = []
    for start in range(0, len(partitions), _AT_ONCE):
        answers += await ask(partitions[start : start + _AT_ONCE])
    return answers


def answered(answers: Answers) -> list[Revision]:
    """Raises the first EngineUnavailable."""
    for answer in answers:
        if isinstance(answer, EngineUnavailable):
            raise answer
    return [answer for answer in answers if isinstance(answer, Revision)]


def _no_answer() -> EngineUnavailable:
    return EngineUnavailable(f"redis: {NO_ANSWER}")


def _answer_all(waiting: _Waiting, answers: Answers) -> None:
    for (name, future), answer in zip(waiting.items(), answers, strict=True):
        if isinstance(answer, EngineUnavailable):
            _fail_all({name: future}, answer)
        elif not future.done():
            future.set_result(answer)


def _fail_all(waiting: _Waiting, error: EngineUnavailable) -> None:
    for future in waiting.values():
        if not future.done():
            future.set_exception(error)
            # Marks the exception as retrieved: the waiting call may have been cancelled.
            future.exception()
