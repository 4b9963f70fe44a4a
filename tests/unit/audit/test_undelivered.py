"""Files that are not delivered yet are kept, whatever a rotation removes."""

import os
from pathlib import Path

from broker.audit.undelivered import KeptFile, UndeliveredFiles, read_lines

ALWAYS, NEVER = 0.0, float("inf")


def files_of(path: Path) -> UndeliveredFiles:
    files = UndeliveredFiles(path)
    assert files.is_ours()
    return files


def rotate(path: Path, keep: int = 2) -> None:
    """As the journal does."""
    for number in range(keep - 1, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            older.replace(path.with_name(f"{path.name}.{number + 1}"))
    path.replace(path.with_name(f"{path.name}.1"))


def contents(files: UndeliveredFiles, now: float = 0) -> list[str]:
    return [one.path.read_text() for one in files.kept(now)]


def test_a_file_stays_readable_in_order_after_it_was_rotated_away(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    files = files_of(path)
    for number in range(6):
        path.write_text(f"{number}\n")
        files.keep(NEVER)
        rotate(path)
    path.write_text("6\n")
    files.keep(NEVER)
    assert contents(files) == [f"{number}\n" for number in range(7)]
    files.release({"0": 3})
    assert contents(files) == ["2\n", "3\n", "4\n", "5\n", "6\n"]


def test_files_that_were_begun_since_the_last_look_are_kept_too(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    files = files_of(path)
    path.write_text("0\n")
    files.keep(NEVER)
    for number in (1, 2):
        rotate(path)
        path.write_text(f"{number}\n")
    files.keep(NEVER)
    assert contents(files) == ["0\n", "1\n", "2\n"]


def test_what_was_delivered_is_not_kept_again(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    files = files_of(path)
    path.write_text("0\n")
    files.keep(ALWAYS)
    rotate(path)
    path.write_text("1\n")
    files.keep(ALWAYS)
    files.release({"0": 2})
    files.keep(ALWAYS)
    assert contents(files) == ["1\n"]
    files.release({})
    assert contents(files) == []


def test_without_links_files_are_kept_that_changed_late_enough(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    for number, name in ((100, "audit.jsonl.2"), (200, "audit.jsonl.1"), (300, "audit.jsonl")):
        (tmp_path / name).write_text(f"{number}\n")
        os.utime(tmp_path / name, (number, number))
    files = files_of(path)
    files.keep(200.0)
    assert contents(files) == ["200\n", "300\n"]


def test_the_other_series_has_numbers_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_text("proven\n")
    path.with_name("audit.jsonl.unauthenticated").write_text("other\n")
    files = files_of(path)
    files.keep(NEVER)
    assert [(one.series, one.number) for one in files.kept(0)] == [("0", 1), ("1", 1)]


def test_one_process_delivers_a_journal(tmp_path: Path) -> None:
    first, second = UndeliveredFiles(tmp_path / "audit.jsonl"), UndeliveredFiles(tmp_path / "audit.jsonl")
    assert first.is_ours() and first.is_ours() and not second.is_ours()
    first.close()
    assert second.is_ours()


def test_a_journal_keeps_its_id(tmp_path: Path) -> None:
    files = files_of(tmp_path / "audit.jsonl")
    assert files.journal_id(lambda size: b"\x01" * size) == "01" * 8
    assert files.journal_id(lambda size: b"\x02" * size) == "01" * 8


def kept(path: Path, text: bytes, *, is_closed: bool = False) -> KeptFile:
    path.write_bytes(text)
    return KeptFile("0", 1, path, len(text), 0, is_closed)


def test_a_line_without_its_end_waits_for_it(tmp_path: Path) -> None:
    file = kept(tmp_path / "x", b"one\ntwo\nthr")
    read = read_lines(file, 0)
    assert (read.lines, read.end) == ((b"one", b"two"), 8)
    assert read_lines(file, 8).end == 8
    assert read_lines(kept(tmp_path / "x", b"one\ntwo\nthree\n"), 8).lines == (b"three",)


def test_what_a_killed_writer_left_at_the_end_is_no_line(tmp_path: Path) -> None:
    read = read_lines(kept(tmp_path / "x", b"one\nto", is_closed=True), 4)
    assert (read.lines, read.end) == ((), 6)
