"""Metrics for Prometheus: counts and durations of requests, summed over all workers.

Counting a request costs one dictionary look-up and two additions; the exposition format is made when it is scraped.
Each of several workers publishes its counters to the scoreboard once a second, and any worker answers a scrape for
all: the counters of the others are at most a second old. The successor of a worker that died continues from the
counters which that worker published, so that no counter decreases.

Labels are names from the service models and our tables, never what a client sent: a label for each string that an
attacker makes up would fill the memory. `_MOST_SERIES` bounds it even where a caller breaks this rule.
"""

import os
import platform
import resource
import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from broker.version import VERSION
from broker.web.scoreboard import Scoreboard

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

# What each worker measures of itself: name, what it is, and its label beside the worker.
GAUGES = {
    "broker_connections": ("Open connections.", "listener"),
    "broker_cache_weight_bytes": ("What a cache holds, by estimate.", "cache"),
    "broker_cache_entries": ("How many entries a cache holds.", "cache"),
    "broker_store_latency_seconds": ("How long the store took for one reading.", ""),
    "broker_key_created_timestamp_seconds": ("When the key that seals was made, by ring.", "ring"),
    "broker_trails_failing": ("Trails whose last delivery from this node failed.", ""),
    "broker_trail_undelivered_bytes": ("What of the journal the trail furthest behind has to get.", ""),
    "broker_certificate_expiry_timestamp_seconds": ("When the certificate of the API ends.", ""),
}

_BOUNDS = [*(str(bound) for bound in BUCKETS), "+Inf"]
# One series: the requests in each bucket (the last one has no bound), the sum of seconds, the requests not timed.
_SECONDS = len(_BOUNDS)
_UNTIMED = _SECONDS + 1
_MOST_SERIES = 5000

Key = tuple[str, str, str]


class WorkerSlot(msgspec.Struct, frozen=True):
    """The slot that this process has: its number, how often its worker was replaced, and the shared scoreboard.

    `age` gives the seconds since the first worker was started: when all counters were zero.
    """

    worker: int = 0
    restarts: int = 0
    scoreboard: Scoreboard | None = None
    started_at: float = msgspec.field(default_factory=time.monotonic)

    @property
    def age(self) -> float:
        return time.monotonic() - self.started_at


class Snapshot(msgspec.Struct, frozen=True):
    """What one worker publishes: processor time in seconds, memory in bytes; `taken_at` is monotonic."""

    worker: int
    restarts: int
    pid: int
    processor: float
    memory: int
    series: list[tuple[Key, list[float]]]
    taken_at: float
    tallies: list[tuple[tuple[str, str], float]] = []
    gauges: list[tuple[tuple[str, str], float]] = []

    @property
    def silence(self) -> float:
        """Seconds since this heartbeat; a worker publishes one a second."""
        return max(0.0, time.monotonic() - self.taken_at)


