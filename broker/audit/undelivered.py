"""The files of the journal as deliveries read them: kept by hard links until they are delivered.

A rotation renames files and removes the oldest; what has a link in the folder stays readable under it. The links of a
series (of proven callers, of others) are numbered in the order in which their files were begun, so a position is the
number of a file and an offset in it. One process delivers a journal, which a lock says.

Writers of the journal do not know of it. What more than all rotated files hold, written while no broker was there to
make links, is lost for deliveries.
"""

import contextlib
import fcntl
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from broker.audit.journal import UNAUTHENTICATED
from broker.audit.journal_files import rotated_files

FOLDER = ".undelivered"  # suffix
SERIES = ("0", "1")  # of proven callers, of others
_BATCH = 4 << 20  # bytes
_LONGEST_LINE = 64 << 20
_LATE_SECONDS = 5.0  # a writer may go on writing for a moment to a file that another one has rotated
_ATTEMPTS = 20
_LINK = re.compile(r"([01])-([0-9]{12})").fullmatch
_ID_ENTROPY = 8


class KeptFile(msgspec.Struct, frozen=True):
    """A file of the journal under its link. `is_closed`: nobody writes to it any more."""

    series: str
    number: int
    path: Path
    size: int
    changed_at: float
    is_closed: bool = False


class ReadLines(msgspec.Struct, frozen=True):
    """Whole lines without their ends, and where the next ones begin."""

    lines: tuple[bytes, ...]
    end: int


class UndeliveredFiles:
    """The files of the journal at `path` that are not delivered yet. Not for several threads at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._folder = path.with_name(f"{path.name}{FOLDER}")
        self._lock: int | None = None

    def is_ours(self) -> bool:
        """Whether this process is the one that delivers the journal, from now on until it ends. Raises OSError."""
        if self._lock is not None:
            return True
        with contextlib.suppress(FileExistsError):
            self._folder.mkdir(mode=0o700)
        descriptor = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._lock = descriptor
        return True

    def close(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def journal_id(self, entropy: Callable[[int], bytes]) -> str:
        """What this journal is called in the store; made once. Raises OSError."""
        file = self._folder / "journal-id"
        with contextlib.suppress(FileNotFoundError):
            return file.read_text().strip()
        made, written = entropy(_ID_ENTROPY).hex(), self._folder / "journal-id.new"
        written.write_text(f"{made}\n")
        written.replace(file)
        return made

    def kept(self, now: float) -> list[KeptFile]:
        """In order, of each series; raises OSError."""
        found = []
        for entry in sorted(self._folder.iterdir()):
            if (name := _LINK(entry.name)) is not None:
                status = entry.stat()
                found.append(KeptFile(name[1], int(name[2]), entry, status.st_size, status.st_mtime))
        following = {(one.series, one.number - 1) for one in found}
        return [
            msgspec.structs.replace(
                one,
                is_closed=(one.series, one.number) in following and now - one.changed_at > _LATE_SECONDS,
            )
            for one in found
        ]

    def keep(self, since: float) -> None:
        """Keep the files that were written to at `since` or later, and those that are written to. Raises OSError."""
        for series in SERIES:
            for _ in range(_ATTEMPTS):
                if self._keep_series(series, since):
                    break
            else:
                raise BlockingIOError(f"{self._path} is rotated faster than it can be linked")

    def release(self, first: Mapping[str, int]) -> None:
        """Files before the first one that is needed, by series, and all of a series without one, are not kept."""
        for entry in self._folder.iterdir():
            name = _LINK(entry.name)
            if name is not None and (name[1] not in first or int(name[2]) < first[name[1]]):
                entry.unlink()

    def _keep_series(self, series: str, since: float) -> bool:
        """False where files were renamed meanwhile."""
        suffix = UNAUTHENTICATED if series == SERIES[1] else ""
        path = self._path.with_name(f"{self._path.name}{suffix}")
        links = {
            entry.stat().st_ino: int(name[2])
            for entry in self._folder.iterdir()
            if (name := _LINK(entry.name)) is not None and name[1] == series
        }
        number = max(links.values(), default=0)
        try:
            files = [(file, file.stat()) for file in reversed(rotated_files(path)) if file.is_file()]
        except FileNotFoundError:
            return False
        for file, status in _new(files, links, since):
            number += 1
            link = self._folder / f"{series}-{number:012d}"
            with contextlib.suppress(FileNotFoundError):
                os.link(file, link)
            if not link.exists() or link.stat().st_ino != status.st_ino:
                link.unlink(missing_ok=True)
                return False
        return True


def _new(
    files: Sequence[tuple[Path, os.stat_result]], links: Mapping[int, int], since: float
) -> Sequence[tuple[Path, os.stat_result]]:
    """Of `files`, the oldest first, those that were begun after the newest that has a link.

    The one that is written to always has one, so files without a link before it were delivered.
    """
    linked = [place for place, (_, status) in enumerate(files) if status.st_ino in links]
    if links:
        return files[linked[-1] + 1 :] if linked else files
    return [one for one in files if one[1].st_mtime >= since or one is files[-1]]


def read_lines(file: KeptFile, start: int) -> ReadLines:
    """The lines from `start` on, some megabytes of them; none where nothing new is whole. Raises OSError.

    What a killed writer has left at the end of a closed file is no line.
    """
    with file.path.open("rb") as opened:
        # DANGER: what a power cut takes back must not be delivered, or a position would be behind the file's end.
        os.fdatasync(opened.fileno())
        size = _BATCH
        while True:
            opened.seek(start)
            block = opened.read(size)
            end = block.rfind(b"\n") + 1
            if end:
                lines = block[: end - 1].split(b"\n")
                return ReadLines(tuple(filter(None, lines)), start + end)
            if len(block) < size or size > _LONGEST_LINE:
                return ReadLines((), start + len(block) if file.is_closed else start)
            size *= 4
