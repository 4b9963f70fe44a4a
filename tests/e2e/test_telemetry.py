"""Spans and metrics by OTLP: a collector over HTTP takes them, in OpenTelemetry's own protobuf messages."""

import asyncio
import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.e2e.conftest import Account, Server
from tests.e2e.raw_requests import WHO_AM_I, raw_request
from tests.e2e.scenes import records

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
SECRET = "collector-secret-1"


class Collector:
    """What was sent to it; `answers` are the statuses to come, then 200. While `is_held` it answers nothing."""

    def __init__(self) -> None:
        self.url = ""
        self.spans: list[Span] = []
        self.metrics: dict[str, Metric] = {}
        self.resources: list[dict[str, str]] = []
        self.headers: list[Any] = []
        self.is_held = threading.Event()

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        while self.is_held.is_set():
            await asyncio.sleep(0.05)
        self.headers.append(request.headers)
        if request.path == "/below/v1/traces":
            for traces in ExportTraceServiceRequest.FromString(body).resource_spans:
                self.resources.append({one.key: one.value.string_value for one in traces.resource.attributes})
                self.spans += [span for scope in traces.scope_spans for span in scope.spans]
        else:
            assert request.path == "/below/v1/metrics"
            for metrics in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                for scope in metrics.scope_metrics:
                    self.metrics.update({one.name: one for one in scope.metrics})
        return web.Response(content_type="application/x-protobuf")


@contextmanager
def running(collector: Collector) -> Iterator[Collector]:
    loop = asyncio.new_event_loop()
    application = web.Application()
    application.router.add_post("/below/v1/{signal}", collector.take)
    runner = web.AppRunner(application, access_log=None)

    async def begin() -> None:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(begin(), loop).result(10)
    collector.url = f"http://127.0.0.1:{runner.addresses[0][1]}/below"
    try:
        yield collector
    finally:
        collector.is_held.clear()
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with running(Collector()) as one:
        yield one


@pytest.fixture(scope="module")
def telling(
    collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, Account]]:
    """A server of two workers that tells the collector, and an account."""
    folder = tmp_path_factory.mktemp("telling")
    told = {
        "BROKER_OTLP_ENDPOINT": collector.url,
        "BROKER_OTLP_HEADERS": f"x-api-key={SECRET},x-tenant=one%2Ctwo",
        "BROKER_OTLP_METRICS_SECONDS": "1",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
    }
    server = Server(folder, f"sqlite:{folder / 'broker.db'}", ("--workers", "2"), told)
    server.start()
    try:
        yield server, server.new_account()
    finally:
        server.stop()


def until(found: Callable[[], Any], seconds: float = 15) -> Any:
    deadline = time.monotonic() + seconds
    while not (what := found()):
        assert time.monotonic() < deadline, "it was not sent"
        time.sleep(0.05)
    return what


def attributes(span: Span) -> dict[str, str]:
    return {one.key: one.value.string_value for one in span.attributes}


def span_of(collector: Collector, request_id: str) -> Span:
    return until(
        lambda: next((s for s in collector.spans if attributes(s).get("aws.request_id") == request_id), None)
    )


def test_a_request_is_a_server_span_below_the_span_that_the_client_named(
    collector: Collector, telling: tuple[Server, Account]
) -> None:
    server, account = telling
    asked = raw_request(server, account.root, WHO_AM_I, headers={"traceparent": f"00-{TRACE}-{PARENT}-00"})
    before = time.time_ns()
    answer = asked.send(server)
    after = time.time_ns()
    assert answer.status == 200
    record = next(
        one for one in records(server) if one.get("additionalEventData", {}).get("traceId") == TRACE
    )
    span = span_of(collector, record["requestID"])
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert (span.name, span.kind) == ("sts/GetCallerIdentity", Span.SPAN_KIND_SERVER)
    assert attributes(span) == {
        "rpc.system": "aws-api",
        "rpc.service": "sts",
        "rpc.method": "GetCallerIdentity",
        "aws.request_id": record["requestID"],
    }
    assert span.status.code == Status.STATUS_CODE_UNSET
    # The two clocks of one machine, which the broker reads a moment apart.
    assert before - 50_000_000 <= span.start_time_unix_nano < span.end_time_unix_nano <= after + 50_000_000
    resource = collector.resources[-1]
    assert resource["service.name"] == "broker" and resource["deployment.environment.name"] == "test"


