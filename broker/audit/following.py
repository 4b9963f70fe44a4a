"""The lines of the journal's two files, merged: the last ones, then new ones, across rotations."""

import contextlib
import heapq
import os
import re
import time
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import IO

from broker.audit.journal import UNAUTHENTICATED
from broker.audit.journal_files import rotated_files

_POLL_SECONDS = 0.3
_SEARCHES = 10
_LATE_SECONDS = 1.5  # a worker may go on writing this long to a file that another worker has renamed
_BLOCK = 64 << 10
_TIME = re.compile(r'"eventTime":"([^"]{1,32})"')


def tail_lines(
    path: Path, number: int, follow: bool, earlier: Callable[[], list[str]] | None = None
) -> Iterator[str]:
    """The last `number` lines of the journal, then, with `follow`, new lines for ever.

    Where there is `earlier`, it gives the first lines instead, once the place is known where new ones begin; a line
    that is written meanwhile may come twice.
    """
    followers = [Follower(file) for file in (path, path.with_name(f"{path.name}{UNAUTHENTICATED}"))]
    try:
        last = merged([one.last(0 if earlier is not None else number) for one in followers])
        if earlier is not None:
            yield from earlier()
        yield from last[-number:] if number else ()
        while follow:
            lines = merged([one.read() for one in followers])
            yield from lines
            if not lines:
                time.sleep(_POLL_SECONDS)
    finally:
        for one in followers:
            one.close()


def merged(files: list[list[str]]) -> list[str]:
    """The lines of all files, ordered by the times of their records in seconds; the order within a file is kept."""
    return [line for _, line in heapq.merge(*map(_timed, files), key=lambda timed: timed[0])]


def _timed(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Each line and the latest time so far: a record is written when its request ends, with the time when it began."""
    latest = ""
    for line in lines:
        found = _TIME.search(line)
        latest = max(latest, found[1] if found else "")
        yield latest, line


class Follower:
    """One file and its successors at `path`, which need not exist yet."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # Files that had been rotated before this object was made are not read.
        self._old = set(_rotated_away(path))
        self._handle: IO[bytes] | None = None
        self._rest = b""
        self._successor_since: float | None = None

    def last(self, number: int) -> list[str]:
        """The last `number` lines of the file; later lines are returned by `read`."""
        if not self._path.exists() or not self._opens():
            return []
        assert self._handle is not None
        self._handle.seek(start_of_last(self._handle, number))
        return self._new_lines()

    def read(self) -> list[str]:
        """The lines since the last call, up to the next rotation at most."""
        if not self._opens():
            return []
        assert self._handle is not None
        lines = self._new_lines()
        successor = _successor(self._path, self._handle)
        if lines or successor is None or self._must_wait(successor):
            return lines
        # Read the file a last time: lines may have been added meanwhile, and no worker writes to it any more.
        lines = [line.decode("utf-8", "replace") for line in (self._rest + self._handle.read()).splitlines()]
        following = _open_successor(self._path, self._handle)
        self._handle.close()
        self._handle, self._rest, self._successor_since = following, b"", None
        return list(chain(lines, self._new_lines()))

    def close(self) -> None:
        if self._handle is not None:
            self._handle.close()

    def _opens(self) -> bool:
        """Open the oldest file that has not been read, if any: it is read from the beginning, even if rotated since."""
        if self._handle is None:
            try:
                begun = [file for file in rotated_files(self._path) if file.stat().st_ino not in self._old]
                self._handle = begun[-1].open("rb")
            except FileNotFoundError:
                return False
        return True

    def _new_lines(self) -> list[str]:
        assert self._handle is not None
        *lines, self._rest = (self._rest + self._handle.read()).split(b"\n")
        return [line.decode("utf-8", "replace") for line in lines]

    def _must_wait(self, successor: Path) -> bool:
        """Whether the newest file is so new that workers may still write to the one before it."""
        if successor != self._path:
            return False
        now = time.monotonic()
        if self._successor_since is None:
            self._successor_since = now
        return now - self._successor_since < _LATE_SECONDS


def _open_successor(path: Path, handle: IO[bytes]) -> IO[bytes]:
    """Open the file after the one of `handle`; searches again where files are renamed meanwhile."""
    while True:
        try:
            following = (_successor(path, handle) or path).open("rb")
            if os.path.samestat(os.fstat(following.fileno()), (_successor(path, handle) or path).stat()):
                return following
            following.close()
        except FileNotFoundError:
            time.sleep(_POLL_SECONDS)


def _successor(path: Path, handle: IO[bytes]) -> Path | None:
    """The path of the file that was begun after the one of `handle`; None where `handle` is the newest."""
    own = os.fstat(handle.fileno())
    # Searched repeatedly: a rotation may rename the file during a search. A file that was moved away is never found.
    for _ in range(_SEARCHES):
        newer = path
        for file in rotated_files(path):
            if _is_same_file(file, own):
                return newer if file != path else None
            newer = file
    return path


def _rotated_away(path: Path) -> Iterator[int]:
    """The inodes of the rotated files at `path`."""
    with contextlib.suppress(FileNotFoundError):
        for file in rotated_files(path)[1:]:
            yield file.stat().st_ino


def _is_same_file(file: Path, own: os.stat_result) -> bool:
    try:
        return os.path.samestat(file.stat(), own)
    except FileNotFoundError:
        return False


def start_of_last(handle: IO[bytes], number: int) -> int:
    """The position where the last `number` lines begin; reads backwards, since journals are long."""
    position = handle.seek(0, os.SEEK_END)
    if number == 0:
        return position
    seen = 0
    while position > 0:
        size = min(_BLOCK, position)
        position -= size
        handle.seek(position)
        block = handle.read(size)
        found = len(block)
        while (found := block.rfind(b"\n", 0, found)) >= 0:
            seen += 1
            if seen > number:
                return position + found + 1
    return 0
