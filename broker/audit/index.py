"""The index beside the journal: a folder of segments, each of one stretch of a file, made by the process that searches.

Nothing depends on it. The journal is the truth: a segment that is missing, torn or of a file that changed is made
again, one whose file is gone is deleted, and a folder that cannot be written costs a reader time and nothing else.
Writers of the journal do not know of it, so it costs a request nothing.

A stretch is STRETCH bytes and the rest of a line; the segments of sixteen are merged to one later. The last one of a
file, which still grows, is only in the memory of the process that searches.
"""

import contextlib
import os
import re
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

import msgspec

from broker.audit.facets import find_event
from broker.audit.journal_files import OpenedFile
from broker.audit.segment import (
    CHECK_SIZE,
    GrowingSegment,
    SegmentHeader,
    merged,
    opened_segment,
    parse_header,
    read_header,
)

STRETCH = 4 << 20  # bytes
INDEX = ".index"  # suffix of the folder
_MERGED = 16  # stretches
_NAME = re.compile(
    r"([0-9a-f]{24}-[0-9]{12}(?:-merged)?)(\.[0-9]+)?"
)  # nothing else in the folder is ours to delete
_CHECKED = 256  # bytes before the end of a stretch


class Stretch(msgspec.Struct, frozen=True):
    """From `start` to `end` of a file; `is_whole` where it does not grow any more.

    `parts` are the stretches that it is merged of, if any.
    """

    file: OpenedFile
    start: int
    end: int
    is_whole: bool
    parts: "tuple[Stretch, ...]" = ()

    @property
    def name(self) -> str:
        """Of the segment's file."""
        return f"{self.file.identity}-{self.start:012d}{'-merged' if self.parts else ''}"


def stretches_of(file: OpenedFile, size: int, *, is_closed: bool) -> list[Stretch]:
    """The stretches of a file; `is_closed` where no process writes to it any more."""
    found, start = [], 0
    while start < file.size:
        end = file.end_of_line(start + size) if file.size - start > size else file.size
        is_whole = bool(file.identity) and (is_closed or end < file.size)
        found.append(Stretch(file, start, end, is_whole))
        start = end
    return found


def merged_stretches(stretches: list[Stretch], *, is_closed: bool) -> list[Stretch]:
    """What of the stretches of a file can be merged."""
    groups = [stretches[first : first + _MERGED] for first in range(0, len(stretches), _MERGED)]
    return [
        Stretch(group[0].file, group[0].start, group[-1].end, is_whole=True, parts=tuple(group))
        for group in groups
        if group[-1].is_whole and (len(group) == _MERGED or (is_closed and len(group) > 1))
    ]


class Index:
    """The segments of the journal at `path`, as far as they are made. Not for several threads at once."""

    def __init__(self, path: Path) -> None:
        self.folder = path.with_name(f"{path.name}{INDEX}")
        self._headers: dict[str, SegmentHeader] = {}
        self._growing: dict[str, tuple[GrowingSegment, bytes]] = {}
        self._unwritten: dict[str, bytes] = {}  # where the folder cannot be written

    def find(self, stretch: Stretch) -> SegmentHeader | None:
        """The header of the segment of `stretch`; None where it has to be made."""
        header = self._headers.get(stretch.name)
        if header is None or not _is_of(header, stretch):
            header = self._read_header(stretch.name)
        if header is None or not _is_of(header, stretch):
            return None
        self._headers[stretch.name] = header
        return header

    def forget(self, stretch: Stretch) -> None:
        """Its file is not what it was."""
        self._headers.pop(stretch.name, None)

    def content_of(self, stretch: Stretch) -> Path | bytes:
        """What `opened_segment` opens."""
        return self._unwritten.get(stretch.name) or self.folder / stretch.name

    def _read_header(self, name: str) -> SegmentHeader | None:
        if (content := self._unwritten.get(name)) is not None:
            return parse_header(content, len(content))
        try:
            return read_header(self.folder / name)
        except OSError:
            return None

    def make(self, stretch: Stretch) -> GrowingSegment:
        """The segment of `stretch`, written into the folder if that is possible and the stretch is whole."""
        segment, check = self._growing.pop(stretch.name, (GrowingSegment(stretch.start), b""))
        if segment.end > stretch.end or _check(stretch.file, segment.end) != check:
            segment = GrowingSegment(stretch.start)
        for position, line in stretch.file.lines(segment.end, stretch.end):
            if (event := find_event(line)) is not None:
                segment.add(position, event)
            segment.end = position + len(line) + 1
        if stretch.is_whole:
            segment.end = stretch.end  # a line that a killed writer left may have no end
        check = _check(stretch.file, segment.end)
        if stretch.is_whole:
            self._write(stretch.name, segment.encode(check))
        else:
            self._growing[stretch.name] = segment, check
        return segment

    def merge(self, stretch: Stretch) -> None:
        """Make one segment of those of its parts, if they are all there: a search opens fewer then."""
        headers = [self.find(part) for part in stretch.parts]
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError, ValueError):
            segments = [
                stack.enter_context(opened_segment(self.content_of(part), header))
                for part, header in zip(stretch.parts, headers, strict=True)
                if header is not None
            ]
            if len(segments) == len(stretch.parts):
                check = _check(stretch.file, stretch.end)
                self._write(stretch.name, merged(segments, stretch.start, stretch.end, check))

    def tidy(self, stretches: list[Stretch]) -> None:
        """Delete the segments of files that are gone."""
        names = {stretch.name for stretch in stretches}
        for gone in self._headers.keys() - names:
            del self._headers[gone]
        for memory in (self._growing, self._unwritten):
            for gone in memory.keys() - names:
                del memory[gone]
        with contextlib.suppress(OSError):
            for one in self.folder.iterdir():
                own = _NAME.fullmatch(one.name)
                if own is not None and own[1] not in names:
                    one.unlink(missing_ok=True)

    def _write(self, name: str, content: bytes) -> None:
        """Whole or not at all, also where the machine stops."""
        self._unwritten.pop(name, None)
        written = self.folder / f"{name}.{os.getpid()}"
        try:
            self._make_folder()
            with _created(written) as descriptor:
                os.write(descriptor, content)
                os.fsync(descriptor)
            written.replace(self.folder / name)
        except OSError:
            self._unwritten[name] = content

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(mode=0o700)
        except FileExistsError:
            return
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            _give_away(descriptor, self.folder.parent)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _created(path: Path) -> Iterator[int]:
    # DANGER: root may write into the folder of another user, who may have put a link there.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        _give_away(descriptor, path.parent)
        yield descriptor
    finally:
        os.close(descriptor)


def _give_away(descriptor: int, folder: Path) -> None:
    """To the owner of the folder: what root makes by a command, the broker has to be able to replace."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _is_of(header: SegmentHeader, stretch: Stretch) -> bool:
    is_there = (header.start, header.end) == (stretch.start, stretch.end)
    return is_there and header.check == _check(stretch.file, stretch.end)


def _check(file: OpenedFile, end: int) -> bytes:
    start = max(0, end - _CHECKED)
    return blake2b(file.read(start, end - start), digest_size=CHECK_SIZE).digest()
