"""One file of the journal: appended to by several processes, rotated by size, opened again when it was moved.

Each append is a single `write` to a descriptor opened with O_APPEND, so the kernel does not mix it with the appends of
others. The process that finds the file too large renames it under a lock; the others notice that their descriptor's
file is no longer the one at the path, and open the new one. One process keeps to the maximum size exactly; of several,
each may exceed it by what it writes between two checks.
"""

import contextlib
import errno
import fcntl
import os
import time
from pathlib import Path

_CHECK_EVERY = 32  # appends between two checks of the file's size and identity, which cost two system calls

_APPEND_SECONDS = 0.002  # longer than a write of a page to the kernel's memory


class JournalFile:
    """`maximum_size` in bytes; `keep` is the number of rotated files, `audit.jsonl.1` the newest.

    `is_synced`: a file that was rotated and the directory entry of a new one are synced to the disk. The file is opened
    by the first append, or by `open`; `descriptor` is None until then.
    """

    def __init__(self, path: Path, *, maximum_size: int, keep: int, is_synced: bool = False) -> None:
        self.path = path
        self._maximum_size = maximum_size
        self._keep = keep
        self._is_synced = is_synced
        self._until_check = self._room = 0
        self._is_torn = False
        self.descriptor: int | None = None

    def open(self) -> None:
        """Raises OSError."""
        self._reopen()

    def append(self, lines: bytes | bytearray) -> None:
        """Append all of `lines`, or nothing that a reader would take for a line; raises OSError."""
        self._until_check -= 1
        if self._until_check < 0 or len(lines) > self._room:
            self._reopen_or_rotate(len(lines))
        if self._is_torn:
            lines = b"\n" + lines
        assert self.descriptor is not None
        written = os.write(self.descriptor, lines)
        if written != len(lines):
            self._is_torn = not _is_taken_back(self.descriptor, written)
            raise OSError(errno.ENOSPC, f"only {written} of {len(lines)} bytes were written")
        self._is_torn = False
        self._room -= written

    def reopen_if_moved(self) -> None:
        """Open the file at the path if the one that is open was moved or deleted. Raises OSError if there can be none;
        so does `append` from then on."""
        if self.descriptor is not None:
            self._reopen_or_rotate(0)

    def close(self) -> None:
        if self.descriptor is not None:
            os.close(self.descriptor)

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        try:
            return os.open(self.path, flags)
        except FileNotFoundError:
            made = os.open(self.path, flags | os.O_CREAT, 0o600)
        if self._is_synced:
            self._sync_folder()
        return made

    def _sync_folder(self) -> None:
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _reopen_or_rotate(self, needed: int) -> None:
        """Open the file at the path, if it is another, and rotate it if `needed` bytes would exceed its size."""
        # Until the check has succeeded, each append checks again: the descriptor may be that of a deleted file.
        self._until_check = 0
        descriptor = self.descriptor
        if descriptor is None or not self._is_current(descriptor):
            descriptor = self._reopen()
        self._until_check = _CHECK_EVERY
        if not self._is_full(descriptor, needed):
            return
        # The lock is on the file's own descriptor: no other file is needed, and it ends with the process.
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            if self._is_current(descriptor):
                self._rename()
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        self._is_full(self._reopen(), needed)

    def _is_full(self, descriptor: int, needed: int) -> bool:
        size = os.fstat(descriptor).st_size
        self._room = self._maximum_size - size
        return size > 0 and needed > self._room

    def _is_current(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self.path.stat())
        except FileNotFoundError:
            return False

    def _reopen(self) -> int:
        if self._is_synced and self.descriptor is not None:
            os.fdatasync(self.descriptor)
        old, self.descriptor = self.descriptor, self._open()
        if old is not None:
            os.close(old)
        self._is_torn = self._ends_within_a_line()
        return self.descriptor

    def _ends_within_a_line(self) -> bool:
        """Whether a process was killed in the middle of its last append. False where the file cannot be read."""
        size = self._unfinished_size()
        if not size:
            return False
        time.sleep(_APPEND_SECONDS)  # another process may be in the middle of an append
        return size == self._unfinished_size()

    def _unfinished_size(self) -> int:
        """The size of a file whose last line has no end; 0 of any other file."""
        if not self.path.is_file():
            return 0
        try:
            with self.path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - 1))
                return 0 if file.read(1) == b"\n" else size
        except OSError:
            return 0

    def _rename(self) -> None:
        for number in range(self._keep - 1, 0, -1):
            older = self._numbered(number)
            if older.exists():
                older.replace(self._numbered(number + 1))
        if self._keep:
            self.path.replace(self._numbered(1))
        else:
            self.path.unlink()

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")


def _is_taken_back(descriptor: int, written: int) -> bool:
    """Truncate the file by the part that was just written, and say whether that was possible: not if others have
    appended since.

    What another worker appends between the two calls would be lost; but the disk is full.
    """
    end = os.lseek(descriptor, 0, os.SEEK_CUR)
    if os.fstat(descriptor).st_size != end:
        return False
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, end - written)
        return True
    return False
