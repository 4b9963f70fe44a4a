"""Counts and durations of one worker and of several."""

import re
import timeit

from broker.web.metrics import Metrics, WorkerSlot
from broker.web.scoreboard import Scoreboard


def number(metrics: Metrics, line: str) -> float:
    """The value of the one line that begins with `line`."""
    found = re.findall(rf"^{re.escape(line)} (\S+)$", metrics.exposition().decode(), re.MULTILINE)
    assert len(found) == 1, f"{line} is there {len(found)} times"
    return float(found[0])


def requests(operation: str, code: str = "", service: str = "sts") -> str:
    return f'broker_requests_total{{code="{code}",operation="{operation}",service="{service}"}}'


def test_requests_are_counted_by_service_operation_and_code():
    metrics = Metrics()
    metrics.count("sts", "AssumeRole", "", 0.001)
    metrics.count("sts", "AssumeRole", "", 0.002)
    metrics.count("sts", "AssumeRole", "AccessDenied", 0.001)
    assert number(metrics, requests("AssumeRole")) == 2
    assert number(metrics, requests("AssumeRole", "AccessDenied")) == 1


def test_durations_fall_into_every_bucket_that_holds_them():
    metrics = Metrics()
    for seconds in (0.0004, 0.0005, 0.02, 60.0):
        metrics.count("iam", "GetUser", "", seconds)
    bucket = 'broker_request_duration_seconds_bucket{{le="{}",service="iam"}}'
    assert number(metrics, bucket.format("0.0005")) == 2
    assert number(metrics, bucket.format("0.01")) == 2
    assert number(metrics, bucket.format("0.025")) == 3
    assert number(metrics, bucket.format("2.5")) == 3
    assert number(metrics, bucket.format("+Inf")) == 4
    assert number(metrics, 'broker_request_duration_seconds_sum{service="iam"}') == 60.0209


def test_requests_added_as_a_number_are_not_timed():
    metrics = Metrics()
    metrics.add("metadata", "Read", "", 7)
    metrics.count("metadata", "Read", "", 0.001)
    assert number(metrics, requests("Read", service="metadata")) == 8
    assert number(metrics, 'broker_request_duration_seconds_count{service="metadata"}') == 1


def test_the_number_of_series_is_bounded():
    metrics = Metrics()
    for index in range(6000):
        metrics.count("sts", f"Invented{index}", "", 0.001)
    assert number(metrics, requests("", service="")) == 1000
    assert metrics.exposition().count(b"Invented") == 5000


async def test_any_worker_answers_for_all():
    scoreboard = Scoreboard(2)
    first, second = (
        Metrics(WorkerSlot(worker=0, scoreboard=scoreboard)),
        Metrics(WorkerSlot(worker=1, scoreboard=scoreboard)),
    )
    first.count("sts", "GetCallerIdentity", "", 0.001)
    second.count("sts", "GetCallerIdentity", "", 0.001)
    second.count("sts", "AssumeRole", "", 0.001)
    await first.publish()
    await second.publish()
    for worker in (first, second):
        assert number(worker, requests("GetCallerIdentity")) == 2
        assert number(worker, requests("AssumeRole")) == 1
        assert number(worker, 'broker_worker_requests_total{worker="0"}') == 1
        assert number(worker, 'broker_worker_requests_total{worker="1"}') == 2


async def test_the_answering_workers_own_count_is_never_old():
    metrics = Metrics(WorkerSlot(worker=0, scoreboard=Scoreboard(1)))
    await metrics.publish()
    metrics.count("sts", "AssumeRole", "", 0.001)
    assert number(metrics, requests("AssumeRole")) == 1


async def test_a_successor_continues_the_counters_of_a_dead_worker():
    scoreboard = Scoreboard(2)
    killed = Metrics(WorkerSlot(worker=1, scoreboard=scoreboard))
    killed.count("sts", "AssumeRole", "", 0.001)
    await killed.publish()
    successor = Metrics(WorkerSlot(worker=1, restarts=1, scoreboard=scoreboard))
    successor.count("sts", "AssumeRole", "", 0.001)
    assert number(successor, requests("AssumeRole")) == 2
    assert number(successor, 'broker_worker_restarts_total{worker="1"}') == 1


async def test_the_most_series_that_a_worker_can_have_fit_the_scoreboard():
    scoreboard, longest = Scoreboard(2), "x" * 100
    metrics = Metrics(WorkerSlot(worker=0, scoreboard=scoreboard))
    for index in range(6000):
        metrics.count(longest, f"{longest}{index}", longest, 1 / 3)
    await metrics.publish()
    other = Metrics(WorkerSlot(worker=1, scoreboard=scoreboard))
    assert number(other, 'broker_worker_requests_total{worker="0"}') == 6000


def test_counting_costs_the_hot_path_little():
    """About 0.5 microseconds were measured; the bound leaves room for a busy machine."""
    metrics = Metrics()
    fastest = min(
        timeit.repeat(lambda: metrics.count("sts", "AssumeRole", "", 0.001), number=2000, repeat=20)
    )
    assert fastest / 2000 < 3e-6
