"""Counts and durations of one worker and of several."""

import re
import timeit

from broker.web.board import Board
from broker.web.measures import Measures, Place


def number(measures: Measures, line: str) -> float:
    """The value of the one line that begins with `line`."""
    found = re.findall(rf"^{re.escape(line)} (\S+)$", measures.exposition().decode(), re.MULTILINE)
    assert len(found) == 1, f"{line} stands there {len(found)} times"
    return float(found[0])


def requests(operation: str, code: str = "", service: str = "sts") -> str:
    return f'broker_requests_total{{code="{code}",operation="{operation}",service="{service}"}}'


def test_requests_are_counted_by_service_operation_and_code():
    measures = Measures()
    measures.count("sts", "AssumeRole", "", 0.001)
    measures.count("sts", "AssumeRole", "", 0.002)
    measures.count("sts", "AssumeRole", "AccessDenied", 0.001)
    assert number(measures, requests("AssumeRole")) == 2
    assert number(measures, requests("AssumeRole", "AccessDenied")) == 1


def test_durations_fall_into_every_bucket_that_holds_them():
    measures = Measures()
    for seconds in (0.0004, 0.0005, 0.02, 60.0):
        measures.count("iam", "GetUser", "", seconds)
    bucket = 'broker_request_duration_seconds_bucket{{le="{}",service="iam"}}'
    assert number(measures, bucket.format("0.0005")) == 2
    assert number(measures, bucket.format("0.01")) == 2
    assert number(measures, bucket.format("0.025")) == 3
    assert number(measures, bucket.format("2.5")) == 3
    assert number(measures, bucket.format("+Inf")) == 4
    assert number(measures, 'broker_request_duration_seconds_sum{service="iam"}') == 60.0209


def test_requests_that_were_counted_elsewhere_are_not_timed():
    measures = Measures()
    measures.add("metadata", "Read", "", 7)
    measures.count("metadata", "Read", "", 0.001)
    assert number(measures, requests("Read", service="metadata")) == 8
    assert number(measures, 'broker_request_duration_seconds_count{service="metadata"}') == 1


def test_names_without_end_do_not_fill_the_memory():
    measures = Measures()
    for index in range(6000):
        measures.count("sts", f"Invented{index}", "", 0.001)
    assert number(measures, requests("", service="")) == 1000
    assert measures.exposition().count(b"Invented") == 5000


async def test_any_worker_answers_for_all():
    board = Board(2)
    first, second = Measures(Place(worker=0, board=board)), Measures(Place(worker=1, board=board))
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
    measures = Measures(Place(worker=0, board=Board(1)))
    await measures.publish()
    measures.count("sts", "AssumeRole", "", 0.001)
    assert number(measures, requests("AssumeRole")) == 1


async def test_a_replaced_worker_goes_on_where_the_dead_one_was():
    board = Board(2)
    dead = Measures(Place(worker=1, board=board))
    dead.count("sts", "AssumeRole", "", 0.001)
    await dead.publish()
    successor = Measures(Place(worker=1, restarts=1, board=board))
    successor.count("sts", "AssumeRole", "", 0.001)
    assert number(successor, requests("AssumeRole")) == 2
    assert number(successor, 'broker_worker_restarts_total{worker="1"}') == 1


async def test_the_most_that_a_worker_can_have_counted_has_room_on_the_board():
    board, longest = Board(2), "x" * 100
    measures = Measures(Place(worker=0, board=board))
    for index in range(6000):
        measures.count(longest, f"{longest}{index}", longest, 1 / 3)
    await measures.publish()
    other = Measures(Place(worker=1, board=board))
    assert number(other, 'broker_worker_requests_total{worker="0"}') == 6000


def test_counting_costs_the_hot_path_little():
    """About 0.5 microseconds were measured; the bound leaves room for a busy machine."""
    measures = Measures()
    fastest = min(
        timeit.repeat(lambda: measures.count("sts", "AssumeRole", "", 0.001), number=2000, repeat=20)
    )
    assert fastest / 2000 < 3e-6
