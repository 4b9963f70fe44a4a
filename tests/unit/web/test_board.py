"""What is put on the board is read by whoever shares it, whole or as it was before."""

import os
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.web import board as boards
from broker.web.board import Board


def in_a_child(deed) -> int:
    """How a process that does `deed` and lives no longer ended."""
    child = os.fork()
    if child == 0:
        try:
            deed()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_nothing_is_found_where_nothing_was_put():
    board = Board(2)
    board.put(0, b"one")
    assert (board.find(0), board.find(1)) == (b"one", None)


def test_the_last_that_was_put_is_found():
    board = Board(1)
    for content in (b"a long one", b"b", b"", b"another"):
        board.put(0, content)
        assert board.find(0) == content


def test_what_a_process_has_put_is_found_by_all_others_after_its_death():
    board = Board(2)

    def put_and_die() -> None:
        board.put(1, b"first")
        board.put(1, b"last")
        os.kill(os.getpid(), signal.SIGKILL)

    assert in_a_child(put_and_die) == -signal.SIGKILL
    assert board.find(1) == b"last"
    in_a_child(lambda: board.put(1, (board.find(1) or b"") + b" and more"))
    assert board.find(1) == b"last and more"


@given(earlier=st.binary(max_size=40), later=st.binary(max_size=40), written=st.integers(0, 56))
def test_what_was_written_in_part_is_as_good_as_not_written(earlier: bytes, later: bytes, written: int):
    """Death may come after any byte: what is found is the earlier content or the whole later one."""
    board, whole = Board(1), Board(1)
    for one in (board, whole):
        one.put(0, b"what stood there before")
        one.put(0, earlier)
    whole.put(0, later)
    board._sheets[0][1][:written] = whole._sheets[0][1][:written]
    is_whole = board._sheets[0][1][:56] == whole._sheets[0][1][:56]
    assert board.find(0) == (later if is_whole else earlier)
    board.put(0, b"from who came next")
    assert board.find(0) == b"from who came next"


def test_what_is_too_long_is_refused_and_changes_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(boards, "_SHEET_SIZE", 4096)
    board = Board(1)
    board.put(0, b"one")
    with pytest.raises(ValueError, match="out of range"):
        board.put(0, b"x" * 4090)
    assert board.find(0) == b"one"
