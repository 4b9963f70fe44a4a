"""Sending to the collector, from threads of their own: started with a worker, and given a moment when it stops."""

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics.export import MetricExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from prometheus_client import Metric

from broker.telemetry.metrics import metrics_data
from broker.telemetry.spans import RequestSpans
from broker.version import VERSION

_TIMEOUT_SECONDS = 5  # of one call of the collector, repetitions included
_STOPPING_SECONDS = 2.0
_WARNING_SECONDS = 60.0  # between two warnings of one kind


class Collector(msgspec.Struct, frozen=True):
    """Where the collector is: the URL above `v1/traces` and `v1/metrics`, and the headers that it wants.

    `certificate_authorities` is a file, or empty: those of the system.
    """

    endpoint: str
    headers: Mapping[str, str]
    certificate_authorities: str

    def options(self, signal: str) -> dict[str, Any]:
        """The arguments of an exporter of `signal`."""
        return {
            "endpoint": f"{self.endpoint.rstrip('/')}/v1/{signal}",
            "headers": dict(self.headers),
            "certificate_file": self.certificate_authorities or None,
            "timeout": _TIMEOUT_SECONDS,
            "compression": Compression.Gzip,
        }


def broker_resource(worker: int) -> Resource:
    """What all data is about; the variables OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES count more."""
    own = {
        "service.name": "broker",
        "service.version": VERSION,
        "service.instance.id": f"{socket.gethostname()}/{worker}",
        "host.name": socket.gethostname(),
    }
    return Resource(own).merge(OTELResourceDetector().detect())


class Telemetry:
    """What one worker sends; `sampled` is the share of traces from 0 to 1, 0 for no spans.

    `started_at` is when all counters were zero, in epoch seconds.
    """

    def __init__(self, collector: Collector, worker: int, sampled: float, started_at: float) -> None:
        _quieten()
        self._resource = broker_resource(worker)
        self._started_at = started_at
        self._metrics: MetricExporter = OTLPMetricExporter(**collector.options("metrics"))
        self._sending: threading.Thread | None = None
        exporter = OTLPSpanExporter(**collector.options("traces"))
        self.spans = RequestSpans(exporter, self._resource, sampled) if sampled else None

    def send_metrics(self, families: Iterable[Metric], now: float) -> None:
        """Send them from another thread; while it is still busy with earlier ones, these are dropped."""
        if self._sending is None or not self._sending.is_alive():
            data = metrics_data(families, self._resource, self._started_at, now)
            self._sending = _begin(lambda: self._metrics.export(data))

    def stop(self) -> None:
        """Send what waits; a collector that takes longer than two seconds does not get it. Blocks that long."""
        ending = [self._sending, None if self.spans is None else _begin(self.spans.shutdown)]
        deadline = time.monotonic() + _STOPPING_SECONDS
        for thread in ending:
            if thread is not None:
                thread.join(max(0.0, deadline - time.monotonic()))


def _begin(work: Callable[[], object]) -> threading.Thread:
    # A daemon: a process that ends does not wait for it.
    thread = threading.Thread(target=work, daemon=True, name="broker-telemetry")
    thread.start()
    return thread


class RareMessages(logging.Filter):
    """Lets a message through once a minute: a collector that is away would fill the log."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        key = f"{record.name} {record.msg}"
        if record.created - self._last.get(key, 0.0) < _WARNING_SECONDS:
            return False
        self._last[key] = record.created
        return True


def _quieten() -> None:
    """What the SDK says of failures, rarely. INVARIANT: its loggers take no filter of their parents."""
    for name in list(logging.root.manager.loggerDict):
        if name.startswith("opentelemetry."):
            logger = logging.getLogger(name)
            if not any(isinstance(one, RareMessages) for one in logger.filters):
                logger.addFilter(RareMessages())
