"""The journal: JSON lines, appended before the answer is sent, in two files that are rotated by size.

Records of callers who are not proven go to a file of their own, `audit.jsonl.unauthenticated`. Anyone who reaches the
broker can write those, as many as it answers; however many there are, no other record is rotated away by them.

Records of one turn of the event loop are written together. A record that cannot be written (a full disk) waits in
memory and goes before all others; until then no request is begun that would need a record: see `catch_up`. What was
begun in the same turn is done already, and its record waits, too. Records that wait are lost with their process, and
written to the operator's log where it ends in good order.

What a record survives is for `Sync` to say. Without a sync it survives the process, but not the machine: what is
written stays in the kernel's memory for up to half a minute.
"""

import errno
import logging
import select
from collections.abc import Sequence
from enum import Enum
from pathlib import Path

import msgspec

from broker.audit.event import Event
from broker.audit.file import JournalFile
from broker.audit.queue import JournalUnavailable, RecordQueue

__all__ = ["UNAUTHENTICATED", "Journal", "JournalUnavailable", "Sync"]

UNAUTHENTICATED = ".unauthenticated"  # behind the journal's name: the file of callers who are not proven

_USUAL_SIZE = 2048  # bytes that nearly every record fits into: it need not grow while it is written

# Bytes of a write of several records: so many that the cost of a write hardly counts, so few that workers which share a
# file exceed its size by little. A pipe takes no more than PIPE_BUF whole (POSIX, write).
_LARGEST_WRITE = 32 << 10

_LARGEST_UNAUTHENTICATED = 4096  # bytes: what a stranger sends beyond that is left out of the record

_logger = logging.getLogger("broker.audit")


class Sync(Enum):
    """When a record is on the disk itself: when the kernel writes it, within a second, or before the answer."""

    NONE = "none"
    SECOND = "second"
    EACH = "each"


class Journal:
    """`maximum_size` in bytes, of each of the two files; `keep` and `keep_unauthenticated` are the numbers of rotated
    files, `audit.jsonl.1` the newest.
    """

    def __init__(
        self,
        path: Path,
        maximum_size: int = 100 << 20,
        keep: int = 10,
        keep_unauthenticated: int = 1,
        *,
        sync: Sync = Sync.NONE,
    ) -> None:
        self._sync = sync
        self._encode_into = msgspec.json.Encoder().encode_into
        is_synced = sync is not Sync.NONE
        path.parent.mkdir(parents=True, exist_ok=True)
        file = JournalFile(path, maximum_size=maximum_size, keep=keep, is_synced=is_synced)
        file.open()
        is_file = path.is_file()
        largest_write = min(_LARGEST_WRITE, maximum_size) if is_file else select.PIPE_BUF
        self._proven = self._unauthenticated = RecordQueue(file, largest_write)
        if is_file:
            beside = path.with_name(f"{path.name}{UNAUTHENTICATED}")
            self._unauthenticated = RecordQueue(
                JournalFile(
                    beside, maximum_size=maximum_size, keep=keep_unauthenticated, is_synced=is_synced
                ),
                largest_write,
            )
        elif is_synced:  # a device or a pipe: it has no file beside it, and is not rotated either
            raise OSError(errno.EINVAL, "audit.sync: only a file can be synced", str(path))

    def write(self, event: Event) -> None:
        """Append `event`; raises JournalUnavailable, and the record waits in memory then."""
        self._queue_of(event).write(self._bounded_line(event), is_refusal=bool(event.error_code))

    async def record(self, event: Event) -> None:
        """As `write`, in one write with the other records of this turn of the event loop: if it fails, it fails for
        all of them. With `Sync.EACH` the record is on the disk when this returns.
        """
        queue = self._queue_of(event)
        await queue.write_in_turn(self._bounded_line(event), is_refusal=bool(event.error_code))
        if self._sync is Sync.EACH:
            await queue.synced()

    def write_ahead(self, events: Sequence[Event]) -> None:
        """Append the records of proven callers' deeds that are not done yet: all, or none where it raises
        JournalUnavailable. None of them waits then, since what they tell will not be done.
        """
        if events:
            self._proven.write_now(b"".join([self._line(event) for event in events]))

    def catch_up(self) -> None:
        """Append what could not be appended yet; raises JournalUnavailable as long as it cannot.

        To be called before anything is done of which a record must be left.
        """
        self._proven.catch_up()

    async def look(self) -> None:
        """Follow the files at their paths, which may have been moved or deleted, and append what waits; raises
        JournalUnavailable, as `write` does from then on, where there can be none.

        To be called now and then: what is written between a deletion and the next look is deleted, too.
        """
        for queue in self._queues:
            queue.look()

    async def synced(self) -> None:
        """With `Sync.EACH`, wait until the records of proven callers are on the disk; raises JournalUnavailable."""
        if self._sync is Sync.EACH:
            await self._proven.synced()

    async def sync_behind(self) -> None:
        """Bring to the disk what is not there yet, unless it is the kernel's to do: to be called twice a second.

        With `Sync.EACH` it finds nothing to do, unless a sync failed.
        """
        if self._sync is Sync.NONE:
            return
        for queue in self._queues:
            await queue.synced()

    def sync(self) -> None:
        """For commands: what was written is on the disk, unless none of it shall be; raises JournalUnavailable."""
        if self._sync is not Sync.NONE:
            self._proven.sync()

    def close(self) -> None:
        for queue in self._queues:
            queue.write_turn()
            try:
                queue.catch_up()
            except JournalUnavailable as error:
                for line in queue.waiting:
                    _logger.critical("never journalled: %s: %s", error, line.decode().rstrip())
            if self._sync is not Sync.NONE:
                self._sync_at_the_end(queue)
            queue.file.close()

    @property
    def _queues(self) -> tuple[RecordQueue, ...]:
        if self._unauthenticated is self._proven:
            return (self._proven,)
        return self._proven, self._unauthenticated

    def _queue_of(self, event: Event) -> RecordQueue:
        return self._unauthenticated if event.is_unauthenticated else self._proven

    def _bounded_line(self, event: Event) -> bytearray:
        line = self._line(event)
        if len(line) > _LARGEST_UNAUTHENTICATED and event.is_unauthenticated:
            return self._line(msgspec.structs.replace(event, request_parameters=None))
        return line

    def _line(self, event: Event) -> bytearray:
        line = bytearray(_USUAL_SIZE)
        try:
            self._encode_into(event, line)
        except UnicodeEncodeError as error:
            raise JournalUnavailable("the event holds text that is not UTF-8") from error
        line += b"\n"
        return line

    @staticmethod
    def _sync_at_the_end(queue: RecordQueue) -> None:
        try:
            queue.sync()
        except JournalUnavailable as error:
            _logger.critical("the journal is not synced: %s", error)
