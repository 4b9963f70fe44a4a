"""The files of the journal as a reader opens them: both series, each with its rotated files, at one moment.

A file is known by its first line, not by its name: a rotation renames it, and the event id in the line is unique. So
what was learnt about a file stays true until the file is deleted.
"""

import contextlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from hashlib import blake2b
from pathlib import Path

import msgspec

from broker.audit.journal import UNAUTHENTICATED

_ATTEMPTS = 20
_READ = 64 << 10
_LONGEST_LINE = 4 << 20


class OpenedFile(msgspec.Struct, frozen=True):
    """`series` is 0 for records of proven callers, 1 for others; `number` is 0 for the file that is written to.

    `identity` is "" as long as the first line is not complete. `size` and `changed_at` are those of its opening.
    """

    path: Path
    series: int
    number: int
    descriptor: int
    identity: str
    size: int
    changed_at: float

    @property
    def rank(self) -> tuple[int, int]:
        """The order of files whose records have the same time: the newer has the greater."""
        return -self.series, -self.number

    def read(self, start: int, size: int) -> bytes:
        """Fewer bytes at the end of the file only."""
        read = os.pread(self.descriptor, size, start)
        while 0 < len(read) < size and (
            more := os.pread(self.descriptor, size - len(read), start + len(read))
        ):
            read += more
        return read

    def line_at(self, start: int) -> bytes:
        """The whole line that begins at `start`, without its end; empty where it has none."""
        size = _READ
        while True:
            line, end, _ = self.read(start, size).partition(b"\n")
            if end:
                return line
            if len(line) < size or size > _LONGEST_LINE:
                return b""
            size *= 8

    def lines(self, start: int, end: int) -> Iterator[tuple[int, bytes]]:
        """Where each line that ends before `end` begins, and the line."""
        rest, position = b"", start
        while start < end:
            block = self.read(start, min(16 * _READ, end - start))
            if not block:
                return
            start += len(block)
            *whole, rest = (rest + block).split(b"\n")
            for line in whole:
                yield position, line
                position += len(line) + 1

    def end_of_line(self, start: int) -> int:
        """Behind the end of the first line that ends at or after `start`; the file's size where none does."""
        while start < self.size:
            block = self.read(start, _READ)
            found = block.find(b"\n")
            if found >= 0:
                return start + found + 1
            if not block:
                break
            start += len(block)
        return self.size


@contextmanager
def opened_files(path: Path) -> Iterator[list[OpenedFile]]:
    """All files of the journal at `path`, of each series the newest first. Raises OSError."""
    with ExitStack() as stack:
        beside = path.with_name(f"{path.name}{UNAUTHENTICATED}")
        yield [*_opened(path, 0, stack), *_opened(beside, 1, stack)]


def rotated_files(path: Path) -> list[Path]:
    """The file at `path` and its rotated files, the newest first; the first need not exist."""
    parts = [file.name.rpartition(".") for file in path.parent.iterdir()]
    numbers = sorted(int(number) for name, _, number in parts if name == path.name and number.isdecimal())
    return [path, *(path.with_name(f"{path.name}.{number}") for number in numbers)]


def _opened(path: Path, series: int, stack: ExitStack) -> list[OpenedFile]:
    """Opened again where files are renamed meanwhile: else one could be missed, or be there twice."""
    for _ in range(_ATTEMPTS):
        with ExitStack() as attempt:
            opened: list[tuple[Path, int]] = []
            for file in filter(Path.is_file, rotated_files(path)):
                with contextlib.suppress(FileNotFoundError):
                    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
                    attempt.callback(os.close, descriptor)
                    opened.append((file, descriptor))
            if _are_in_place(path, opened):
                stack.push(attempt.pop_all())
                return [_described(file, series, descriptor) for file, descriptor in opened]
    raise BlockingIOError(f"{path} is rotated faster than it can be opened")


def _are_in_place(path: Path, opened: list[tuple[Path, int]]) -> bool:
    try:
        names = list(filter(Path.is_file, rotated_files(path)))
        return names == [file for file, _ in opened] and all(
            os.path.samestat(file.stat(), os.fstat(descriptor)) for file, descriptor in opened
        )
    except FileNotFoundError:
        return False


def _described(path: Path, series: int, descriptor: int) -> OpenedFile:
    number = path.name.rpartition(".")[2]
    found = os.fstat(descriptor)
    file = OpenedFile(
        path,
        series,
        int(number) if number.isdecimal() else 0,
        descriptor,
        "",
        found.st_size,
        found.st_mtime,
    )
    first = file.line_at(0)
    identity = blake2b(first, digest_size=12).hexdigest() if first else ""
    return msgspec.structs.replace(file, identity=identity)
