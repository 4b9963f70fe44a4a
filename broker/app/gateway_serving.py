"""Runs a gateway: its listener, the tasks that keep its keys current, and its shutdown."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from socket import socket

from broker.access.prove import Prover
from broker.app.background import RETENTION_SECONDS, remove_old_records
from broker.app.compose import Broker, open_broker, open_journal
from broker.app.measuring import measure_state, note_deliveries
from broker.app.repeating import attempt, repeat
from broker.app.serving import read_certificate, why_broker_is_not_ready
from broker.app.store_credentials import StoreCredentials, authorities_of
from broker.app.trail_delivery import start_deliveries
from broker.audit.journal import Journal
from broker.config import Settings
from broker.gateway.address import KeyRules
from broker.gateway.exchange import Gateway
from broker.gateway.listener import GatewayListener
from broker.gateway.readiness import why_store_is_not_ready
from broker.gateway.store import BackingStore, opened
from broker.sigv4.signing_keys import SigningKeys
from broker.sigv4.verify import S3_STREAMED
from broker.system import clock, entropy
from broker.web.health import operations_handler
from broker.web.host_names import parse_host_names
from broker.web.metrics import Metrics, WorkerSlot
from broker.web.peers import find_source, parse_networks
from broker.web.server import OPERATIONS_CONNECTIONS, Server
from broker.web.tls import Certificate

_FLUSH_SECONDS, _USAGE_REST = 5.0, 60.0
_REFRESH_SECONDS = 15.0
_REOPEN_SECONDS = 1.0
_SYNC_SECONDS = 0.5
_PUBLISH_SECONDS, _MEASURE_SECONDS = 1.0, 5.0
_LAST_SCRAPE_SECONDS = 1.0
_CREDENTIALS_SECONDS = 5.0


async def serve_gateway(
    settings: Settings,
    sockets: Mapping[str, Sequence[socket]],
    is_ready: Callable[[], None],
    stop: asyncio.Event,
    slot: WorkerSlot,
    reload: asyncio.Event,
) -> None:
    """Listen on `sockets` until `stop` is set, then end what was begun. The store of records must exist.

    Certificate and credentials are read again at once when `reload` is set. Raises ConfigurationError,
    EngineUnavailable and OSError.
    """
    chosen = settings.gateway
    certificate = read_certificate(settings)
    credentials = StoreCredentials("gateway", chosen)
    metrics = Metrics(slot)
    journal = open_journal(settings.audit)
    try:
        async with AsyncExitStack() as stack:
            broker = await stack.enter_async_context(open_broker(settings, may_create=False))
            backing = await stack.enter_async_context(
                opened(
                    chosen.store_url,
                    chosen.region,
                    lambda: credentials.current,
                    clock,
                    most_connections=chosen.maximum_connections,
                    tls=authorities_of("gateway", chosen),
                    took=metrics.count_store_answer,
                )
            )
            broker.gate.count_denial = metrics.count_denial
            gateway = make_gateway(broker, journal, backing, metrics)
            listener = GatewayListener(gateway, maximum_connections=chosen.maximum_connections)
            await listener.listen(sockets["gateway"], None if certificate is None else certificate.context)
            operations = _operations_server(broker, gateway, metrics, stop)
            await operations.listen(sockets.get("operations", []))
            schedule = _schedule(broker, journal, credentials, metrics, certificate)
            tasks = [asyncio.create_task(repeat(name, *one)) for name, one in schedule.items()]
            tasks += await start_deliveries(stack, broker, partial(note_deliveries, metrics))
            tasks.append(asyncio.create_task(_reload_when_asked(reload, credentials, certificate)))
            is_ready()
            await stop.wait()
            await listener.stop(settings.requests.graceful_shutdown_seconds)
            await operations.stop(_LAST_SCRAPE_SECONDS)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        journal.close()


def _operations_server(broker: Broker, gateway: Gateway, metrics: Metrics, stop: asyncio.Event) -> Server:
    async def why_not_ready() -> str:
        why_not = await why_broker_is_not_ready(broker, gateway.journal, stop)
        return why_not or await why_store_is_not_ready(gateway.backing)

    names = parse_host_names(
        [*broker.settings.listen.host_names, broker.settings.gateway.operations.rpartition(":")[0]]
    )
    handler = operations_handler(metrics, why_not_ready, names)
    return Server(handler, clock, maximum_connections=OPERATIONS_CONNECTIONS, name="operations")


async def _reload_when_asked(
    asked: asyncio.Event, credentials: StoreCredentials, certificate: Certificate | None
) -> None:
    while True:
        await asked.wait()
        asked.clear()
        await attempt("reading the store's credentials", credentials.reload_if_changed, "")
        if certificate is not None:
            await attempt("reading the certificate", certificate.reload_if_changed, "")


def make_gateway(broker: Broker, journal: Journal, backing: BackingStore, metrics: Metrics) -> Gateway:
    settings, chosen = broker.settings, broker.settings.gateway
    return Gateway(
        clock=clock,
        entropy=entropy,
        store=broker.store,
        gate=broker.gate,
        prover=Prover(broker.keyrings.sessions, SigningKeys(), S3_STREAMED),
        journal=journal,
        quotas=settings.quotas,
        backing=backing,
        measures=metrics,
        rules=KeyRules(
            tuple(domain.lower() for domain in chosen.domains),
            chosen.relative_keys,
            frozenset(chosen.reserved_bucket_names),
        ),
        region=chosen.region,
        source_of=partial(find_source, trusted=parse_networks(settings.requests.trusted_proxies)),
        service_principals=frozenset(settings.policies.service_principals),
        refused_operations=frozenset(chosen.refused_operations),
        journals_data=chosen.journal_data_events,
        allows_anonymous=chosen.anonymous,
        fetches_tags=chosen.existing_object_tags,
        forwards_trailers=chosen.forward_trailers,
    )


def _schedule(
    broker: Broker,
    journal: Journal,
    credentials: StoreCredentials,
    metrics: Metrics,
    certificate: Certificate | None,
) -> dict[str, tuple[float, Callable[[], Awaitable[object]]]]:
    schedule: dict[str, tuple[float, Callable[[], Awaitable[object]]]] = {
        "writing when keys were last used": (_FLUSH_SECONDS, partial(broker.store.flush_usage, _USAGE_REST)),
        "reading the keyrings": (_REFRESH_SECONDS, broker.keyrings.refresh),
        "reopening the journal": (_REOPEN_SECONDS, journal.reopen_if_moved),
        "syncing the journal": (_SYNC_SECONDS, journal.sync_pending),
        "reading the store's credentials": (_CREDENTIALS_SECONDS, credentials.reload_if_changed),
        "publishing the metrics": (_PUBLISH_SECONDS, metrics.publish),
        "measuring": (_MEASURE_SECONDS, partial(measure_state, broker, metrics, {}, certificate)),
    }
    if broker.settings.audit.keep_days:
        remove = partial(remove_old_records, broker.settings.audit)
        schedule["removing old files of the journal"] = (RETENTION_SECONDS, remove)
    if certificate is not None:
        schedule["reading the certificate"] = (
            broker.settings.tls.reload_seconds,
            certificate.reload_if_changed,
        )
    return schedule