def test_a_refused_request_begins_a_trace_and_names_its_error_and_no_caller(
    collector: Collector, telling: tuple[Server, Account]
) -> None:
    server, account = telling
    refused: list[str] = []
    iam = server.client("iam", account.root)
    with pytest.raises(iam.exceptions.NoSuchEntityException) as error:
        iam.get_user(UserName="nobody-of-that-name")
    refused.append(error.value.response["ResponseMetadata"]["RequestId"])
    span = span_of(collector, refused[0])
    assert attributes(span)["error.type"] == "NoSuchEntity"
    assert (span.name, span.status.code) == ("iam/GetUser", Status.STATUS_CODE_UNSET)
    assert span.parent_span_id == b"" and len(span.trace_id) == 16
    sent = str(collector.spans)
    assert account.account_id not in sent and account.root.access_key_id not in sent
    assert "nobody-of-that-name" not in sent and account.root.secret_access_key not in sent


def test_the_metrics_are_those_that_are_scraped(
    collector: Collector, telling: tuple[Server, Account]
) -> None:
    server, account = telling
    for _ in range(3):
        server.client("sts", account.root).get_caller_identity()
    until(lambda: counted(collector, "GetCallerIdentity") >= 3)
    requests = collector.metrics["broker_requests"].sum
    assert requests.is_monotonic
    assert requests.aggregation_temporality == AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    (durations,) = (
        point
        for point in collector.metrics["broker_request_duration_seconds"].histogram.data_points
        if {one.value.string_value for one in point.attributes} == {"sts"}
    )
    assert sum(durations.bucket_counts) == durations.count >= 3 and durations.sum > 0
    assert len(durations.bucket_counts) == len(durations.explicit_bounds) + 1
    assert not durations.HasField("min") and not durations.HasField("max")
    assert {"broker_build", "broker_worker_resident_memory_bytes"} <= set(collector.metrics)
    workers = collector.metrics["broker_worker_requests"].sum.data_points
    assert [one.attributes[0].value.string_value for one in workers] == ["0", "1"]


def counted(collector: Collector, operation: str) -> int:
    found = collector.metrics.get("broker_requests")
    points = [] if found is None else found.sum.data_points
    return int(
        sum(
            point.as_double
            for point in points
            if {"key": "operation", "value": operation}
            in [{"key": one.key, "value": one.value.string_value} for one in point.attributes]
        )
    )


def test_the_collector_gets_its_headers_and_the_log_does_not(
    collector: Collector, telling: tuple[Server, Account]
) -> None:
    server, _ = telling
    until(lambda: collector.headers)
    assert {one["x-api-key"] for one in collector.headers} == {SECRET}
    assert {one["x-tenant"] for one in collector.headers} == {"one,two"}
    assert {one["Content-Encoding"] for one in collector.headers} == {"gzip"}
    assert SECRET not in server.log


def test_a_collector_that_hangs_or_is_away_delays_no_answer_and_no_stop_and_a_stop_sends_the_rest(
    tmp_path: Path,
) -> None:
    with running(Collector()) as collector:
        told = {"BROKER_OTLP_ENDPOINT": collector.url, "BROKER_OTLP_METRICS_SECONDS": "1"}
        server = Server(tmp_path, f"sqlite:{tmp_path / 'broker.db'}", environment=told)
        server.start()
        for _ in range(20):
            _ask(server)
        server.stop()
        assert len([one for one in collector.spans if one.name == "sts/GetCallerIdentity"]) == 20
        assert counted(collector, "GetCallerIdentity") == 20
        collector.is_held.set()
        _ask_and_stop(server, 600)  # more than one call takes
    _ask_and_stop(server, 1)  # now there is no collector
    assert server.log.count("Traceback") == 0


def _ask_and_stop(server: Server, number: int) -> None:
    server.start()
    assert max(_ask(server) for _ in range(number)) < 1
    begun = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - begun < 5


def _ask(server: Server) -> float:
    """Seconds until the answer to a request that nobody signed."""
    host, _, port = server.api.partition(":")
    begun = time.monotonic()
    with closing(http.client.HTTPConnection(host, int(port), timeout=20)) as connection:
        connection.request("POST", "/", "Action=GetCallerIdentity&Version=2011-06-15", FORM)
        assert connection.getresponse().status == 403
    return time.monotonic() - begun
