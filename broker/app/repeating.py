"""Background work: called again and again, whatever goes wrong."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

_logger = logging.getLogger("broker.app")


async def repeat(name: str, seconds: float, work: Callable[[], Awaitable[object]]) -> None:
    """Call `work` every `seconds`; a failure is logged once, and the next call tries again."""
    logged = ""
    while True:
        await asyncio.sleep(seconds)
        logged = await attempt(name, work, logged)


async def attempt(name: str, work: Callable[[], Awaitable[object]], logged: str) -> str:
    """Call `work`; the failure, "" where there is none. One that is `logged` already is not logged again.

    A client library may turn a cancellation into an error of its own. The task then ends all the same, else the
    broker would wait for it when it stops.
    """
    failure = ""
    try:
        await work()
    except Exception as error:  # noqa: BLE001  else the task would end silently
        failure = str(error)
    if (task := asyncio.current_task()) is not None and task.cancelling():
        raise asyncio.CancelledError
    if failure and failure != logged:
        _logger.warning("%s failed: %s", name, failure)
    return failure
