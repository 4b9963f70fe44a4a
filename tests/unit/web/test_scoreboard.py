"""What a worker writes to the scoreboard is read by all that share it: complete, or as it was before."""

import os
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.web import scoreboard as scoreboards
from broker.web.scoreboard import Scoreboard


def in_a_child(work) -> int:
    """The exit code of a child process that runs `work`."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_nothing_is_found_where_nothing_was_put():
    scoreboard = Scoreboard(2)
    scoreboard.put(0, b"one")
    assert (scoreboard.find(0), scoreboard.find(1)) == (b"one", None)


def test_the_last_that_was_put_is_found():
    scoreboard = Scoreboard(1)
    for content in (b"a long one", b"b", b"", b"another"):
        scoreboard.put(0, content)
        assert scoreboard.find(0) == content


def test_what_a_process_wrote_is_found_by_the_others_after_it_was_killed():
    scoreboard = Scoreboard(2)

    def put_and_die() -> None:
        scoreboard.put(1, b"first")
        scoreboard.put(1, b"last")
        os.kill(os.getpid(), signal.SIGKILL)

    assert in_a_child(put_and_die) == -signal.SIGKILL
    assert scoreboard.find(1) == b"last"
    in_a_child(lambda: scoreboard.put(1, (scoreboard.find(1) or b"") + b" and more"))
    assert scoreboard.find(1) == b"last and more"


@given(earlier=st.binary(max_size=40), later=st.binary(max_size=40), written=st.integers(0, 56))
def test_what_was_written_in_part_is_as_good_as_not_written(earlier: bytes, later: bytes, written: int):
    """A worker may be killed after any byte: the reader finds the earlier content or the whole later one."""
    scoreboard, whole = Scoreboard(1), Scoreboard(1)
    for one in (scoreboard, whole):
        one.put(0, b"what was there before")
        one.put(0, earlier)
    whole.put(0, later)
    scoreboard._buffers[0][1][:written] = whole._buffers[0][1][:written]
    is_whole = scoreboard._buffers[0][1][:56] == whole._buffers[0][1][:56]
    assert scoreboard.find(0) == (later if is_whole else earlier)
    scoreboard.put(0, b"from who came next")
    assert scoreboard.find(0) == b"from who came next"


def test_what_is_too_long_is_refused_and_changes_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scoreboards, "_BUFFER_SIZE", 4096)
    scoreboard = Scoreboard(1)
    scoreboard.put(0, b"one")
    with pytest.raises(ValueError, match="out of range"):
        scoreboard.put(0, b"x" * 4090)
    assert scoreboard.find(0) == b"one"
