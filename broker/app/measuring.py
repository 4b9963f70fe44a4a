"""What a worker measures of itself every few seconds, for the metrics."""

import time
from collections.abc import Mapping

from broker.app.compose import Broker
from broker.credentials.keyrings import PARTITION
from broker.trail.delivery import DeliveryState
from broker.web.metrics import Metrics
from broker.web.server import Server
from broker.web.tls import Certificate


async def measure_state(
    broker: Broker, metrics: Metrics, servers: Mapping[str, object], certificate: Certificate | None
) -> None:
    """Connections, caches, ages of keys and certificate, and how long the store takes; raises EngineUnavailable."""
    for name, server in servers.items():
        if isinstance(server, Server):
            metrics.set_gauge("broker_connections", name, server.connections)
    rings = {"sessions": broker.keyrings.sessions(), "storage": broker.keyrings.storage()}
    for name, ring in rings.items():
        metrics.set_gauge("broker_key_created_timestamp_seconds", name, ring.primary.created_at)
    _measure_caches(broker, metrics)
    if certificate is not None:
        metrics.set_gauge("broker_certificate_expiry_timestamp_seconds", "", certificate.ends_at)
    begun = time.perf_counter()
    await broker.engine.fetch(PARTITION, ["sessions"])
    metrics.set_gauge("broker_store_latency_seconds", "", time.perf_counter() - begun)


def _measure_caches(broker: Broker, metrics: Metrics) -> None:
    weighed = {"records": broker.store.cache_size, **broker.gate.cache_sizes}
    for name, size in weighed.items():
        metrics.set_gauge("broker_cache_weight_bytes", name, size.weight)
    counted = {name: size.entries for name, size in weighed.items()} | broker.prover.cached_entries
    for name, entries in counted.items():
        metrics.set_gauge("broker_cache_entries", name, entries)


def note_deliveries(metrics: Metrics, state: DeliveryState) -> None:
    metrics.set_gauge("broker_trails_failing", "", state.failing)
    metrics.set_gauge("broker_trail_undelivered_bytes", "", state.undelivered)
