"""Runs a broker: its listeners, its background tasks, and its shutdown."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from socket import socket
from ssl import SSLContext
from typing import TYPE_CHECKING, Protocol

import msgspec

from broker.access.role_index_upkeep import index_missing_roles
from broker.app.compose import Broker, open_broker, open_journal
from broker.app.forwarding import make_forwarding, make_store_rules
from broker.app.measuring import measure_state
from broker.app.operator_state import read_operator_state
from broker.app.reloading import Reloading
from broker.app.repeating import attempt, repeat
from broker.app.telemetry import SentMetrics, make_metrics
from broker.audit.history import EventHistory
from broker.audit.journal import Journal, JournalUnavailable
from broker.audit.reader import JournalReader
from broker.causes import explained
from broker.config import ConfigurationError, Settings, parse_address
from broker.config.addresses import portal_url_of
from broker.config.exposure import is_loopback
from broker.config.settings import listener_addresses
from broker.credentials.issuer_keys import rotate_issuers
from broker.operation import model
from broker.protocol.model import VERSIONS
from broker.storage.engine import Engine, EngineUnavailable
from broker.storage.store import Store
from broker.system import clock, entropy
from broker.web.authorization import redirect_to_portal
from broker.web.authzen import AUTHZEN_PATHS, answer_authzen
from broker.web.cross_origin import open_to_pages
from broker.web.dependencies import Dependencies
from broker.web.health import operations_handler
from broker.web.host_names import is_host_name, parse_host_names
from broker.web.http import Handler, Request, Response
from broker.web.issuers import answer_issuer
from broker.web.metadata import MetadataHandler
from broker.web.metrics import Metrics, WorkerSlot
from broker.web.peers import find_source, parse_networks
from broker.web.requests import answer_request
from broker.web.role_sessions import RoleSessions
from broker.web.server import OPERATIONS_CONNECTIONS, PORTAL_CONNECTIONS, Server, most_connections
from broker.web.stores import StoreRules, answer_store
from broker.web.tls import Certificate
from broker.web.token_endpoint import answer_token_request

if TYPE_CHECKING:
    from broker.portal.listener import PortalListener

LISTENERS = ("api", "metadata", "metadata_https", "operations", "portal", "forward")
TLS_LISTENERS = frozenset(("api", "metadata_https", "portal"))

# How often the last uses of keys are written, and how long a key's last use is not written again.
_FLUSH_SECONDS, _USAGE_REST = 5.0, 60.0
_REFRESH_SECONDS = 15.0
_ROTATION_SECONDS = 300.0
_ISSUERS_SECONDS = 900.0
_ROLE_INDEX_SECONDS, _RETRY_SECONDS = 3600.0, 60.0
_PUBLISH_SECONDS = 1.0
_MEASURE_SECONDS = 5.0
_REOPEN_SECONDS = 1.0
_RECORD_SECONDS = 0.5
_SYNC_SECONDS = 0.5  # with half a second for the disk, a record is on disk within a second

_logger = logging.getLogger("broker.app")


class Listener(Protocol):
    """What is started with the others, and stopped with them."""

    async def listen(self, sockets: Sequence[socket], context: SSLContext | None = None) -> None: ...

    async def stop(self, grace: float) -> None: ...

    async def ends_within(self, seconds: float) -> bool: ...


_NO_LISTENERS: Mapping[str, Listener] = {}


def make_dependencies(broker: Broker, journal: Journal, metrics: Metrics) -> Dependencies:
    settings, path = broker.settings, Path(broker.settings.audit.path)
    broker.gate.count_denial = metrics.count_denial
    return Dependencies(
        clock=clock,
        timer=time.perf_counter,
        entropy=entropy,
        store=broker.store,
        prover=broker.prover,
        gate=broker.gate,
        mint=msgspec.structs.replace(broker.mint, count=metrics.count_session),
        journal=journal,
        metrics=metrics,
        quotas=settings.quotas,
        federation=broker.federation,
        passwords=broker.passwords,
        services={model(name).signing_name: model(name) for name in VERSIONS},
        trusted_proxies=parse_networks(settings.requests.trusted_proxies),
        host_names=parse_host_names(host_names(settings)),
        service_principals=frozenset(settings.policies.service_principals),
        portal_url=portal_url_of(settings),
        accounts_take_names=settings.authorize.accounts_take_names,
        history=EventHistory(JournalReader(path, time.perf_counter)) if path.is_file() else None,
    )


def host_names(settings: Settings) -> list[str]:
    """The names in the settings, and the hosts of the listeners whose requests have no signature."""
    unsigned = [
        address
        for name in ("metadata", "metadata_https", "operations")
        for address in listener_addresses(settings.listen, name)
    ]
    at = [parse_address(text, "listen")[0] for text in unsigned]
    return [*settings.listen.host_names, *at]


def make_metadata_handler(broker: Broker, dependencies: Dependencies) -> MetadataHandler:
    chosen = broker.settings.metadata
    return MetadataHandler(
        dependencies,
        broker.keyrings.sessions,
        loopback_instance=chosen.loopback_instance,
        session_seconds=chosen.session_seconds,
        requests_per_second=chosen.requests_per_second,
    )


async def serve(
    settings: Settings,
    sockets: Mapping[str, Sequence[socket]],
    is_ready: Callable[[], None],
    stop: asyncio.Event,
    slot: WorkerSlot = WorkerSlot(),  # noqa: B008  frozen
    *,
    own: Mapping[str, Listener] = _NO_LISTENERS,
    reloading: Reloading | None = None,
) -> None:
    """Listen on the sockets of `LISTENERS`, and those of `own`, until `stop` is set, then finish requests in progress.

    The store and its keys must exist. `is_ready` is called when every listener is open. Raises ConfigurationError,
    EngineUnavailable and OSError.
    """
    certificate = read_certificate(settings)
    servers: Mapping[str, Listener] = {}
    journal = open_journal(settings.audit)
    try:
        # Store and keys were created before the first worker. If they are missing, they were removed: create no others.
        async with open_broker(settings, may_create=False) as broker:
            dependencies = make_dependencies(broker, journal, make_metrics(slot, settings.otlp))
            metadata = make_metadata_handler(broker, dependencies)
            servers = {**_make_servers(broker, dependencies, metadata, certificate, stop), **own}
            for name, server in servers.items():
                has_tls = name in TLS_LISTENERS or (
                    name == "forward" and not is_loopback(settings.listen.forward)
                )
                tls = certificate.context if certificate is not None and has_tls else None
                await server.listen(sockets[name], tls)
            logged: set[str] = set()
            await _warn_of_weaknesses(broker.engine, logged)
            await dependencies.metrics.publish()  # replaces the numbers of a dead worker in this slot
            tasks = _start_tasks(broker, dependencies, metadata, certificate, logged, slot)
            measure = partial(measure_state, broker, dependencies.metrics, servers, certificate)
            tasks.append(asyncio.create_task(repeat("measuring the store", _MEASURE_SECONDS, measure)))
            if reloading is not None:
                tasks.append(asyncio.create_task(reloading.run(dependencies, certificate)))
            is_ready()
            await stop.wait()
            grace = settings.requests.graceful_shutdown_seconds
            await asyncio.gather(*(server.stop(grace) for server in servers.values()))
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if isinstance(dependencies.metrics, SentMetrics):
                await dependencies.metrics.stop()
    except EngineUnavailable as error:
        if not stop.is_set():
            raise
        _logger.warning("stopped while the store is away: %s", error)
    finally:
        # The store is closed, so commits in progress have ended or failed: give their requests time to write records.
        await asyncio.gather(*(server.ends_within(_RECORD_SECONDS) for server in servers.values()))
        journal.close()


def _start_tasks(
    broker: Broker,
    dependencies: Dependencies,
    metadata: MetadataHandler,
    certificate: Certificate | None,
    logged: set[str],
    slot: WorkerSlot,
) -> list[asyncio.Task[None]]:
    """Start the background tasks; `logged` has the store's weaknesses that were logged already."""
    schedule: list[tuple[str, float, Callable[[], Awaitable[object]]]] = [
        ("writing when keys were last used", _FLUSH_SECONDS, partial(broker.store.flush_usage, _USAGE_REST)),
        ("listing the sessions that were minted", _FLUSH_SECONDS, broker.session_list.flush),
        ("reading the keyrings", _REFRESH_SECONDS, broker.keyrings.refresh),
        ("renewing the metadata's credentials", _REFRESH_SECONDS, metadata.refresh),
        ("rotating the keyrings", _ROTATION_SECONDS, broker.keyrings.rotate_when_due),
        (
            "asking for the store's settings",
            _ROTATION_SECONDS,
            partial(_warn_of_weaknesses, broker.engine, logged),
        ),
        ("making the issuers' next keys", _ISSUERS_SECONDS, partial(_rotate_issuers, broker)),
        ("publishing the metrics", _PUBLISH_SECONDS, dependencies.metrics.publish),
        ("reopening the journal", _REOPEN_SECONDS, dependencies.journal.reopen_if_moved),
        ("syncing the journal", _SYNC_SECONDS, dependencies.journal.sync_pending),
    ]
    if certificate is not None:
        seconds = broker.settings.tls.reload_seconds
        schedule.append(("reading the certificate", seconds, certificate.reload_if_changed))
    if isinstance(dependencies.metrics, SentMetrics) and dependencies.metrics.send_seconds:
        schedule.append(("sending the metrics", dependencies.metrics.send_seconds, dependencies.metrics.send))
    tasks = [asyncio.create_task(repeat(*one)) for one in schedule]
    if slot.worker == 0:  # one worker of each node: it is the same work for all
        tasks.append(asyncio.create_task(_keep_role_index(broker.store)))
    return tasks


