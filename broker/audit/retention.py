"""Retention by age: renamed files of the journal go when their last record is old enough.

A file that is not delivered yet stays: it has a second link then (`undelivered`). The index of a file that is gone is
deleted by the next search (`index`).
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from broker.audit.facets import find_event, time_of
from broker.audit.journal import UNAUTHENTICATED
from broker.audit.journal_files import rotated_files

_DAY = 86400.0


class JournalPart(msgspec.Struct, frozen=True):
    """A file of the journal. `began_at` is the time of its first record, 0 where it has none.

    `changed_at` is that of its last one. `is_undelivered`: a trail has not got all of it yet.
    """

    path: Path
    size: int
    began_at: int
    changed_at: float
    is_undelivered: bool
    is_current: bool


def journal_parts(path: Path) -> list[JournalPart]:
    """Of both series, each from the newest file on. Raises OSError."""
    return [*_parts(path), *_parts(path.with_name(f"{path.name}{UNAUTHENTICATED}"))]


def _parts(series: Path) -> list[JournalPart]:
    return [_part(file, file == series) for file in rotated_files(series) if file.is_file()]


def _part(file: Path, is_current: bool) -> JournalPart:
    status = file.stat()
    with file.open("rb") as opened:
        event = find_event(opened.readline())
    began_at = 0 if event is None else time_of(event)
    return JournalPart(file, status.st_size, began_at, status.st_mtime, status.st_nlink > 1, is_current)


def expired_parts(parts: list[JournalPart], now: float, keep_days: int) -> list[JournalPart]:
    """Those that retention removes at `now`: never one that is written to, or that is not delivered; 0 keeps all."""
    return [
        one
        for one in parts
        if keep_days
        and not one.is_current
        and not one.is_undelivered
        and now - one.changed_at > keep_days * _DAY
    ]


def remove_expired(path: Path, now: float, keep_days: int) -> list[Path]:
    """Remove them, and say which. Raises OSError."""
    removed: list[Path] = []
    for series in (path, path.with_name(f"{path.name}{UNAUTHENTICATED}")):
        if keep_days and series.is_file():
            with _unrotated(series):
                expired = expired_parts(_parts(series), now, keep_days)
                for one in expired:
                    one.path.unlink()
                removed += [one.path for one in expired]
    return removed


@contextmanager
def _unrotated(path: Path) -> Iterator[None]:
    """DANGER: a rotation renames files, and another one would be removed. It takes this lock, too (`file`)."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if not os.path.samestat(os.fstat(descriptor), path.stat()):
            raise BlockingIOError(f"{path} was rotated just now")
        yield
    finally:
        os.close(descriptor)
