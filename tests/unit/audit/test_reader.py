"""The reader of the journal: what it finds by its index is what a plain scan of the files finds."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.audit.event import Event, UserIdentity, begin_event
from broker.audit.facets import FACETS, RecordFilter, find_event, terms_of, time_of
from broker.audit.index import INDEX
from broker.audit.journal import Journal
from broker.audit.journal_files import opened_files
from broker.audit.reader import FoundRecord, JournalReader

START = 1_767_225_600
SMALL = 2000  # bytes of a stretch: a few records
NAMES = ["alice", "bob", "zoë"]
OPERATIONS = [("iam", "CreateUser"), ("iam", "ListUsers"), ("sts", "AssumeRole")]

Choice = tuple[int, int, int, int, int]  # second, name, operation, error, account


def record(number: int, choice: Choice = (0, 0, 0, 0, 0)) -> Event:
    second, name, operation, error, account = choice
    service, event_name = OPERATIONS[operation]
    made = begin_event(
        START + second, f"request-{number}", f"192.0.2.{name}", "test", number.to_bytes(16, "big")
    )
    account_id = str(account + 1) * 12
    if error != 2:
        arn = f"arn:aws:iam::{account_id}:user/{NAMES[name]}"
        made.user_identity = UserIdentity("IAMUser", f"AIDA{name}", arn, account_id, user_name=NAMES[name])
        made.recipient_account_id = account_id
    made.event_source, made.event_name = f"{service}.amazonaws.com", event_name
    made.error_code = ("", "AccessDenied", "InvalidClientTokenId")[error]
    made.request_parameters = {"userName": NAMES[-name - 1]}
    made.read_only = event_name.startswith("List")
    return made


choices = st.tuples(
    st.integers(0, 30), st.integers(0, 2), st.integers(0, 2), st.integers(0, 2), st.integers(0, 1)
)


def write(path: Path, events: list[Event], maximum_size: int = 5000) -> None:
    journal = Journal(path, maximum_size, keep=1000, keep_unauthenticated=1000)
    for one in events:
        journal.write(one)
    journal.close()


def reader_of(path: Path, stretch: int = SMALL) -> JournalReader:
    return JournalReader(path, itertools.count().__next__, stretch)


def scanned(path: Path, wanted: RecordFilter) -> Iterator[FoundRecord]:
    """Every record that matches, the newest first, without an index."""
    with opened_files(path) as files:
        found = [
            (time_of(event), file.rank, position, FoundRecord(event, line))
            for file in files
            for position, line in file.lines(0, file.size)
            if (event := find_event(line)) is not None and wanted.matches(event)
        ]
    for *_, one in sorted(found, key=lambda one: one[:3], reverse=True):
        yield one


def pages(reader: JournalReader, wanted: RecordFilter, limit: int) -> list[FoundRecord]:
    """All pages together."""
    found, after = [], None
    while True:
        page = reader.find(wanted, limit, after)
        assert page.complete_since is None
        found += page.records
        if not page.has_more:
            return found
        after = page.records[-1].place


def filters(events: list[Event]) -> st.SearchStrategy[RecordFilter]:
    known = sorted(set().union(*map(terms_of, events)) | {("principal", "nobody"), ("event", "")})
    times = st.none() | st.integers(START - 1, START + 31)
    return st.builds(RecordFilter, st.lists(st.sampled_from(known), max_size=3).map(tuple), times, times)


@given(st.lists(choices, min_size=1, max_size=60), st.integers(1, 30), st.data())
@settings(max_examples=60, deadline=None)
def test_every_page_by_the_index_is_what_a_plain_scan_answers(
    tmp_path_factory: pytest.TempPathFactory, chosen: list[Choice], limit: int, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("journal") / "audit.jsonl"
    events = [record(number, one) for number, one in enumerate(chosen)]
    half = len(events) // 2
    reader = reader_of(path)
    write(path, events[:half])
    wanted = data.draw(filters(events))
    assert pages(reader, wanted, limit) == list(scanned(path, wanted))
    # More is written, and rotated, while the reader lives; another one finds its index.
    write(path, events[half:])
    for one in (reader, reader_of(path), reader_of(path)):
        assert pages(one, wanted, limit) == list(scanned(path, wanted))


def test_every_record_is_found_by_each_of_its_terms(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    events = [record(n, (n, n % 3, n % 3, n % 2, n % 2)) for n in range(40)]
    write(path, events)
    reader = reader_of(path)
    for event in events:
        for term in terms_of(event):
            assert event in [one.event for one in pages(reader, RecordFilter((term,)), 50)]
    assert {facet for event in events for facet, _ in terms_of(event)} == FACETS.keys()


def test_a_record_is_found_as_soon_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    reader = reader_of(path, stretch=1 << 20)
    journal = Journal(path)
    for number in range(5):
        journal.write(record(number))
        (found,) = reader.find(RecordFilter((("id", f"request-{number}"),)), 10).records
        assert found.event == record(number)
    journal.close()


def test_a_line_that_a_killed_writer_left_hides_no_other_record(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    reader = reader_of(path)
    write(path, [record(1)])
    with path.open("ab") as file:
        file.write(b'{"eventVersion":"1.11","eventTi')
    assert len(pages(reader, RecordFilter(), 10)) == 1
    write(path, [record(number) for number in range(2, 40)])
    assert len(pages(reader, RecordFilter(), 10)) == 39
    assert len(pages(reader_of(path), RecordFilter(), 10)) == 39


def segments(path: Path) -> list[Path]:
    return sorted(path.with_name(f"{path.name}{INDEX}").iterdir())


DAMAGES = {
    "empty": lambda content: b"",
    "half": lambda content: content[: len(content) // 2],
    "half of the header": lambda content: content[:20],
    "longer": lambda content: content + bytes(8),
    "zeros": lambda content: bytes(len(content)),
    "another header": lambda content: content[:8] + bytes(8) + content[16:],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_segment_is_made_again(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "audit.jsonl"
    write(path, [record(number, (number, 0, 0, 0, 0)) for number in range(40)])
    expected = pages(reader_of(path), RecordFilter(), 50)
    before = {one: one.read_bytes() for one in segments(path)}
    assert len(before) > 3
    for one, content in before.items():
        one.write_bytes(DAMAGES[damage](content))
    assert pages(reader_of(path), RecordFilter(), 50) == expected
    assert {one: one.read_bytes() for one in segments(path)} == before


def test_a_segment_that_is_deleted_or_torn_under_a_reader_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    write(path, [record(number) for number in range(40)])
    reader = reader_of(path)
    expected = pages(reader, RecordFilter(), 50)
    first, second, *_ = segments(path)
    first.unlink()
    second.write_bytes(b"torn")
    assert pages(reader, RecordFilter(), 50) == expected


def test_segments_of_a_journal_that_was_changed_are_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    write(path, [record(number) for number in range(40)], maximum_size=1 << 20)
    reader = reader_of(path)
    assert len(pages(reader, RecordFilter((("event", "CreateUser"),)), 50)) == 40
    first, rest = path.read_bytes().split(b"\n", 1)
    path.write_bytes(b"\n".join([first, rest.replace(b"CreateUser", b"DeleteUser")]))
    for one in (reader, reader_of(path)):
        assert len(pages(one, RecordFilter((("event", "DeleteUser"),)), 50)) == 39


def test_the_segments_of_deleted_files_are_deleted(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    write(path, [record(number) for number in range(40)])
    reader = reader_of(path)
    reader.find(RecordFilter(), 1)
    before = len(segments(path))
    oldest = max(tmp_path.glob("audit.jsonl.*[0-9]"), key=lambda one: int(one.suffix[1:]))
    oldest.unlink()
    assert len(pages(reader, RecordFilter(), 50)) < 40
    assert len(segments(path)) < before


def test_where_the_index_cannot_be_written_records_are_found_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.with_name(f"{path.name}{INDEX}").write_text("in the way")
    write(path, [record(number) for number in range(40)])
    assert len(pages(reader_of(path), RecordFilter(), 50)) == 40


def test_a_search_with_little_time_says_since_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    write(path, [record(number, (number, 0, 0, 0, 0)) for number in range(100)], maximum_size=1 << 20)
    reader = reader_of(path)
    found = reader.find(RecordFilter(), 1000, seconds=3)  # the timer of these tests counts its calls
    assert found.complete_since is not None
    times = [time_of(one.event) for one in found.records]
    assert times == list(range(START + 99, found.complete_since, -1))
    for _ in range(20):
        found = reader.find(RecordFilter(), 1000, seconds=3)
    assert (found.complete_since, len(found.records)) == (None, 100)


def test_a_file_that_was_rotated_while_it_is_read_is_neither_missed_nor_read_twice(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    journal = Journal(path, maximum_size=3000, keep=1000)
    reader = reader_of(path)
    for number in range(60):
        journal.write(record(number, (number % 30, 0, 0, 0, 0)))
        found = {one.event.request_id for one in pages(reader, RecordFilter(), 7)}
        assert found == {f"request-{one}" for one in range(number + 1)}
    journal.close()


def test_a_journal_that_is_no_file_has_no_records(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "audit.jsonl")
    assert reader_of(tmp_path / "audit.jsonl").find(RecordFilter(), 10).records == ()


def test_files_that_did_not_change_since_the_start_are_not_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    write(path, [record(number) for number in range(40)])
    made: list[int] = []
    after_all = int(path.stat().st_mtime) + 10
    reader_of(path).find(RecordFilter(start=after_all), 10, note=made.append)
    assert made == []
    assert msgspec.structs.replace(RecordFilter(), start=after_all).matches(record(1)) is False