def _make_api(dependencies: Dependencies, role_sessions: RoleSessions, stores: StoreRules) -> Handler:
    async def answer(request: Request) -> Response:
        if (redirect := redirect_to_portal(dependencies, request)) is not None:
            return redirect
        if request.path.startswith(AUTHZEN_PATHS):
            answered = await answer_authzen(dependencies, role_sessions, request)
            if answered is not None:
                return answered
        if (answered := await answer_store(dependencies, stores, request)) is not None:
            return answered
        of_issuer = answer_token_request if request.method == "POST" else answer_issuer
        return await of_issuer(dependencies, request) or await answer_request(dependencies, request)

    return open_to_pages(answer)


def _make_servers(
    broker: Broker,
    dependencies: Dependencies,
    metadata: MetadataHandler,
    certificate: Certificate | None,
    stop: asyncio.Event,
) -> Mapping[str, Listener]:
    """The server of each of LISTENERS; none of the portal where it has no address."""

    role_sessions = RoleSessions()

    async def why_not_ready() -> str:
        if stop.is_set():
            return "stopping"
        try:
            await broker.keyrings.refresh()
            await dependencies.journal.reopen_if_moved()
            dependencies.journal.catch_up()
        except EngineUnavailable as error:
            return f"the store is out of reach: {error}"
        except JournalUnavailable as error:
            return f"the journal cannot be written: {error}"
        return ""

    maximum_body = broker.settings.requests.maximum_body_bytes
    others = OPERATIONS_CONNECTIONS + (PORTAL_CONNECTIONS if broker.settings.listen.portal else 0)
    most = most_connections(broker.settings.listen.maximum_connections, others)
    operations = operations_handler(dependencies.metrics, why_not_ready, dependencies.host_names)
    others_of_settings: dict[str, Listener] = {}
    if broker.settings.listen.metadata_https:
        others_of_settings["metadata_https"] = Server(
            metadata.answer, clock, maximum_connections=most, name="metadata_https"
        )
    portal = None
    if broker.settings.listen.portal:
        portal = _make_portal(broker, dependencies, certificate)
        others_of_settings["portal"] = portal
    if broker.settings.listen.forward:
        forwarding = make_forwarding(broker.settings, dependencies, role_sessions, portal)
        others_of_settings["forward"] = Server(
            forwarding.answer, clock, maximum_body=maximum_body, maximum_connections=most, name="forward"
        )
    return {
        "api": Server(
            _make_api(dependencies, role_sessions, make_store_rules(broker.settings)),
            clock,
            maximum_body=maximum_body,
            maximum_connections=most,
            name="api",
        ),
        "metadata": Server(metadata.answer, clock, maximum_connections=most, name="metadata"),
        "operations": Server(
            operations, clock, maximum_connections=OPERATIONS_CONNECTIONS, name="operations"
        ),
        **others_of_settings,
    }


