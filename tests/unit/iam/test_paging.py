import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.errors import Refusal
from broker.iam.paging import page

LONGEST_MARKER = 320


def read_all(items: list[str], size: int) -> list[str]:
    seen: list[str] = []
    marker = None
    while True:
        chosen = page(items, str, marker, size)
        assert len(chosen.items) <= size
        assert chosen.is_truncated is (chosen.marker is not None)
        seen += chosen.items
        if chosen.marker is None:
            return seen
        assert len(chosen.marker) <= LONGEST_MARKER
        marker = chosen.marker


@settings(max_examples=60, deadline=None)
@given(st.sets(st.text(max_size=256), max_size=30), st.integers(1, 7))
def test_pages_of_any_size_give_every_item_once_and_in_order(items: set[str], size: int) -> None:
    assert read_all(list(items), size) == sorted(items)


def test_a_page_holds_a_hundred_items_unless_told_otherwise() -> None:
    chosen = page([f"{number:04}" for number in range(150)], str, None, None)
    assert len(chosen.items) == 100
    assert chosen.is_truncated


def test_the_next_page_begins_behind_the_marker_though_its_item_is_gone() -> None:
    marker = page(["a", "b", "c"], str, None, 2).marker
    assert page(["a", "bb", "c"], str, marker, 2).items == ("bb", "c")


def test_an_empty_list_is_one_empty_page() -> None:
    chosen = page([], str, None, 10)
    assert (chosen.items, chosen.is_truncated, chosen.marker) == ((), False, None)


@pytest.mark.parametrize("marker", ["x", "AAAA", "é", "not a marker", "k" * LONGEST_MARKER, "=" * 8])
def test_a_marker_that_we_never_gave_is_refused(marker: str) -> None:
    with pytest.raises(Refusal) as refusal:
        page(["a", "b"], str, marker, 1)
    assert (refusal.value.code, refusal.value.message) == ("ValidationError", "Invalid Marker.")


def test_a_marker_that_was_altered_is_refused() -> None:
    marker = page(["alice", "bob"], str, None, 1).marker
    assert marker is not None
    for index in range(len(marker)):
        altered = marker[:index] + ("A" if marker[index] != "A" else "B") + marker[index + 1 :]
        with pytest.raises(Refusal):
            page(["alice", "bob"], str, altered, 1)
