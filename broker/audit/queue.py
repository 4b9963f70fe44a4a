"""Records on their way into one file: those that find no room wait, and those that were written are synced together."""

import asyncio
import os
from collections import deque

from broker.audit.file import JournalFile

_MOST_WAITING = 1000  # records of refusals; those of deeds always wait


class JournalUnavailable(Exception):
    """The record could not be written, so the request must not be answered."""


class RecordQueue:
    """Writes to `file` in order; `waiting` are the lines that found no room, the oldest first."""

    def __init__(self, file: JournalFile) -> None:
        self.file = file
        self.waiting: deque[bytes | bytearray] = deque()
        self._written = self._synced = 0  # appends since the start
        self._syncing: asyncio.Task[None] | None = None
        self._why_not_synced = ""

    def write(self, line: bytes | bytearray, *, is_refusal: bool) -> None:
        """Append; raises JournalUnavailable, and the line waits then, unless it is one refusal too many."""
        self.waiting.append(line)
        try:
            self.catch_up()
        except JournalUnavailable:
            # A refusal has changed nothing, and is in the operator's log.
            if is_refusal and len(self.waiting) > _MOST_WAITING:
                self.waiting.pop()
            raise

    def write_now(self, lines: bytes) -> None:
        """Append all of `lines`; raises JournalUnavailable, and none of them waits then."""
        self.catch_up()
        self._append(lines)

    def catch_up(self) -> None:
        """Append what waits; raises JournalUnavailable as long as it cannot, and from a sync that failed to one that
        succeeds.
        """
        while self.waiting:
            self._append(self.waiting[0])
            self.waiting.popleft()
        if self._why_not_synced:
            raise JournalUnavailable(self._why_not_synced)

    def look(self) -> None:
        """Follow the file to its path, and append what waits; raises JournalUnavailable."""
        try:
            self.file.look()
        except OSError as error:
            raise self._unavailable(error) from error
        self.catch_up()

    async def synced(self) -> None:
        """Wait until all that was written so far is on the disk; raises JournalUnavailable.

        One sync serves all that wait when it begins, and whatever was written by then.
        """
        wanted = self._written
        while self._synced < wanted:
            if self._syncing is None or self._syncing.done():
                self._syncing = asyncio.create_task(self._sync_in_a_thread())
            # Shielded: a request that is cancelled must not cancel the sync that others wait for.
            await asyncio.shield(self._syncing)

    def sync(self) -> None:
        """As `synced`, for commands, which have nothing else to do meanwhile."""
        if self.file.descriptor is None:
            return
        try:
            os.fdatasync(self.file.descriptor)
        except OSError as error:
            raise self._unavailable(error) from error
        self._synced = self._written

    async def _sync_in_a_thread(self) -> None:
        written = self._written
        # A descriptor of its own: the file's may be closed meanwhile, and its number be another file's.
        assert self.file.descriptor is not None, "something was written"
        descriptor = os.dup(self.file.descriptor)
        try:
            await asyncio.to_thread(os.fdatasync, descriptor)
        except OSError as error:
            unavailable = self._unavailable(error)
            self._why_not_synced = str(unavailable)
            raise unavailable from error
        finally:
            os.close(descriptor)
        self._synced, self._why_not_synced = written, ""

    def _append(self, lines: bytes | bytearray) -> None:
        try:
            self.file.append(lines)
        except OSError as error:
            raise self._unavailable(error) from error
        self._written += 1

    def _unavailable(self, error: OSError) -> JournalUnavailable:
        return JournalUnavailable(f"{self.file.path}: {error.strerror}")
