"""Runs a gateway: its listener, the tasks that keep its keys current, and its shutdown."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from socket import socket

from broker.access.prove import Prover
from broker.app.compose import Broker, open_broker, open_journal
from broker.app.repeating import repeat
from broker.app.serving import read_certificate
from broker.app.store_credentials import StoreCredentials, authorities_of
from broker.app.system import clock, entropy
from broker.app.trail_delivery import ignore_state, start_deliveries
from broker.audit.journal import Journal
from broker.config import Settings
from broker.gateway.address import KeyRules
from broker.gateway.exchange import Gateway
from broker.gateway.listener import GatewayListener
from broker.gateway.store import BackingStore, opened
from broker.sigv4.signing_keys import SigningKeys
from broker.sigv4.verify import S3_STREAMED
from broker.web.peers import find_source, parse_networks

_FLUSH_SECONDS, _USAGE_REST = 5.0, 60.0
_REFRESH_SECONDS = 15.0
_REOPEN_SECONDS = 1.0
_SYNC_SECONDS = 0.5
_CREDENTIALS_SECONDS = 5.0


async def serve_gateway(
    settings: Settings, sockets: Sequence[socket], is_ready: Callable[[], None], stop: asyncio.Event
) -> None:
    """Listen on `sockets` until `stop` is set, then end what was begun. The store of records must exist.

    Raises ConfigurationError, EngineUnavailable and OSError.
    """
    chosen = settings.gateway
    certificate = read_certificate(settings)
    credentials = StoreCredentials("gateway", chosen)
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
                )
            )
            gateway = make_gateway(broker, journal, backing)
            listener = GatewayListener(gateway, maximum_connections=chosen.maximum_connections)
            await listener.listen(sockets, None if certificate is None else certificate.context)
            schedule = _schedule(broker, journal, credentials)
            if certificate is not None:
                seconds = settings.tls.reload_seconds
                schedule["reading the certificate"] = (seconds, certificate.reload_if_changed)
            tasks = [asyncio.create_task(repeat(name, *one)) for name, one in schedule.items()]
            tasks += await start_deliveries(stack, broker, ignore_state)
            is_ready()
            await stop.wait()
            await listener.stop(settings.requests.graceful_shutdown_seconds)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        journal.close()


def make_gateway(broker: Broker, journal: Journal, backing: BackingStore) -> Gateway:
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
    broker: Broker, journal: Journal, credentials: StoreCredentials
) -> dict[str, tuple[float, Callable[[], Awaitable[object]]]]:
    return {
        "writing when keys were last used": (_FLUSH_SECONDS, partial(broker.store.flush_usage, _USAGE_REST)),
        "reading the keyrings": (_REFRESH_SECONDS, broker.keyrings.refresh),
        "reopening the journal": (_REOPEN_SECONDS, journal.reopen_if_moved),
        "syncing the journal": (_SYNC_SECONDS, journal.sync_pending),
        "reading the store's credentials": (_CREDENTIALS_SECONDS, credentials.reload_if_changed),
    }
