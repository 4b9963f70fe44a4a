"""Reads the journal: records that a filter finds, the newest first, a page at a time.

The order is total: by time, then by file, then by the position in it. So a page goes on exactly where the one before
ended, whatever is written or rotated in between.

A search may be given seconds: then it leaves out stretches whose segments are not made in that time, the oldest ones,
and says since when it is complete. The next search makes more of them.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from broker.audit.event import Event
from broker.audit.facets import RecordFilter, find_event, time_of
from broker.audit.index import STRETCH, Index, Stretch, merged_stretches, stretches_of
from broker.audit.journal_files import OpenedFile, opened_files
from broker.audit.segment import SegmentHeader, candidates, opened_segment

_LATE_SECONDS = 5.0
_Candidate = tuple[int, tuple[int, int], int, OpenedFile]  # time, rank of the file, position, file


class RecordPlace(msgspec.Struct, frozen=True):
    """Where a page ended: the time of its last record in epoch seconds, and its event id."""

    at: int
    event_id: str


class FoundRecord(msgspec.Struct, frozen=True):
    """`line` is the record as it is in the journal."""

    event: Event
    line: bytes

    @property
    def place(self) -> RecordPlace:
        return RecordPlace(time_of(self.event), self.event.event_id)


class FoundRecords(msgspec.Struct, frozen=True):
    """`has_more`: there are older ones that match. `complete_since`: of records that are older than this moment some
    were not searched yet; None where all were."""

    records: tuple[FoundRecord, ...]
    has_more: bool
    complete_since: int | None = None


class SearchedStretch(msgspec.Struct, frozen=True):
    """What of a stretch may match, the oldest first, and the time of its newest record."""

    newest: int
    found: Callable[[], list[_Candidate]]


class JournalReader:
    """Reads the journal at `path`; `timer` gives seconds for durations. Not for several threads at once."""

    def __init__(self, path: Path, timer: Callable[[], float], stretch: int = STRETCH) -> None:
        self.path = path
        self._timer = timer
        self._stretch = stretch
        self._index = Index(path)

    def find(
        self,
        wanted: RecordFilter,
        limit: int,
        after: RecordPlace | None = None,
        seconds: float | None = None,
        note: Callable[[int], None] = lambda _left: None,
    ) -> FoundRecords:
        """Up to `limit` records behind `after`. `note` gets the number of segments to be made. Raises OSError."""
        if after is not None:
            end = after.at if wanted.end is None else min(wanted.end, after.at)
            wanted = msgspec.structs.replace(wanted, end=end)
        deadline = None if seconds is None else self._timer() + seconds
        with opened_files(self.path) as files:
            stretches, mergeable = self._stretches(files)
            near = [one for one in stretches if _may_match(one, wanted)]
            headers = {one.name: header for one in near if one.is_whole and (header := self._index.find(one))}
            missing = [one for one in near if one.is_whole and one.name not in headers]
            left_out = self._make_missing(missing, headers, deadline, note)
            for one in mergeable:
                if deadline is None or self._timer() < deadline:
                    self._index.merge(one)
            searched = [
                self._searched(one, headers.get(one.name), wanted) for one in near if one.name not in left_out
            ]
            matching = _behind(_matching(searched, wanted), after)
            records = [record for _, record in zip(range(limit), matching, strict=False)]
            has_more = len(records) == limit and next(matching, None) is not None
            since = max((_last_time(one) for one in missing if one.name in left_out), default=None)
        return FoundRecords(tuple(records), has_more, since)

    def _stretches(self, files: Sequence[OpenedFile]) -> tuple[list[Stretch], list[Stretch]]:
        """Those to be searched, and those to be made of several of them."""
        stretches: list[Stretch] = []
        mergeable: list[Stretch] = []
        for file in files:
            is_closed = _is_closed(file, files)
            own = stretches_of(file, self._stretch, is_closed=is_closed)
            for one in merged_stretches(own, is_closed=is_closed):
                if self._index.find(one) is None:
                    mergeable.append(one)
                else:
                    own = [one, *(part for part in own if not one.start <= part.start < one.end)]
            stretches += own
        self._index.tidy(stretches)
        return stretches, mergeable

    def _make_missing(
        self,
        missing: list[Stretch],
        headers: dict[str, SegmentHeader],
        deadline: float | None,
        note: Callable[[int], None],
    ) -> set[str]:
        """Make the missing segments, the newest first; the names of those that are left out."""
        missing.sort(key=lambda one: (one.file.changed_at, one.start), reverse=True)
        for number, one in enumerate(missing):
            if deadline is not None and self._timer() >= deadline:
                return {left.name for left in missing[number:]}
            note(len(missing) - number)
            self._index.make(one)
            if (header := self._index.find(one)) is not None:
                headers[one.name] = header
        return set()

    def _searched(
        self, stretch: Stretch, header: SegmentHeader | None, wanted: RecordFilter
    ) -> SearchedStretch:
        if header is None:
            segment = self._index.make(stretch)
            newest = max(segment.times, default=0)
            return SearchedStretch(newest, lambda: _placed(stretch, candidates(segment, wanted)))
        if not _overlaps(header.oldest, header.newest, wanted):
            return SearchedStretch(0, list)
        return SearchedStretch(header.newest, lambda: self._of_file(stretch, header, wanted))

    def _of_file(self, stretch: Stretch, header: SegmentHeader, wanted: RecordFilter) -> list[_Candidate]:
        try:
            with opened_segment(self._index.content_of(stretch), header) as segment:
                return _placed(stretch, candidates(segment, wanted))
        except (OSError, ValueError):  # deleted or replaced since its header was read
            self._index.forget(stretch)
            return _placed(stretch, candidates(self._index.make(stretch), wanted))


def _is_closed(file: OpenedFile, files: Sequence[OpenedFile]) -> bool:
    """A writer may go on writing for a moment to a file that another one has rotated."""
    newest = max(one.changed_at for one in files if one.series == file.series)
    return file.number > 1 or (file.number == 1 and newest - file.changed_at > _LATE_SECONDS)


def _placed(stretch: Stretch, found: list[tuple[int, int]]) -> list[_Candidate]:
    rank, file = stretch.file.rank, stretch.file
    return [(at, rank, position, file) for at, position in found]


def _may_match(stretch: Stretch, wanted: RecordFilter) -> bool:
    """False where all was written before: a record is never younger than its file's last change."""
    return wanted.start is None or stretch.file.changed_at >= wanted.start


