"""What a worker sends to the collector of `otlp.endpoint`; nothing of OpenTelemetry is loaded where that is empty."""

import asyncio
from typing import TYPE_CHECKING

from broker.config.otlp_faults import headers_of
from broker.config.settings import Otlp
from broker.system import clock
from broker.web.metrics import Metrics, WorkerSlot

if TYPE_CHECKING:
    from broker.telemetry.exporting import Telemetry


class SentMetrics(Metrics):
    """The counters of a worker whose requests are sent as spans, too; worker 0 sends the counters of its node.

    `send_seconds` is how often it does; 0: never.
    """

    def __init__(self, slot: WorkerSlot, telemetry: "Telemetry", metrics_seconds: int) -> None:
        super().__init__(slot)
        self._telemetry = telemetry
        self.send_seconds = metrics_seconds if slot.worker == 0 else 0

    def count(self, service: str, operation: str, code: str, seconds: float, request_id: str = "") -> None:
        super().count(service, operation, code, seconds)
        if self._telemetry.spans is not None:
            self._telemetry.spans.record(service, operation, code, seconds, request_id, clock())

    async def send(self) -> None:
        self._telemetry.send_metrics(self.families(), clock())

    async def stop(self) -> None:
        """Send what waits, within two seconds, and the metrics a last time."""
        if self.send_seconds:
            await self.send()
        await asyncio.to_thread(self._telemetry.stop)


def make_metrics(slot: WorkerSlot, otlp: Otlp) -> Metrics:
    if not otlp.endpoint:
        return Metrics(slot)
    from broker.telemetry.exporting import Collector, Telemetry

    collector = Collector(otlp.endpoint, headers_of(otlp), otlp.certificate_authorities)
    started_at = clock() - slot.age
    telemetry = Telemetry(collector, slot.worker, otlp.sampled_percent / 100, started_at)
    return SentMetrics(slot, telemetry, otlp.metrics_seconds)