class Metrics:
    """The counters of one worker; `exposition` adds up those of all."""

    def __init__(self, place: WorkerSlot = WorkerSlot()) -> None:  # noqa: B008  frozen
        self._place = place
        self._series: dict[Key, list[float]] = {}
        self._tallies: dict[tuple[str, str], float] = {}
        self._gauges: dict[tuple[str, str], float] = {}
        if place.scoreboard is not None:
            earlier = _find_snapshot(place.scoreboard, place.worker)
            self._series.update(earlier.series if earlier else ())
            self._tallies.update(earlier.tallies if earlier else ())

    def count(self, service: str, operation: str, code: str, seconds: float, request_id: str = "") -> None:
        """Count one request. INVARIANT: the three names come from models and tables only."""
        series = self._series.get((service, operation, code))
        if series is None:
            series = self._new_series((service, operation, code))
        series[0 if seconds <= BUCKETS[0] else bisect_left(BUCKETS, seconds)] += 1  # mostly the first bucket
        series[_SECONDS] += seconds

    def add(self, service: str, operation: str, code: str, number: int) -> None:
        """Count `number` requests that were not timed one by one."""
        series = self._series.get((service, operation, code)) or self._new_series((service, operation, code))
        series[_UNTIMED] += number

    def count_session(self, kind: str) -> None:
        """`kind` is the name of a kind of claims, as in RoleClaims."""
        self._tally("sessions", kind.removesuffix("Claims"), 1)

    def count_denial(self, layer: str) -> None:
        self._tally("denials", layer, 1)

    def count_bytes(self, direction: str, number: int) -> None:
        """Bytes of bodies that a gateway has passed; `direction` is received or sent."""
        self._tally("bytes", direction, number)

    def count_store_answer(self, seconds: float) -> None:
        """How long the store behind a gateway took until its answer began."""
        self._tally("store answers", "", 1)
        self._tally("store seconds", "", seconds)

    def _tally(self, which: str, value: str, number: float) -> None:
        self._tallies[which, value] = self._tallies.get((which, value), 0.0) + number

    def set_gauge(self, name: str, label: str, value: float) -> None:
        """`name` is one of GAUGES; `label` the value of its second label, which comes from our tables."""
        self._gauges[name, label] = value

    async def publish(self) -> None:
        """Write the counters to the scoreboard, where there is one."""
        if self._place.scoreboard is not None:
            self._place.scoreboard.put(self._place.worker, msgspec.json.encode(self._snapshot()))

    def exposition(self) -> bytes:
        """The metrics of all workers in the exposition format."""
        registry = CollectorRegistry()
        registry.register(_Exposition(self.snapshots()))
        return generate_latest(registry)

    def families(self) -> list[Metric]:
        """What `exposition` is made of."""
        return list(_Exposition(self.snapshots()).collect())

    def snapshots(self) -> list[Snapshot]:
        """What each worker of this node has counted, in their order."""
        return sorted((self._snapshot(), *self._others()), key=lambda one: one.worker)

    def silences(self) -> dict[int, float | None]:
        """Seconds since each worker's last heartbeat; None where it has given none yet."""
        found: dict[int, float | None] = dict.fromkeys(range(len(self._place.scoreboard or [0])))
        found.update({one.worker: one.silence for one in (self._snapshot(), *self._others())})
        return found

    def _new_series(self, key: Key) -> list[float]:
        if len(self._series) >= _MOST_SERIES:
            key = ("", "", "")
        return self._series.setdefault(key, [0.0] * (_UNTIMED + 1))

    def _snapshot(self) -> Snapshot:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return Snapshot(
            worker=self._place.worker,
            restarts=self._place.restarts,
            pid=os.getpid(),
            processor=used.ru_utime + used.ru_stime,
            memory=_resident_bytes(),
            series=list(self._series.items()),
            taken_at=time.monotonic(),
            tallies=list(self._tallies.items()),
            gauges=list(self._gauges.items()),
        )

    def _others(self) -> Iterator[Snapshot]:
        scoreboard = self._place.scoreboard
        if scoreboard is None:
            return
        for worker in range(len(scoreboard)):
            snapshot = _find_snapshot(scoreboard, worker)
            if snapshot is not None and worker != self._place.worker:
                yield snapshot


