"""The journal: JSON lines, appended before the answer is sent, rotated by size.

Several worker processes append to one file: each record is a single `write` to a descriptor opened with O_APPEND,
which the kernel places whole. The worker that finds the file too large renames it under a lock; the others notice
that their descriptor's file is no longer the one at the path and open the new one. So one worker keeps to the maximum
size exactly; of several, each may go beyond it by what it writes between two looks.

A record that cannot be written (a full disk) is kept in memory and goes before all others; until then nothing else
may be done that would need a record: see `catch_up`. Kept records are lost with their process, and then told to the
operator's log where it ends in good order.
"""

import contextlib
import fcntl
import logging
import os
from collections import deque
from pathlib import Path

import msgspec

from broker.audit.event import Event

_CHECK_EVERY = 64  # records between two looks at size and identity of the file: a look costs two system calls
_USUAL_SIZE = 2048  # bytes that nearly every record fits into: it need not grow while it is written
_MOST_KEPT = 1000  # records of refusals; those of deeds are always kept

_logger = logging.getLogger("broker.audit")


class JournalUnavailable(Exception):
    """The record could not be written, so the request must not be answered."""


class Journal:
    """`maximum_size` in bytes; `keep` is the number of rotated files, `audit.jsonl.1` the newest."""

    def __init__(self, path: Path, *, maximum_size: int = 100 << 20, keep: int = 10) -> None:
        self._path = path
        self._maximum_size = maximum_size
        self._keep = keep
        self._encode_into = msgspec.json.Encoder().encode_into
        self._unwritten: deque[bytes | bytearray] = deque()  # the oldest first
        self._until_check = self._room = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = self._open()

    def write(self, event: Event) -> None:
        """Append `event`; raises JournalUnavailable, and keeps the record in memory then."""
        line = bytearray(_USUAL_SIZE)
        try:
            self._encode_into(event, line)
        except UnicodeEncodeError as error:
            raise JournalUnavailable("the event holds text that is not UTF-8") from error
        line += b"\n"
        self._unwritten.append(line)
        try:
            self.catch_up()
        except JournalUnavailable:
            # A refusal has changed nothing, and is in the operator's log.
            if event.error_code and len(self._unwritten) > _MOST_KEPT:
                self._unwritten.pop()
            raise

    def catch_up(self) -> None:
        """Append what could not be appended yet; raises JournalUnavailable as long as it cannot.

        To be called before anything is done of which a record must be left.
        """
        try:
            while self._unwritten:
                self._append_oldest()
        except OSError as error:
            raise JournalUnavailable(f"{self._path}: {error.strerror}") from error

    async def look(self) -> None:
        """Follow the file at the path, which may have been moved or deleted; raises JournalUnavailable, as `write`
        does from then on, where there can be none.

        To be called now and then: what is written between a deletion and the next look is deleted, too.
        """
        try:
            self._follow_or_rotate(0)
        except OSError as error:
            raise JournalUnavailable(f"{self._path}: {error.strerror}") from error

    def close(self) -> None:
        try:
            self.catch_up()
        except JournalUnavailable as error:
            for line in self._unwritten:
                _logger.critical("never journalled: %s: %s", error, line.decode().rstrip())
        os.close(self._descriptor)

    def _append_oldest(self) -> None:
        line = self._unwritten[0]
        self._until_check -= 1
        if self._until_check < 0 or len(line) > self._room:
            self._follow_or_rotate(len(line))
        written = os.write(self._descriptor, line)
        if written != len(line):
            if not self._takes_back(written):
                self._unwritten[0] = b"\n" + line.lstrip()  # again, and whole, on a line of its own
            raise JournalUnavailable(f"{self._path}: only {written} of {len(line)} bytes were written")
        self._room -= written
        self._unwritten.popleft()

    def _takes_back(self, written: int) -> bool:
        """Whether the part of a record that was just written could be taken away again: others append behind it.

        What another worker appends between the two calls would be lost; but the disk is full.
        """
        end = os.lseek(self._descriptor, 0, os.SEEK_CUR)
        if os.fstat(self._descriptor).st_size != end:
            return False
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, end - written)
            return True
        return False

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _follow_or_rotate(self, needed: int) -> None:
        """Have a descriptor of the file at the path, with room for `needed` bytes, or without any yet."""
        # Until the look has succeeded, whoever writes takes it anew: the descriptor may be that of a deleted file.
        self._until_check = 0
        if not self._is_current():
            self._reopen()
        self._until_check = _CHECK_EVERY
        if not self._is_full(needed):
            return
        # The journal's own descriptor is the lock: it exists, and dies with the process.
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        try:
            if self._is_current():
                self._rename()
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        self._reopen()
        self._is_full(needed)

    def _is_full(self, needed: int) -> bool:
        size = os.fstat(self._descriptor).st_size
        self._room = self._maximum_size - size
        return size > 0 and needed > self._room

    def _is_current(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._descriptor), self._path.stat())
        except FileNotFoundError:
            return False

    def _reopen(self) -> None:
        old, self._descriptor = self._descriptor, self._open()
        os.close(old)

    def _rename(self) -> None:
        for number in range(self._keep - 1, 0, -1):
            older = self._numbered(number)
            if older.exists():
                older.replace(self._numbered(number + 1))
        if self._keep:
            self._path.replace(self._numbered(1))
        else:
            self._path.unlink()

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")
