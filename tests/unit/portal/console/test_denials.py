"""The plot of the denials of an hour."""

from hypothesis import given
from hypothesis import strategies as st

from broker.audit.event import begin_event
from broker.audit.reader import FoundRecord, FoundRecords
from broker.portal.console.denials import plot_of

START = 1_767_225_600


def found(*seconds: int) -> FoundRecords:
    events = [begin_event(START + one, "r", "192.0.2.1", "agent", bytes(16)) for one in seconds]
    return FoundRecords(tuple(FoundRecord(one, b"") for one in events), has_more=False)


def test_a_bar_counts_five_minutes_and_the_highest_is_full() -> None:
    bars = plot_of(found(0, 299, 300, 3599, 3600), START).bars
    assert [bar.number for bar in bars] == [2, 1, *[0] * 8, 0, 2]
    assert [bar.height for bar in bars] == [100, 50, *[0] * 8, 0, 100]


@given(st.lists(st.integers(-10, 4000), max_size=50))
def test_every_denial_is_in_one_bar(seconds: list[int]) -> None:
    plot = plot_of(found(*seconds), START)
    assert sum(bar.number for bar in plot.bars) == plot.total == len(seconds)
    assert all(0 <= bar.height <= 100 for bar in plot.bars)
