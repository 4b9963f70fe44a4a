"""The families of `/metrics` as OpenTelemetry's data."""

from opentelemetry.sdk.metrics.export import Gauge, Histogram, Sum
from opentelemetry.sdk.resources import Resource

from broker.telemetry.metrics import metrics_data
from broker.web.metrics import BUCKETS, Metrics

STARTED, NOW = 1000.0, 1060.0


def sent(metrics: Metrics) -> dict[str, Sum | Gauge | Histogram]:
    data = metrics_data(metrics.families(), Resource({"service.name": "broker"}), STARTED, NOW)
    (about,) = data.resource_metrics
    return {one.name: one.data for one in about.scope_metrics[0].metrics}


def some() -> Metrics:
    metrics = Metrics()
    for seconds in (0.0001, 0.003, 0.003, 99.0):
        metrics.count("sts", "AssumeRole", "", seconds)
    metrics.count("iam", "GetUser", "AccessDenied", 0.1)
    metrics.set_gauge("broker_connections", "api", 7)
    return metrics


def test_a_counter_is_a_sum_since_the_start() -> None:
    requests = sent(some())["broker_requests"]
    assert isinstance(requests, Sum) and requests.is_monotonic
    points = {tuple((one.attributes or {}).values()): one for one in requests.data_points}
    assert {key: one.value for key, one in points.items()} == {
        ("sts", "AssumeRole", ""): 4,
        ("iam", "GetUser", "AccessDenied"): 1,
    }
    assert {(one.start_time_unix_nano, one.time_unix_nano) for one in requests.data_points} == {
        (int(STARTED * 1e9), int(NOW * 1e9))
    }


def test_a_histogram_counts_what_is_between_its_bounds() -> None:
    durations = sent(some())["broker_request_duration_seconds"]
    assert isinstance(durations, Histogram)
    (point,) = (one for one in durations.data_points if one.attributes == {"service": "sts"})
    assert tuple(point.explicit_bounds) == BUCKETS
    expected = [0] * (len(BUCKETS) + 1)
    expected[0], expected[BUCKETS.index(0.005)], expected[-1] = 1, 2, 1
    assert point.bucket_counts == expected
    assert (point.count, round(point.sum, 4)) == (4, 99.0061)


def test_a_gauge_is_a_gauge() -> None:
    connections = sent(some())["broker_connections"]
    assert isinstance(connections, Gauge)
    assert [(one.attributes, one.value) for one in connections.data_points] == [
        ({"worker": "0", "listener": "api"}, 7)
    ]


def test_every_family_that_is_scraped_is_sent() -> None:
    scraped = {one.name for one in some().families() if one.samples}
    assert set(sent(some())) == scraped
