"""The background tasks of a worker: what is done every so often, whatever the requests are."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path

from broker.access.role_index_upkeep import index_missing_roles
from broker.app.compose import Broker
from broker.app.measuring import measure_state
from broker.app.repeating import attempt, repeat
from broker.app.telemetry import SentMetrics
from broker.audit.retention import remove_expired
from broker.config import Audit
from broker.credentials.issuer_keys import rotate_issuers
from broker.storage.engine import Engine
from broker.storage.store import Store
from broker.system import clock, entropy
from broker.web.dependencies import Dependencies
from broker.web.metadata import MetadataHandler
from broker.web.metrics import WorkerSlot
from broker.web.tls import Certificate

# How often the last uses of keys are written, and how long a key's last use is not written again.
_FLUSH_SECONDS, _USAGE_REST = 5.0, 60.0
_REFRESH_SECONDS = 15.0
_ROTATION_SECONDS = 300.0
_ISSUERS_SECONDS = 900.0
RETENTION_SECONDS = 600.0
_ROLE_INDEX_SECONDS, _RETRY_SECONDS = 3600.0, 60.0
_PUBLISH_SECONDS = 1.0
_MEASURE_SECONDS = 5.0
_REOPEN_SECONDS = 1.0
_SYNC_SECONDS = 0.5  # with half a second for the disk, a record is on disk within a second

_logger = logging.getLogger("broker.app")


_Schedule = list[tuple[str, float, Callable[[], Awaitable[object]]]]


async def start_background(
    broker: Broker,
    dependencies: Dependencies,
    metadata: MetadataHandler,
    certificate: Certificate | None,
    servers: Mapping[str, object],
    slot: WorkerSlot,
) -> list[asyncio.Task[None]]:
    """Start the tasks, which end when they are cancelled; `servers` are counted. Raises EngineUnavailable."""
    logged: set[str] = set()  # the store's weaknesses that were logged already
    await _warn_of_weaknesses(broker.engine, logged)
    await dependencies.metrics.publish()  # replaces the numbers of a dead worker in this slot
    measure = partial(measure_state, broker, dependencies.metrics, servers, certificate)
    warn = partial(_warn_of_weaknesses, broker.engine, logged)
    schedule: _Schedule = [
        *_of_store(broker),
        *_of_dependencies(dependencies),
        ("renewing the metadata's credentials", _REFRESH_SECONDS, metadata.refresh),
        ("asking for the store's settings", _ROTATION_SECONDS, warn),
        ("measuring the store", _MEASURE_SECONDS, measure),
    ]
    if broker.settings.audit.keep_days:
        remove = partial(remove_old_records, broker.settings.audit)
        schedule.append(("removing old files of the journal", RETENTION_SECONDS, remove))
    if certificate is not None:
        seconds = broker.settings.tls.reload_seconds
        schedule.append(("reading the certificate", seconds, certificate.reload_if_changed))
    tasks = [asyncio.create_task(repeat(*one)) for one in schedule]
    if slot.worker == 0:  # one worker of each node: it is the same work for all
        tasks.append(asyncio.create_task(_keep_role_index(broker.store)))
    return tasks


def _of_store(broker: Broker) -> _Schedule:
    return [
        ("writing when keys were last used", _FLUSH_SECONDS, partial(broker.store.flush_usage, _USAGE_REST)),
        ("listing the sessions that were minted", _FLUSH_SECONDS, broker.session_list.flush),
        ("reading the keyrings", _REFRESH_SECONDS, broker.keyrings.refresh),
        ("rotating the keyrings", _ROTATION_SECONDS, broker.keyrings.rotate_when_due),
        ("making the issuers' next keys", _ISSUERS_SECONDS, partial(_rotate_issuers, broker)),
    ]


def _of_dependencies(dependencies: Dependencies) -> _Schedule:
    journal, metrics = dependencies.journal, dependencies.metrics
    schedule: _Schedule = [
        ("publishing the metrics", _PUBLISH_SECONDS, metrics.publish),
        ("reopening the journal", _REOPEN_SECONDS, journal.reopen_if_moved),
        ("syncing the journal", _SYNC_SECONDS, journal.sync_pending),
    ]
    if isinstance(metrics, SentMetrics) and metrics.send_seconds:
        schedule.append(("sending the metrics", metrics.send_seconds, metrics.send))
    return schedule


async def _rotate_issuers(broker: Broker) -> None:
    if broker.federation.issuer.url:
        now = await broker.keyrings.rotation_time()
        await rotate_issuers(broker.store, broker.federation.issuer.schedule, now, entropy)


async def remove_old_records(audit: Audit) -> None:
    for one in await asyncio.to_thread(remove_expired, Path(audit.path), clock(), audit.keep_days):
        _logger.info("%s was older than audit.keep_days: removed", one)


async def _warn_of_weaknesses(engine: Engine, logged: set[str]) -> None:
    """Log which guarantees the settings of the engine's server take away, once each; not every engine can tell."""
    weaknesses = getattr(engine, "weaknesses", None)
    found = set(await weaknesses()) if weaknesses is not None else set()
    for weakness in found - logged:
        _logger.warning("the store is weaker than it should be: %s", weakness)
    logged.clear()
    logged.update(found)


async def _keep_role_index(store: Store) -> None:
    """At once: until a store of an earlier version is indexed, pages look through its roles one by one."""
    failure = ""
    while True:
        failure = await attempt(
            "indexing the trust policies of roles", partial(index_missing_roles, store), failure
        )
        await asyncio.sleep(_RETRY_SECONDS if failure else _ROLE_INDEX_SECONDS)
