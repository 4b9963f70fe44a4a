"""Policy checks in processes of their own: a few at a time, each with a bound on its time, away from every key.

A check is the work of a solver, in native code, over texts of a client. Its process gets nothing but the check.
"""

import asyncio
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

import broker
from broker.errors import Refusal
from broker.policy.solver import CheckAnswer, CustomCheck, ParameterFault, undecided_answer

# Checks at a time, those that wait for their turn, and the seconds that one may take from its start.
_AT_A_TIME: Final = 1
_WAITING: Final = 8
_SECONDS: Final = 15.0
_PROGRAM: Final = (sys.executable, "-P", "-s", "-m", "broker.policy.solver")
_SOURCES: Final = str(Path(broker.__file__).parents[1])
# What an interpreter may need to start.
_NEEDED: Final = ("LD_LIBRARY_PATH", "PYTHONHOME")

_logger = logging.getLogger("broker.app")


def _environment(own: Mapping[str, str]) -> dict[str, str]:
    """Nothing else of the broker's, which may hold its master key."""
    needed = {name: own[name] for name in _NEEDED if name in own}
    return {"PATH": "", "PYTHONPATH": _SOURCES, **needed}


class CheckProcesses:
    """Answers checks; each instance has so many places of its own."""

    def __init__(self, seconds: float = _SECONDS, program: Sequence[str] = _PROGRAM) -> None:
        self._seconds, self._program = seconds, program
        self._places = asyncio.Semaphore(_AT_A_TIME)
        self._count = 0

    async def __call__(self, check: CustomCheck) -> CheckAnswer | ParameterFault:
        """Raises Refusal where too many wait. What takes too long, or ends its process, is undecided."""
        if self._count >= _AT_A_TIME + _WAITING:
            raise Refusal("ThrottlingException", "Rate exceeded", reason="too many policy checks wait")
        self._count += 1
        try:
            async with self._places:
                return await self._answer(check)
        finally:
            self._count -= 1

    async def _answer(self, check: CustomCheck) -> CheckAnswer | ParameterFault:
        process = await asyncio.create_subprocess_exec(
            *self._program,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=_environment(os.environ),
        )
        try:
            output, _ = await asyncio.wait_for(process.communicate(msgspec.json.encode(check)), self._seconds)
        except TimeoutError:
            return undecided_answer(check.what, "it took too long")
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        try:
            return msgspec.json.decode(output, type=CheckAnswer | ParameterFault)
        except msgspec.DecodeError:
            _logger.warning("the process of a policy check ended with the status %s", process.returncode)
            return undecided_answer(check.what, "the solver's process ended without an answer")
