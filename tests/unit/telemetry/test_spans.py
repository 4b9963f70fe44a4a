"""A request as a span, by the SDK's own exporter in memory."""

import logging
import threading
from collections.abc import Sequence

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from broker.telemetry.exporting import RareMessages
from broker.telemetry.spans import MOST_WAITING, RequestSpans
from broker.trace_context import enter_trace

NOW = 1_767_225_600.5


def recorded(*requests: tuple[str, str, str, float, str], sampled: float = 1.0) -> Sequence[ReadableSpan]:
    exporter = InMemorySpanExporter()
    spans = RequestSpans(exporter, Resource({}), sampled)
    for one in requests:
        spans.record(*one, NOW)
    spans.shutdown()
    return exporter.get_finished_spans()


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("", StatusCode.UNSET),
        ("AccessDenied", StatusCode.UNSET),
        ("404", StatusCode.UNSET),
        ("InternalFailure", StatusCode.ERROR),
        ("ServiceUnavailable", StatusCode.ERROR),
        ("503", StatusCode.ERROR),
    ],
)
def test_the_status_of_a_span_is_an_error_where_the_server_is_at_fault(code: str, status: StatusCode) -> None:
    (span,) = recorded(("iam", "GetUser", code, 0.25, ""))
    assert span.status.status_code is status
    expected = {"rpc.system": "aws-api", "rpc.service": "iam", "rpc.method": "GetUser"}
    assert dict(span.attributes or {}) == {**expected, **({"error.type": code} if code else {})}


def test_a_span_is_as_long_as_the_request_was() -> None:
    (span,) = recorded(("sts", "AssumeRole", "", 0.25, "id"))
    assert (span.start_time, span.end_time) == (int(NOW * 1e9) - 250_000_000, int(NOW * 1e9))


def test_what_could_not_be_named_is_unknown() -> None:
    (span,) = recorded(("", "", "MissingAction", 0.0, ""))
    assert span.name == "unknown/unknown"


def test_a_share_of_the_traces_is_sampled_by_their_ids_whatever_clients_say() -> None:
    try:
        sampled = []
        for flags in ("00", "01"):
            for low in ("0000000000000001", "ffffffffffffffff"):
                enter_trace([f"00-4bf92f3577b34da6{low}-00f067aa0ba902b7-{flags}"])
                sampled.append(len(recorded(("sts", "AssumeRole", "", 0.0, ""), sampled=0.5)))
        assert sampled == [1, 0, 1, 0]
    finally:
        enter_trace([])


def test_what_waits_for_a_collector_is_bounded_and_nobody_waits_for_room() -> None:
    class Stuck(SpanExporter):
        released = threading.Event()
        sent = 0

        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            self.released.wait(20)
            self.sent += len(spans)
            return SpanExportResult.SUCCESS

    stuck = Stuck()
    spans = RequestSpans(stuck, Resource({}), 1.0)
    for _ in range(MOST_WAITING + 2000):
        spans.record("sts", "AssumeRole", "", 0.0, "", NOW)
    stuck.released.set()
    spans.shutdown()
    assert MOST_WAITING <= stuck.sent <= MOST_WAITING + 512  # and the batch that was being sent


def test_a_message_of_the_sdk_is_logged_once_a_minute() -> None:
    rare = RareMessages()

    def is_logged(message: str, at: float) -> bool:
        line = logging.LogRecord("opentelemetry.x", logging.ERROR, "", 0, message, (at,), None)
        line.created = at
        return rare.filter(line)

    shown = [is_logged("failed: %s", NOW), is_logged("failed: %s", NOW + 59), is_logged("other %s", NOW + 59)]
    assert [*shown, is_logged("failed: %s", NOW + 60)] == [True, False, True, True]
