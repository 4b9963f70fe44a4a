import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.policy.patterns import ONE, Glob, piece_of
from broker.policy.pieces import FEW_OCCURRENCES, find_piece
from tests.growth import growth

ITEMS = st.lists(st.sampled_from(["a", "b", "ab", "aé", ONE, ""]), max_size=8)


@settings(max_examples=800, deadline=None)
@given(items=ITEMS, text=st.text(alphabet="abé", max_size=60), at=st.integers(0, 8), less=st.integers(0, 8))
def test_a_piece_is_found_where_a_regular_expression_finds_it(
    items: list[object], text: str, at: int, less: int
) -> None:
    end = max(0, len(text) - less)
    expression = "".join("." if item is ONE else re.escape(str(item)) for item in items)
    found = re.compile(expression, re.DOTALL).search(text, at, end) if at <= end else None
    assert find_piece(piece_of(items), text, at, end) == (-1 if found is None else found.start())


@pytest.mark.parametrize("letter", ["a", "é"])
def test_a_piece_that_nearly_stands_in_very_many_places_is_found_in_the_right_one(letter: str) -> None:
    nearly, text = [letter, ONE, letter, ONE, "b"], letter * 50 * FEW_OCCURRENCES
    assert find_piece(piece_of(nearly), text, 0, len(text)) == -1
    for place in (0, 3, 77, 150):
        there = f"{text[:place]}{letter}x{letter}yb{text[:40]}"
        assert find_piece(piece_of(nearly), there, 0, len(there)) == place
        assert find_piece(piece_of(nearly), there, place + 1, len(there)) == -1


def test_a_piece_that_nearly_stands_everywhere_is_looked_for_in_steps_of_its_own_length() -> None:
    """A pattern and a value each of 100,000 characters: one decision took 15 seconds."""

    def looking(size: int):
        glob: Glob = ("a", ONE) * (size // 4) + ("b",)
        piece, text = piece_of(glob), "a" * size
        return lambda: [find_piece(piece, text, 0, size) for _ in range(20)]

    assert growth(looking, 600) < 10
