"""The metric families of `/metrics` as OpenTelemetry's data: the same names, labels and numbers."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.metrics.export import Metric as SentMetric
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client import Metric
from prometheus_client.samples import Sample

from broker.version import VERSION

_SINCE_START = AggregationTemporality.CUMULATIVE


def metrics_data(
    families: Iterable[Metric], resource: Resource, started_at: float, now: float
) -> MetricsData:
    """`started_at` is when all counters were zero; both times in epoch seconds."""
    times = (int(started_at * 1e9), int(now * 1e9))
    sent = [
        SentMetric(family.name, family.documentation, family.unit, _data(family, times))
        for family in families
        if family.samples
    ]
    scope = ScopeMetrics(InstrumentationScope("broker", VERSION), sent, "")
    return MetricsData([ResourceMetrics(resource, [scope], "")])


def _data(family: Metric, times: tuple[int, int]) -> Sum | Gauge | Histogram:
    match family.type:
        case "counter":
            return Sum(_points(family.samples, times), _SINCE_START, is_monotonic=True)
        case "histogram":
            return Histogram(_histogram_points(family.samples, times), _SINCE_START)
        case _:  # a gauge, or an info: always 1
            return Gauge(_points(family.samples, times))


def _points(samples: Sequence[Sample], times: tuple[int, int]) -> list[NumberDataPoint]:
    return [NumberDataPoint(dict(one.labels), *times, one.value) for one in samples]


def _histogram_points(samples: Sequence[Sample], times: tuple[int, int]) -> list[HistogramDataPoint]:
    """A point for each set of labels. Prometheus counts what is below a bound, OpenTelemetry what is between two."""
    buckets: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
    sums: dict[tuple[tuple[str, str], ...], float] = {}
    for one in samples:
        key = tuple((name, value) for name, value in one.labels.items() if name != "le")
        if one.name.endswith("_bucket"):
            buckets.setdefault(key, [(float("-inf"), 0.0)]).append((float(one.labels["le"]), one.value))
        elif one.name.endswith("_sum"):
            sums[key] = one.value
    return [
        HistogramDataPoint(
            attributes=dict(key),
            start_time_unix_nano=times[0],
            time_unix_nano=times[1],
            count=int(reached[-1][1]),
            sum=sums[key],
            bucket_counts=[int(upper[1] - lower[1]) for lower, upper in pairwise(reached)],
            explicit_bounds=[bound for bound, _ in reached[1:-1]],
            min=None,  # type: ignore[arg-type]  # not known: absent on the wire
            max=None,  # type: ignore[arg-type]
        )
        for key, reached in buckets.items()
    ]
