"""The journal: JSON lines, appended before the answer is sent, rotated by size.

Several worker processes append to one file: each record is a single `write` to a descriptor opened with O_APPEND,
which the kernel places whole. The worker that finds the file too large renames it under a lock; the others notice
that their descriptor's file is no longer the one at the path and open the new one.
"""

import fcntl
import os
from pathlib import Path

import msgspec

from broker.audit.event import Event

_CHECK_EVERY = 64  # records between two looks at size and identity of the file: a look costs two system calls
_USUAL_SIZE = 2048  # bytes that nearly every record fits into: it need not grow while it is written


class JournalUnavailable(Exception):
    """The record could not be written, so the request must not be answered."""


class Journal:
    """`maximum_size` in bytes; `keep` is the number of rotated files, `audit.jsonl.1` the newest."""

    def __init__(self, path: Path, *, maximum_size: int = 100 << 20, keep: int = 10) -> None:
        self._path = path
        self._maximum_size = maximum_size
        self._keep = keep
        self._encode_into = msgspec.json.Encoder().encode_into
        self._until_check = _CHECK_EVERY
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = self._open()

    def write(self, event: Event) -> None:
        """Append `event`; raises JournalUnavailable."""
        try:
            line = bytearray(_USUAL_SIZE)
            self._encode_into(event, line)
            line += b"\n"
            self._until_check -= 1
            if self._until_check <= 0:
                self._until_check = _CHECK_EVERY
                self._follow_or_rotate()
            written = os.write(self._descriptor, line)
        except OSError as error:
            raise JournalUnavailable(f"{self._path}: {error.strerror}") from error
        except UnicodeEncodeError as error:
            raise JournalUnavailable("the event holds text that is not UTF-8") from error
        if written != len(line):
            raise JournalUnavailable(f"{self._path}: only {written} of {len(line)} bytes were written")

    def close(self) -> None:
        os.close(self._descriptor)

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _follow_or_rotate(self) -> None:
        if not self._is_current():
            self._reopen()
        if os.fstat(self._descriptor).st_size < self._maximum_size:
            return
        # The journal's own descriptor is the lock: it exists, and dies with the process.
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        try:
            if self._is_current():
                self._rename()
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        self._reopen()

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
