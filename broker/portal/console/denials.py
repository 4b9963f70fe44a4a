"""The denials of the last hour, as a plot that the server draws: a bar for each five minutes."""

from collections.abc import Sequence

import msgspec

from broker.audit.facets import RecordFilter, RecordOutcome, time_of
from broker.audit.reader import FoundRecords
from broker.errors import Refusal
from broker.portal.console.journal import look_up
from broker.portal.dependencies import Portal
from broker.portal.visit import Visit

_SPAN, _BARS = 3600, 12
_MOST = 1000  # records that are counted


class PlotBar(msgspec.Struct, frozen=True):
    """`height` is in hundredths of the highest one."""

    number: int
    height: int


class DenialPlot(msgspec.Struct, frozen=True):
    """`has_more`: there were more than are counted."""

    total: int
    has_more: bool
    bars: tuple[PlotBar, ...]


async def find_denials(portal: Portal, visit: Visit) -> DenialPlot | Refusal | None:
    """None where the journal cannot be read."""
    if portal.journal is None:
        return None
    start = int(visit.facts.now) - _SPAN
    wanted = RecordFilter((("outcome", RecordOutcome.DENIED.value),), start)
    try:
        return plot_of(await look_up(portal, portal.journal, visit, wanted, limit=_MOST), start)
    except Refusal as refusal:
        if refusal.code in ("ServiceUnavailable", "ExpiredToken"):
            raise
        return refusal


def plot_of(found: FoundRecords, start: int) -> DenialPlot:
    numbers = [0] * _BARS
    for one in found.records:
        numbers[min(_BARS - 1, max(0, (time_of(one.event) - start) * _BARS // _SPAN))] += 1
    return DenialPlot(len(found.records), found.has_more, _bars(numbers))


def _bars(numbers: Sequence[int]) -> tuple[PlotBar, ...]:
    highest = max(*numbers, 1)
    return tuple(PlotBar(number, number * 100 // highest) for number in numbers)
