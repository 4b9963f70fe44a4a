"""Answers that are kept: asked for once, never wrong, never too many."""

import pytest

from broker.memo import Memo


def test_an_answer_is_made_once_and_begun_anew_when_there_are_too_many():
    asked = []

    def double(number):
        asked.append(number)
        return 2 * number

    memo = Memo(double, limit=3)
    assert [memo[number] for number in (1, 2, 3, 1, 2, 3)] == [2, 4, 6, 2, 4, 6]
    assert asked == [1, 2, 3]
    assert memo[4] == 8
    assert dict(memo) == {4: 8}
    assert [memo[number] for number in (4, 1)] == [8, 2]
    assert asked == [1, 2, 3, 4, 1]


def test_what_cannot_be_answered_is_not_kept():
    memo = Memo(int)
    with pytest.raises(ValueError, match="invalid literal"):
        memo["x"]
    assert memo == {}
