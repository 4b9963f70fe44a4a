"""Waiting for what must come, where nothing calls: a condition and a long deadline, for a sleep knows neither."""

import asyncio
import time
from collections.abc import Callable

LONGEST = 30.0  # seconds; only a test that fails waits so long


async def until(holds: Callable[[], object]) -> None:
    """Lets the event loop run until `holds` answers with something true."""
    deadline = time.monotonic() + LONGEST
    while not holds():
        assert time.monotonic() < deadline, "it does not come"
        await asyncio.sleep(0.001)


def wait_until(holds: Callable[[], object], said: Callable[[], str] = lambda: "it does not come") -> None:
    """The same without an event loop; `said` is what the failure tells."""
    deadline = time.monotonic() + LONGEST
    while not holds():
        assert time.monotonic() < deadline, said()
        time.sleep(0.02)
