"""A server span for each request that was answered (semantic conventions for RPC, `rpc.system` aws-api)."""

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from broker.trace_context import current_trace
from broker.version import VERSION

# In spans, each about a kilobyte of memory: what waits, and what one call sends.
MOST_WAITING, _MOST_AT_ONCE = 4096, 512
_DELAY_MILLISECONDS = 2000
# Of the codes of the wire protocols and the statuses of the metadata service: those that are faults of the server.
_FAULTS = frozenset(("InternalFailure", "ServiceUnavailable", "500", "503"))
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


class RequestSpans:
    """The spans of one worker. `sampled` is the share of traces that is sent, from 0 to 1.

    A trace is sampled by its id alone. What a client's `traceparent` says about it is a claim, and decides nothing.
    """

    def __init__(self, exporter: SpanExporter, resource: Resource, sampled: float) -> None:
        self._provider = TracerProvider(TraceIdRatioBased(sampled), resource, shutdown_on_exit=False)
        batches = BatchSpanProcessor(exporter, MOST_WAITING, _DELAY_MILLISECONDS, _MOST_AT_ONCE)
        self._provider.add_span_processor(batches)
        self._tracer = self._provider.get_tracer("broker", VERSION)

    def record(
        self, service: str, operation: str, code: str, seconds: float, request_id: str, ended_at: float
    ) -> None:
        """The span of a request that this task has answered; `ended_at` in epoch seconds.

        INVARIANT: the three names come from models and tables only, as those of the metrics do.
        """
        attributes = {"rpc.system": "aws-api", "rpc.service": service, "rpc.method": operation}
        if request_id:
            attributes["aws.request_id"] = request_id
        if code:
            attributes["error.type"] = code
        end = int(ended_at * 1e9)
        span = self._tracer.start_span(
            f"{service or 'unknown'}/{operation or 'unknown'}",
            context=set_span_in_context(NonRecordingSpan(_parent())),
            kind=SpanKind.SERVER,
            attributes=attributes,
            start_time=end - int(seconds * 1e9),
        )
        if code in _FAULTS:
            span.set_status(Status(StatusCode.ERROR))
        span.end(end)

    def shutdown(self) -> None:
        """Send what waits; this may take as long as the collector does."""
        self._provider.shutdown()


def _parent() -> SpanContext:
    """The span that the client named; an invalid one, which begins a trace, where it named none."""
    trace = current_trace()
    if not trace:
        return SpanContext(0, 0, is_remote=True)
    return SpanContext(
        int(trace["trace_id"], 16), int(trace["parent_id"], 16), is_remote=True, trace_flags=_SAMPLED
    )
