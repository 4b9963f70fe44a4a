"""Writers of one account wait in line, in the order in which they came: of each account in a line of its own.

Without it many writers would work on the same state at the same time, and all but the one whose commit comes first
would have to begin again. The lines are of one process: between processes, and for what takes no turn, the engine's
revisions decide as ever. Where another process has a line for the same account, the two take turns: who has lost to the
other tries again at once, and who has committed lets as much time pass before the next one as an attempt takes.
"""

import asyncio
from collections.abc import Callable

import msgspec

# Seconds that a line is held to be contended after a conflict; and the longest pause between two calls in it.
_CONTENDED_SECONDS = 0.5
_LONGEST_PAUSE = 0.02


class _Line(msgspec.Struct, eq=False):
    """`size` counts those who stand in it. The times are of the event loop, in seconds."""

    lock: asyncio.Lock
    size: int = 0
    conflict_at: float = float("-inf")
    attempt_seconds: float = 0.0


class Lines:
    """The lines of a store; a line exists while a writer waits in it."""

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}

    def __len__(self) -> int:
        return len(self._lines)

    async def enter(self, partition: str) -> tuple[_Line, bool]:
        """Wait until it is this task's turn; the line, and whether others came before."""
        line = self._lines.get(partition)
        if line is None:
            line = self._lines[partition] = _Line(asyncio.Lock())
        line.size += 1
        has_waited = line.lock.locked()
        try:
            await line.lock.acquire()
        except BaseException:
            self._leave(partition, line)
            raise
        return line, has_waited

    def leave(self, partition: str, line: _Line) -> None:
        line.lock.release()
        self._leave(partition, line)

    def _leave(self, partition: str, line: _Line) -> None:
        line.size -= 1
        if not line.size:
            del self._lines[partition]


class Turn:
    """The place in line of one call, which may try several transactions; it has one account's turn at most."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._partition = ""
        self._line: _Line | None = None
        self._begun_at = 0.0

    @property
    def is_taken(self) -> bool:
        return self._line is not None

    async def take(self, partition: str) -> bool:
        """Wait for the turn of `partition`, unless this call has one already; whether others came before."""
        if self._line is not None:
            return False
        self._line, has_waited = await self._lines.enter(partition)
        self._partition = partition
        now = asyncio.get_running_loop().time
        if has_waited and now() < self._line.conflict_at + _CONTENDED_SECONDS:
            await asyncio.sleep(min(self._line.attempt_seconds, _LONGEST_PAUSE))
        self._begun_at = now()
        return has_waited

    def note_conflict(self, now: Callable[[], float]) -> None:
        """Another process was first."""
        if self._line is not None:
            self._line.conflict_at = self._begun_at = now()

    def leave(self, now: Callable[[], float]) -> None:
        if self._line is not None:
            self._line.attempt_seconds = now() - self._begun_at
            self._lines.leave(self._partition, self._line)
            self._line = None
