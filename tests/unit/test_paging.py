from base64 import urlsafe_b64encode
from hashlib import blake2b

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.errors import Refusal
from broker.paging import page

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


# Short keys and long ones, many with a common beginning: shorter and longer than a marker has whole.
hostile_keys = st.builds(
    lambda letter, length, end: letter * length + end,
    st.sampled_from(["a", "b", "~", "é", "😀"]),
    st.sampled_from([0, 1, 49, 50, 51, 66, 99, 100, 101, 199, 200, 201, 231, 232, 233, 800]),
    st.text(max_size=3),
)


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sets(hostile_keys, max_size=40), st.integers(1, 5))
def test_items_that_stay_are_listed_once_whatever_is_added_or_deleted_meanwhile(
    data: st.DataObject, items: set[str], size: int
) -> None:
    stays = data.draw(st.sets(st.sampled_from(sorted(items)))) if items else set()
    now, seen, marker = set(items), list[str](), None
    while True:
        chosen = page(now, str, marker, size)
        seen += chosen.items
        if chosen.marker is None:
            break
        assert len(chosen.marker) <= LONGEST_MARKER
        marker = chosen.marker
        gone = {key for key in now - stays if data.draw(st.booleans())}
        now = (now - gone) | data.draw(st.sets(hostile_keys, max_size=2))
    assert len(seen) == len(set(seen))
    assert stays <= set(seen)


@pytest.mark.parametrize("size", [1, 2, 7])
def test_a_list_is_emptied_page_by_page(size: int) -> None:
    """As boto3's paginators are used: what a page shows is deleted before the next is asked for."""
    left = {f"{letter * length}{number}" for letter in "ab" for length in (3, 250) for number in range(20)}
    everything, seen, marker = set(left), list[str](), None
    while left:
        chosen = page(left, str, marker, size)
        left -= set(chosen.items)
        seen += chosen.items
        marker = chosen.marker
    assert len(seen) == len(everything)
    assert set(seen) == everything


def test_a_page_holds_a_hundred_items_by_default() -> None:
    chosen = page([f"{number:04}" for number in range(150)], str, None, None)
    assert len(chosen.items) == 100
    assert chosen.is_truncated


def test_the_next_page_begins_behind_the_marker_though_its_item_was_deleted() -> None:
    marker = page(["a", "b", "c"], str, None, 2).marker
    assert page(["a", "bb", "c"], str, marker, 2).items == ("bb", "c")


def test_an_empty_list_is_one_empty_page() -> None:
    chosen = page([], str, None, 10)
    assert (chosen.items, chosen.is_truncated, chosen.marker) == ((), False, None)


@pytest.mark.parametrize("marker", ["x", "AAAA", "é", "not a marker", "k" * LONGEST_MARKER, "=" * 8])
def test_a_malformed_marker_is_refused(marker: str) -> None:
    with pytest.raises(Refusal) as refusal:
        page(["a", "b"], str, marker, 1)
    assert (refusal.value.code, refusal.value.message) == ("ValidationError", "Invalid Marker.")


@pytest.mark.parametrize("position", [b"k\xff\xfe", b"\xff" * 200, b"a" * 201, b"a" * 231, b"a" * 233])
def test_a_marker_without_a_position_is_refused_though_its_checksum_is_right(position: bytes) -> None:
    check = blake2b(position, digest_size=4, person=b"place").digest()
    with pytest.raises(Refusal, match=r"Invalid Marker\."):
        page(["a", "b"], str, urlsafe_b64encode(check + position).decode(), 1)


def test_a_marker_that_was_altered_is_refused() -> None:
    marker = page(["alice", "bob"], str, None, 1).marker
    assert marker is not None
    for index in range(len(marker)):
        altered = marker[:index] + ("A" if marker[index] != "A" else "B") + marker[index + 1 :]
        with pytest.raises(Refusal):
            page(["alice", "bob"], str, altered, 1)
