"""What an operator's dashboard reads: counts and durations, for every worker together.

Several workers share one machine, so the numbers go through files (`PROMETHEUS_MULTIPROC_DIR`, which the command line
sets before anything is imported) and any worker answers for all. Labels are names from the service models, never
what a client sent: a label for every string that an attacker thinks of would fill the memory.
"""

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Measures:
    """Counters of one process; `exposition` adds up those of all."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "broker_requests_total",
            "Requests answered, by service, operation and error code ('' where it succeeded).",
            ("service", "operation", "code"),
            registry=self._registry,
        )
        self._duration = Histogram(
            "broker_request_duration_seconds",
            "Time from the request's head to its answer, by service.",
            ("service",),
            registry=self._registry,
            buckets=BUCKETS,
        )
        self._counters: dict[tuple[str, str, str], Counter] = {}
        self._histograms: dict[str, Histogram] = {}

    def count(self, service: str, operation: str, code: str, seconds: float) -> None:
        """One request answered. The three names come from models and tables only."""
        key = (service, operation, code)
        counter = self._counters.get(key)
        if counter is None:
            counter = self._counters[key] = self._requests.labels(*key)
        counter.inc()
        histogram = self._histograms.get(service)
        if histogram is None:
            histogram = self._histograms[service] = self._duration.labels(service)
        histogram.observe(seconds)

    def add(self, service: str, operation: str, code: str, number: int) -> None:
        """`number` requests answered that were counted elsewhere, and not timed one by one."""
        self._requests.labels(service, operation, code).inc(number)

    def exposition(self, directory: str | None) -> bytes:
        """The text format; `directory` is PROMETHEUS_MULTIPROC_DIR where several workers write there."""
        if directory is None:
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=directory)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
