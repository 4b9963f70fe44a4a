"""What an operator's dashboard reads: counts and durations, for every worker together.

A request costs one look into a dictionary and two additions; the exposition format is made when somebody asks. Where
several workers share the listeners, each puts its tallies once a second on a common board, and any of them answers for
all: what the others counted is a second old at most. A worker that takes the place of one that died goes on from what
that one has left there, so that no counter runs backwards.

Labels are names from the service models and our tables, never what a client sent: a label for every string that an
attacker thinks of would fill the memory. `_MOST_TALLIES` holds even if somebody forgets that.
"""

import os
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
    Metric,
)
from prometheus_client.registry import Collector

from broker.web.board import Board

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

_BOUNDS = [*(str(bound) for bound in BUCKETS), "+Inf"]
# A tally: how many requests were done within each bound (and behind the last), seconds altogether, how many untimed.
_SECONDS = len(_BOUNDS)
_UNTIMED = _SECONDS + 1
_MOST_TALLIES = 5000

Key = tuple[str, str, str]


class Place(msgspec.Struct, frozen=True):
    """Which of the workers this process is, how many had its place before, and where all put their tallies."""

    worker: int = 0
    restarts: int = 0
    board: Board | None = None


class Snapshot(msgspec.Struct, frozen=True):
    """What one worker did and needs: processor in seconds, memory in bytes; `taken_at` is monotonic."""

    worker: int
    restarts: int
    pid: int
    processor: float
    memory: int
    tallies: list[tuple[Key, list[float]]]
    taken_at: float

    @property
    def silence(self) -> float:
        """Seconds since the worker has given this sign of life; it gives one a second."""
        return max(0.0, time.monotonic() - self.taken_at)


class Measures:
    """The tallies of one worker; `exposition` adds up those of all."""

    def __init__(self, place: Place = Place()) -> None:  # noqa: B008  frozen
        self._place = place
        self._tallies: dict[Key, list[float]] = {}
        if place.board is not None:
            earlier = _find_snapshot(place.board, place.worker)
            self._tallies.update(earlier.tallies if earlier else ())

    def count(self, service: str, operation: str, code: str, seconds: float) -> None:
        """One request answered. The three names come from models and tables only."""
        tally = self._tallies.get((service, operation, code))
        if tally is None:
            tally = self._new_tally((service, operation, code))
        tally[0 if seconds <= BUCKETS[0] else bisect_left(BUCKETS, seconds)] += 1  # nearly always the first
        tally[_SECONDS] += seconds

    def add(self, service: str, operation: str, code: str, number: int) -> None:
        """`number` requests answered that were counted elsewhere, and not timed one by one."""
        tally = self._tallies.get((service, operation, code)) or self._new_tally((service, operation, code))
        tally[_UNTIMED] += number

    async def publish(self) -> None:
        """Put the tallies on the board, where there is one."""
        if self._place.board is not None:
            self._place.board.put(self._place.worker, msgspec.json.encode(self._snapshot()))

    def exposition(self) -> bytes:
        """The text format, for all workers."""
        registry = CollectorRegistry()
        registry.register(_Exposition([self._snapshot(), *self._others()]))
        return generate_latest(registry)

    def silences(self) -> dict[int, float | None]:
        """Seconds since each worker's last sign of life; None of one that has given none yet."""
        found: dict[int, float | None] = dict.fromkeys(range(len(self._place.board or [0])))
        found.update({one.worker: one.silence for one in (self._snapshot(), *self._others())})
        return found

    def _new_tally(self, key: Key) -> list[float]:
        if len(self._tallies) >= _MOST_TALLIES:
            key = ("", "", "")
        return self._tallies.setdefault(key, [0.0] * (_UNTIMED + 1))

    def _snapshot(self) -> Snapshot:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return Snapshot(
            worker=self._place.worker,
            restarts=self._place.restarts,
            pid=os.getpid(),
            processor=used.ru_utime + used.ru_stime,
            memory=_resident_bytes(),
            tallies=list(self._tallies.items()),
            taken_at=time.monotonic(),
        )

    def _others(self) -> Iterator[Snapshot]:
        board = self._place.board
        if board is None:
            return
        for worker in range(len(board)):
            snapshot = _find_snapshot(board, worker)
            if snapshot is not None and worker != self._place.worker:
                yield snapshot


class _Exposition(Collector):
    """Snapshots of all workers, as Prometheus wants to read them."""

    def __init__(self, snapshots: list[Snapshot]) -> None:
        self._snapshots = sorted(snapshots, key=lambda snapshot: snapshot.worker)

    def collect(self) -> Iterable[Metric]:
        yield self._requests()
        yield self._durations()
        yield from self._workers()

    def _requests(self) -> Metric:
        family = CounterMetricFamily(
            "broker_requests",
            "Requests answered, by service, operation and error code ('' where it succeeded).",
            labels=("service", "operation", "code"),
        )
        totals: dict[Key, float] = {}
        for snapshot in self._snapshots:
            for key, tally in snapshot.tallies:
                totals[key] = totals.get(key, 0) + _requests_in(tally)
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
            for (service, _, _), tally in snapshot.tallies:
                total = sums.setdefault(service, [0.0] * len(tally))
                sums[service] = [one + other for one, other in zip(total, tally, strict=True)]
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
            requests.add_metric((name,), sum(_requests_in(tally) for _, tally in one.tallies))
            restarts.add_metric((name,), one.restarts)
            processor.add_metric((name,), one.processor)
            memory.add_metric((name,), one.memory)
            silence.add_metric((name,), one.silence)
            process.add_metric((name, str(one.pid)), 1)
        return requests, restarts, processor, memory, silence, process


def _requests_in(tally: list[float]) -> float:
    return sum(tally[:_SECONDS]) + tally[_UNTIMED]


def _find_snapshot(board: Board, worker: int) -> Snapshot | None:
    put = board.find(worker)
    return None if put is None else msgspec.json.decode(put, type=Snapshot)


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * resource.getpagesize()
