"""Reads what the operator's page of the portal shows of this node."""

import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING

from broker.app.compose import Broker
from broker.audit.journal import Journal, JournalUnavailable
from broker.credentials.keyrings import PARTITION
from broker.sealing.key import FOREVER
from broker.version import VERSION
from broker.web.metrics import Metrics
from broker.web.tls import Certificate

if TYPE_CHECKING:
    from broker.portal.operator_state import OperatorState, ShownSealingKey, WorkerState


async def read_operator_state(
    broker: Broker, journal: Journal, metrics: Metrics, certificate: Certificate | None
) -> "OperatorState":
    """Raises EngineUnavailable."""
    from broker.portal.operator_state import OperatorState

    begun = time.perf_counter()
    await broker.engine.fetch(PARTITION, ["sessions"])
    took = time.perf_counter() - begun
    weaknesses = getattr(broker.engine, "weaknesses", None)
    path = Path(broker.settings.audit.path)
    return OperatorState(
        version=VERSION,
        python=platform.python_version(),
        workers=_workers(metrics),
        engine=broker.settings.store.url.reveal().partition(":")[0],  # the rest may hold a password
        store_seconds=took,
        weaknesses=tuple(await weaknesses()) if weaknesses is not None else (),
        keys=_keys(broker),
        certificate_ends_at=certificate.ends_at if certificate is not None else None,
        journal_path=str(path),
        journal_bytes=_size_of(path),
        journal_fault=_fault_of(journal),
    )


def _workers(metrics: Metrics) -> "tuple[WorkerState, ...]":
    from broker.portal.operator_state import WorkerState

    return tuple(
        WorkerState(one.worker, one.pid, one.restarts, one.silence, one.processor, one.memory)
        for one in metrics.snapshots()
    )


def _keys(broker: Broker) -> "tuple[ShownSealingKey, ...]":
    from broker.portal.operator_state import ShownSealingKey

    rings = {"sessions": broker.keyrings.sessions(), "storage": broker.keyrings.storage()}
    return tuple(
        ShownSealingKey(
            name,
            key.id.hex(),
            key.state.value,
            key.created_at,
            key.opens_until if key.opens_until != FOREVER else None,
        )
        for name, ring in rings.items()
        for key in ring.keys
    )


def _size_of(path: Path) -> int | None:
    """None where the journal is no file but a pipe or a device."""
    return path.stat().st_size if path.is_file() else None


def _fault_of(journal: Journal) -> str:
    try:
        journal.catch_up()
    except JournalUnavailable as error:
        return str(error)
    return ""