def _make_portal(
    broker: Broker, dependencies: Dependencies, certificate: Certificate | None
) -> "PortalListener":
    # Here, for a broker without a portal needs neither aiohttp's server nor jinja2.
    from broker.portal.dependencies import Portal
    from broker.portal.listener import PortalListener

    chosen = broker.settings.portal
    portal = Portal(
        tools=dependencies,
        timer=dependencies.timer,
        count=dependencies.metrics.count,
        source_of=partial(find_source, trusted=dependencies.trusted_proxies),
        is_host=partial(is_host_name, names=dependencies.host_names),
        url=chosen.url,
        api_url=chosen.api_url,
        help_text=chosen.help_text,
        sso_region=chosen.sso_region,
        idle_seconds=chosen.idle_minutes * 60,
        session_seconds=chosen.session_hours * 3600,
        passkey_user_verification=chosen.passkey_user_verification,
        operator_account=chosen.operator_account,
        read_state=partial(
            read_operator_state, broker, dependencies.journal, dependencies.metrics, certificate
        ),
    )
    return PortalListener(portal, maximum_connections=PORTAL_CONNECTIONS)


async def _rotate_issuers(broker: Broker) -> None:
    if broker.federation.issuer.url:
        now = await broker.keyrings.rotation_time()
        await rotate_issuers(broker.store, broker.federation.issuer.schedule, now, entropy)


