"""A segment of the index: where in one stretch of a journal file the records with a term begin.

In memory while the stretch grows, a file when it is complete. It has only hints: each record that it leads to is read
from the journal and judged itself, so two terms with the same hash cost time and give no wrong answer.

The file: header, hashes of the terms in order, of each record its time and its position, where the postings of each
term begin, the postings. All numbers are those of this machine; a file of another is not read but made again.
"""

import mmap
import os
import struct
import sys
from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Protocol
from zlib import crc32

import msgspec

from broker.audit.event import Event
from broker.audit.facets import RecordFilter, Term, terms_of, time_of

# INVARIANT: another number wherever `terms_of` gives other terms: segments that lack them are made again.
_MAGIC = b"journal\x03" if sys.byteorder == "little" else b"journal\x83"
# Magic, start, end, check, oldest, newest, records, terms, postings, CRC-32 of all before.
_HEADER = struct.Struct("=8sQQ16sIIIIII")
CHECK_SIZE = 16
_LATEST = (1 << 32) - 1  # epoch seconds that a segment can hold


class SegmentHeader(msgspec.Struct, frozen=True):
    """The stretch from `start` to `end` of a file, in bytes, and the times of its oldest and newest record.

    `check` is made of the bytes before `end`: it shows whether the file still has them.
    """

    start: int
    end: int
    check: bytes
    oldest: int
    newest: int
    records: int
    terms: int
    postings: int

    @property
    def size(self) -> int:
        """Bytes of the segment's file."""
        return _HEADER.size + 8 * self.terms + 4 * (2 * self.records + self.terms + 1 + self.postings)


class Postings(Protocol):
    """A stretch that can be searched: `times` and `positions` by the number of the record, counted from `start`."""

    @property
    def start(self) -> int: ...
    @property
    def times(self) -> Sequence[int]: ...
    @property
    def positions(self) -> Sequence[int]: ...

    def find(self, term: Term) -> Sequence[int]: ...


class OpenSegment(msgspec.Struct, frozen=True):
    """A segment's file, mapped into memory."""

    start: int
    hashes: Sequence[int]
    times: Sequence[int]
    positions: Sequence[int]
    starts: Sequence[int]
    postings: Sequence[int]

    def find(self, term: Term) -> Sequence[int]:
        wanted = _hash(term)
        at = bisect_left(self.hashes, wanted)
        if at == len(self.hashes) or self.hashes[at] != wanted:
            return ()
        return self.postings[self.starts[at] : self.starts[at + 1]]


class GrowingSegment:
    """The stretch from `start` on, to which records are added in the order of the file."""

    def __init__(self, start: int) -> None:
        self.start = self.end = start
        self.times = array("I")
        self.positions = array("I")
        self._found: defaultdict[Term, list[int]] = defaultdict(list)

    def add(self, position: int, event: Event) -> None:
        number = len(self.times)
        self.times.append(min(time_of(event), _LATEST))
        self.positions.append(position - self.start)
        for term in terms_of(event):
            self._found[term].append(number)

    def find(self, term: Term) -> Sequence[int]:
        return self._found.get(term, ())

    def encode(self, check: bytes) -> bytes:
        """The segment's file."""
        by_hash: defaultdict[int, list[int]] = defaultdict(list)
        for term, numbers in self._found.items():
            by_hash[_digest(term)] += numbers
        return _encoded(self.start, self.end, check, self.times, self.positions, by_hash)


def merged(segments: Iterable[OpenSegment], start: int, end: int, check: bytes) -> bytes:
    """One segment's file of several that follow each other in a file."""
    times, positions = array("I"), array("I")
    by_hash: defaultdict[int, list[int]] = defaultdict(list)
    for segment in segments:
        first, ahead = len(times), segment.start - start
        times.extend(segment.times)
        positions.extend(ahead + position for position in segment.positions)
        numbers = [first + number for number in segment.postings]
        for at, one in enumerate(segment.hashes):
            by_hash[one] += numbers[segment.starts[at] : segment.starts[at + 1]]
    return _encoded(start, end, check, times, positions, by_hash)


def _encoded(
    start: int,
    end: int,
    check: bytes,
    times: "array[int]",
    positions: "array[int]",
    by_hash: Mapping[int, list[int]],
) -> bytes:
    hashes = sorted(by_hash)
    starts, postings = array("I", [0]), array("I")
    for one in hashes:
        postings.fromlist(by_hash[one])
        starts.append(len(postings))
    span = min(times, default=0), max(times, default=0)
    counts = len(times), len(hashes), len(postings)
    header = struct.pack("=8sQQ16sIIIII", _MAGIC, start, end, check, *span, *counts)
    parts = array("Q", hashes), times, positions, starts, postings
    return b"".join([header, struct.pack("=I", crc32(header)), *(part.tobytes() for part in parts)])


def candidates(segment: Postings, wanted: RecordFilter) -> list[tuple[int, int]]:
    """Time and position of every record that may match, the oldest first."""
    found = sorted((segment.find(term) for term in wanted.index_terms), key=len)
    numbers: Sequence[int] | set[int] = found[0] if found else range(len(segment.times))
    if len(found) > 1 and numbers:
        numbers = set(numbers).intersection(*found[1:])
    times, positions, start = segment.times, segment.positions, segment.start
    return sorted(
        (times[number], start + positions[number]) for number in numbers if wanted.has_time(times[number])
    )


@contextmanager
def opened_segment(content: Path | bytes, header: SegmentHeader) -> Iterator[OpenSegment]:
    """Raises OSError where the file is gone, and ValueError where it is another than that of `header`."""
    with ExitStack() as stack:
        whole = stack.enter_context(memoryview(stack.enter_context(_mapped(content))))
        if whole.nbytes != header.size:
            raise ValueError("another segment")
        parts = [stack.enter_context(part) for part in _parts(whole, header)]
        yield OpenSegment(header.start, *parts)


@contextmanager
def _mapped(content: Path | bytes) -> Iterator[mmap.mmap | bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with content.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        yield mapped


def _parts(whole: memoryview, header: SegmentHeader) -> list[memoryview]:
    numbers = header.records, header.records, header.terms + 1, header.postings
    position = _HEADER.size + 8 * header.terms
    parts = [whole[_HEADER.size : position].cast("Q")]
    for count in numbers:
        end = position + 4 * count
        parts.append(whole[position:end].cast("I"))
        position = end
    return parts


def read_header(path: Path) -> SegmentHeader | None:
    """The header of a segment's file; None where it is no whole one. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return parse_header(os.read(descriptor, _HEADER.size), os.fstat(descriptor).st_size)
    finally:
        os.close(descriptor)


def parse_header(content: bytes, size: int) -> SegmentHeader | None:
    """The header at the beginning of `content`; None where it is not that of a segment of `size` bytes."""
    if len(content) < _HEADER.size:
        return None
    magic, *values, crc = _HEADER.unpack_from(content)
    header = SegmentHeader(*values)
    is_whole = crc == crc32(content[: _HEADER.size - 4]) and size == header.size
    return header if magic == _MAGIC and is_whole else None


def _digest(term: Term) -> int:
    text = f"{term[0]}={term[1]}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), sys.byteorder)


_hash = lru_cache(maxsize=256)(_digest)  # of terms that are looked for, the same in every segment
