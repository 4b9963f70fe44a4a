"""The journal: JSON lines, appended before the answer is sent, in two files that are rotated by size.

Records of unauthenticated callers go to a file of their own, `audit.jsonl.unauthenticated`. Anyone who reaches the
broker can cause those, in any number; however many there are, they rotate away no other record.

Records of one turn of the event loop are written together. A record that cannot be written (a full disk) waits in
memory and is written before all others; until then no request is begun that would need a record: see `catch_up`. What
was begun in the same turn has already been carried out, and its record waits, too. Records that wait are lost if the
process is killed; at an orderly end they are written to the operator's log.

`Sync` says what a record survives. Without a sync it survives the process, but not a power cut: what is written stays
in the kernel's memory for up to half a minute.
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

UNAUTHENTICATED = ".unauthenticated"  # suffix of the file for unauthenticated callers

_USUAL_SIZE = 2048  # bytes, enough for nearly every record, so that the buffer seldom has to grow

# Bytes of one write of several records: enough to share the cost of a write, and little beside the maximum size, which
# several workers may exceed (`file`). A pipe takes at most PIPE_BUF without mixing it with other writes (POSIX, write).
_LARGEST_WRITE = 32 << 10

_LARGEST_UNAUTHENTICATED = 4096  # bytes: larger records leave the request's parameters out

_logger = logging.getLogger("broker.audit")


class Sync(Enum):
    """When a record is on the disk: whenever the kernel writes it, within a second, or before the answer."""

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
        elif is_synced:  # a device or a pipe: it has no second file, and is not rotated
            raise OSError(errno.EINVAL, "audit.sync: only a file can be synced", str(path))

    def write(self, event: Event) -> None:
        """Append `event`; raises JournalUnavailable, and the record waits in memory then."""
        self._queue_of(event).write(self._bounded_line(event), is_refusal=bool(event.error_code))

    async def record(self, event: Event) -> None:
        """As `write`, together with the other records of this turn of the event loop: if the write fails, it fails for
        all of them. With `Sync.EACH` the record is on the disk when this returns.
        """
        queue = self._queue_of(event)
        await queue.write_in_turn(self._bounded_line(event), is_refusal=bool(event.error_code))
        if self._sync is Sync.EACH:
            await queue.synced()

    def write_ahead(self, events: Sequence[Event]) -> None:
        """Append records of proven callers before what they report is committed: all, or none if it raises
        JournalUnavailable. None of them waits then, since what they report will not be committed.
        """
        if events:
            self._proven.write_now(b"".join([self._line(event) for event in events]))

    def catch_up(self) -> None:
        """Append the records that wait; raises JournalUnavailable if that is still impossible.

        To be called before anything is begun that has to leave a record.
        """
        self._proven.catch_up()

    async def reopen_if_moved(self) -> None:
        """Open the files at their paths if those that are open were moved or deleted, and append what waits. Raises
        JournalUnavailable if there can be no file; so does `write` from then on.

        To be called regularly: what is written between a deletion and the next call is deleted, too.
        """
        for queue in self._queues:
            queue.reopen_if_moved()

    async def synced(self) -> None:
        """With `Sync.EACH`, wait until the records of proven callers are on the disk; raises JournalUnavailable."""
        if self._sync is Sync.EACH:
            await self._proven.synced()

    async def sync_pending(self) -> None:
        """Sync what is not on the disk yet, except with `Sync.NONE`; to be called twice a second.

        With `Sync.EACH` there is nothing to do unless a sync failed.
        """
        if self._sync is Sync.NONE:
            return
        for queue in self._queues:
            await queue.synced()

    def sync(self) -> None:
        """For commands: sync what was written, except with `Sync.NONE`; raises JournalUnavailable."""
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
                self._sync_or_log(queue)
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
    def _sync_or_log(queue: RecordQueue) -> None:
        try:
            queue.sync()
        except JournalUnavailable as error:
            _logger.critical("the journal is not synced: %s", error)