class _Exposition(Collector):
    """The snapshots of all workers as metric families of prometheus_client."""

    def __init__(self, snapshots: list[Snapshot]) -> None:
        self._snapshots = sorted(snapshots, key=lambda snapshot: snapshot.worker)

    def collect(self) -> Iterable[Metric]:
        build = InfoMetricFamily("broker_build", "Which broker this is; always 1.")
        build.add_metric((), {"version": VERSION, "python": platform.python_version()})
        yield build
        yield self._requests()
        yield self._durations()
        yield self._tallied("sessions", "broker_sessions_minted", "Sessions issued, by kind.", "kind")
        yield self._tallied(
            "denials", "broker_denials", "Requests denied, by the layer that denied.", "layer"
        )
        if self._totals("store answers"):
            yield from self._of_gateway()
        yield from self._measured()
        yield from self._workers()

    def _tallied(self, which: str, name: str, text: str, label: str) -> Metric:
        family = CounterMetricFamily(name, text, labels=(label,))
        totals = self._totals(which)
        for value in sorted(totals):
            family.add_metric((value,), totals[value])
        return family

    def _totals(self, which: str) -> dict[str, float]:
        totals: dict[str, float] = {}
        for snapshot in self._snapshots:
            for (kind, value), number in snapshot.tallies:
                if kind == which:
                    totals[value] = totals.get(value, 0) + number
        return totals

    def _of_gateway(self) -> Iterator[Metric]:
        yield self._tallied("bytes", "broker_gateway_bytes", "Bytes from and to clients.", "direction")
        answers, seconds = self._totals("store answers")[""], self._totals("store seconds")[""]
        yield SummaryMetricFamily(
            "broker_gateway_store_seconds",
            "Time until the store's answer began, of requests whose body is not streamed.",
            count_value=int(answers),
            sum_value=seconds,
        )

    def _measured(self) -> Iterable[Metric]:
        for name, (text, label) in GAUGES.items():
            family = GaugeMetricFamily(name, text, labels=("worker", label) if label else ("worker",))
            for snapshot in self._snapshots:
                for (found, value), number in snapshot.gauges:
                    if found == name:
                        labels = (str(snapshot.worker), value) if label else (str(snapshot.worker),)
                        family.add_metric(labels, number)
            yield family

    def _requests(self) -> Metric:
        family = CounterMetricFamily(
            "broker_requests",
            "Requests answered, by service, operation and error code ('' where it succeeded).",
            labels=("service", "operation", "code"),
        )
        totals: dict[Key, float] = {}
        for snapshot in self._snapshots:
            for key, series in snapshot.series:
                totals[key] = totals.get(key, 0) + _requests_in(series)
        for key in sorted(totals):
            family.add_metric(key, totals[key])
        return family

    def _durations(self) -> Metric:
        family = HistogramMetricFamily(
            "broker_request_duration_seconds",
            "Time from the request's head to its answer, by service.",
            labels=("service",),
        )
        sums: dict[str, list[float]] = {}
        for snapshot in self._snapshots:
            for (service, _, _), series in snapshot.series:
                total = sums.setdefault(service, [0.0] * len(series))
                sums[service] = [one + other for one, other in zip(total, series, strict=True)]
        for service, total in sorted(sums.items()):
            reached, buckets = 0.0, []
            for bound, number in zip(_BOUNDS, total, strict=False):
                reached += number
                buckets.append((bound, reached))
            family.add_metric((service,), buckets, total[_SECONDS])
        return family

    def _workers(self) -> Iterable[Metric]:
        label = ("worker",)
        requests = CounterMetricFamily(
            "broker_worker_requests", "Requests answered by a worker.", labels=label
        )
        restarts = CounterMetricFamily(
            "broker_worker_restarts", "How often a worker was replaced.", labels=label
        )
        processor = CounterMetricFamily(
            "broker_worker_cpu_seconds", "Processor time of a worker.", labels=label
        )
        memory = GaugeMetricFamily(
            "broker_worker_resident_memory_bytes", "Resident memory of a worker.", labels=label
        )
        silence = GaugeMetricFamily(
            "broker_worker_silence_seconds", "Time since a worker's last sign of life.", labels=label
        )
        process = GaugeMetricFamily(
            "broker_worker_info", "Which process a worker is; always 1.", labels=("worker", "pid")
        )
        for one in self._snapshots:
            name = str(one.worker)
            requests.add_metric((name,), sum(_requests_in(series) for _, series in one.series))
            restarts.add_metric((name,), one.restarts)
            processor.add_metric((name,), one.processor)
            memory.add_metric((name,), one.memory)
            silence.add_metric((name,), one.silence)
            process.add_metric((name, str(one.pid)), 1)
        return requests, restarts, processor, memory, silence, process


def _requests_in(series: list[float]) -> float:
    return sum(series[:_SECONDS]) + series[_UNTIMED]


def _find_snapshot(scoreboard: Scoreboard, worker: int) -> Snapshot | None:
    put = scoreboard.find(worker)
    return None if put is None else msgspec.json.decode(put, type=Snapshot)


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * resource.getpagesize()