def _overlaps(oldest: int, newest: int, wanted: RecordFilter) -> bool:
    return (wanted.start is None or newest >= wanted.start) and (wanted.end is None or oldest <= wanted.end)


def _matching(searched: Sequence[SearchedStretch], wanted: RecordFilter) -> Iterator[FoundRecord]:
    """The newest first. A stretch is searched when no record outside it can be newer than its newest."""
    waiting: list[_Candidate] = []
    ahead = sorted(searched, key=lambda one: one.newest)
    while ahead or waiting:
        if ahead:
            waiting += ahead.pop().found()
            waiting.sort(key=lambda one: one[:3])
        next_time = ahead[-1].newest if ahead else -1
        while waiting and waiting[-1][0] > next_time:
            *_, position, file = waiting.pop()
            line = file.line_at(position)
            event = find_event(line)
            if event is not None and wanted.matches(event):
                yield FoundRecord(event, line)


def _behind(records: Iterator[FoundRecord], after: RecordPlace | None) -> Iterator[FoundRecord]:
    """Those behind `after`: of the records of its very second, those that follow it."""
    is_behind = after is None
    for record in records:
        if after is not None and not is_behind:
            is_behind = record.event.event_id == after.event_id
            if is_behind or time_of(record.event) == after.at:
                continue
            is_behind = True
        yield record


def _last_time(stretch: Stretch) -> int:
    """The time of the last record of a stretch that was not searched."""
    start = max(stretch.start, stretch.end - (64 << 10))
    lines = [line for _, line in stretch.file.lines(start, stretch.end)]
    return max((time_of(event) for line in lines if (event := find_event(line)) is not None), default=0)