async def _warn_of_weaknesses(engine: Engine, logged: set[str]) -> None:
    """Log which guarantees the settings of the engine's server take away, once each; not every engine can tell."""
    weaknesses = getattr(engine, "weaknesses", None)
    found = set(await weaknesses()) if weaknesses is not None else set()
    for weakness in found - logged:
        _logger.warning("the store is weaker than it should be: %s", weakness)
    logged.clear()
    logged.update(found)


def read_certificate(settings: Settings) -> Certificate | None:
    """The certificate of the API listener; None where none is set."""
    if not settings.tls.certificate_file:
        return None
    try:
        certificate = Certificate(settings.tls.certificate_file, settings.tls.key_file)
    except OSError as error:
        raise ConfigurationError(f"tls: the certificate cannot be used: {explained(error)}") from None
    authorities = settings.client_certificates.certificate_authorities
    if authorities:
        try:
            certificate.ask_clients(authorities)
        except OSError as error:
            name = "client_certificates.certificate_authorities"
            raise ConfigurationError(f"{name}: {authorities} cannot be used: {explained(error)}") from None
    return certificate


async def _keep_role_index(store: Store) -> None:
    """At once: until a store of an earlier version is indexed, pages look through its roles one by one."""
    failure = ""
    while True:
        failure = await attempt(
            "indexing the trust policies of roles", partial(index_missing_roles, store), failure
        )
        await asyncio.sleep(_RETRY_SECONDS if failure else _ROLE_INDEX_SECONDS)
