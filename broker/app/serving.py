"""Runs a broker: its listeners, its background tasks, and its shutdown."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from socket import socket
from ssl import SSLContext
from typing import TYPE_CHECKING, Protocol

import msgspec

from broker.app.background import start_background
from broker.app.check_processes import CheckProcesses
from broker.app.compose import Broker, open_broker, open_journal
from broker.app.forwarding import make_forwarding, make_store_rules
from broker.app.measuring import note_deliveries
from broker.app.operator_state import read_operator_state
from broker.app.reloading import Reloading
from broker.app.telemetry import SentMetrics, make_metrics
from broker.app.trail_delivery import delivers_trails, start_deliveries
from broker.audit.history import EventHistory
from broker.audit.journal import Journal, JournalUnavailable
from broker.audit.reader import JournalReader
from broker.causes import explained
from broker.config import ConfigurationError, Settings, parse_address
from broker.config.addresses import portal_url_of
from broker.config.exposure import is_loopback
from broker.config.settings import listener_addresses
from broker.operation import model
from broker.protocol.model import VERSIONS
from broker.storage.engine import EngineUnavailable
from broker.system import clock, entropy
from broker.web.authorization import redirect_to_portal
from broker.web.authzen import AUTHZEN_PATHS, answer_authzen
from broker.web.cross_origin import open_to_pages
from broker.web.dependencies import Dependencies
from broker.web.forward import Forwarding
from broker.web.health import operations_handler
from broker.web.host_names import is_host_name, parse_host_names
from broker.web.http import Handler, Request, Response
from broker.web.issuers import answer_issuer
from broker.web.metadata import MetadataHandler
from broker.web.metrics import Metrics, WorkerSlot
from broker.web.peers import find_source, parse_networks
from broker.web.requests import answer_request
from broker.web.role_sessions import RoleSessions
from broker.web.scim import SCIM_PATH, answer_scim
from broker.web.server import OPERATIONS_CONNECTIONS, PORTAL_CONNECTIONS, Server, most_connections
from broker.web.stores import StoreRules, answer_store
from broker.web.tls import Certificate
from broker.web.token_endpoint import answer_token_request

if TYPE_CHECKING:
    from broker.portal.listener import PortalListener

LISTENERS = ("api", "metadata", "metadata_https", "operations", "portal", "forward", "forward_grpc")
TLS_LISTENERS = frozenset(("api", "metadata_https", "portal"))

_RECORD_SECONDS = 0.5

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
        delivers_trails=delivers_trails(settings),
        check_policy=CheckProcesses(),
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
        async with AsyncExitStack() as stack:
            broker = await stack.enter_async_context(open_broker(settings, may_create=False))
            dependencies = make_dependencies(broker, journal, make_metrics(slot, settings.otlp))
            metadata = make_metadata_handler(broker, dependencies)
            servers = {**_make_servers(broker, dependencies, metadata, certificate, stop), **own}
            await _listen(servers, sockets, settings, certificate)
            tasks = await start_background(broker, dependencies, metadata, certificate, servers, slot)
            tasks += await start_deliveries(stack, broker, partial(note_deliveries, dependencies.metrics))
            if reloading is not None:
                tasks.append(asyncio.create_task(reloading.run(dependencies, certificate)))
            is_ready()
            await stop.wait()
            grace = settings.requests.graceful_shutdown_seconds
            await asyncio.gather(*(server.stop(grace) for server in servers.values()))
            await _end(tasks, dependencies.metrics)
    except EngineUnavailable as error:
        if not stop.is_set():
            raise
        _logger.warning("stopped while the store is away: %s", error)
    finally:
        # The store is closed, so commits in progress have ended or failed: give their requests time to write records.
        await asyncio.gather(*(server.ends_within(_RECORD_SECONDS) for server in servers.values()))
        journal.close()


async def _listen(
    servers: Mapping[str, Listener],
    sockets: Mapping[str, Sequence[socket]],
    settings: Settings,
    certificate: Certificate | None,
) -> None:
    for name, server in servers.items():
        has_tls = name in TLS_LISTENERS or (name == "forward" and not is_loopback(settings.listen.forward))
        tls = certificate.context if certificate is not None and has_tls else None
        await server.listen(sockets[name], tls)


async def _end(tasks: Sequence[asyncio.Task[None]], metrics: Metrics) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    if isinstance(metrics, SentMetrics):
        await metrics.stop()


def _make_api(dependencies: Dependencies, role_sessions: RoleSessions, stores: StoreRules) -> Handler:
    async def answer(request: Request) -> Response:
        if (redirect := redirect_to_portal(dependencies, request)) is not None:
            return redirect
        if request.path.startswith(AUTHZEN_PATHS):
            answered = await answer_authzen(dependencies, role_sessions, request)
            if answered is not None:
                return answered
        if request.path.startswith(SCIM_PATH) and (
            (answered := await answer_scim(dependencies, request)) is not None
        ):
            return answered
        if (answered := await answer_store(dependencies, stores, request)) is not None:
            return answered
        of_issuer = answer_token_request if request.method == "POST" else answer_issuer
        return await of_issuer(dependencies, request) or await answer_request(dependencies, request)

    return open_to_pages(answer)


async def why_broker_is_not_ready(broker: Broker, journal: Journal, stop: asyncio.Event) -> str:
    """Empty where it is."""
    if stop.is_set():
        return "stopping"
    try:
        await broker.keyrings.refresh()
        await journal.reopen_if_moved()
        journal.catch_up()
    except EngineUnavailable as error:
        return f"the store is out of reach: {error}"
    except JournalUnavailable as error:
        return f"the journal cannot be written: {error}"
    return ""


def _make_servers(
    broker: Broker,
    dependencies: Dependencies,
    metadata: MetadataHandler,
    certificate: Certificate | None,
    stop: asyncio.Event,
) -> Mapping[str, Listener]:
    """The server of each of LISTENERS that has an address."""
    role_sessions = RoleSessions()
    settings, listen = broker.settings, broker.settings.listen
    others = OPERATIONS_CONNECTIONS + (PORTAL_CONNECTIONS if listen.portal else 0)
    most = most_connections(listen.maximum_connections, others)
    server = partial(Server, clock=clock, maximum_connections=most)
    operations = operations_handler(
        dependencies.metrics, _readiness(broker, dependencies, stop), dependencies.host_names
    )
    maximum_body = settings.requests.maximum_body_bytes
    api = _make_api(dependencies, role_sessions, make_store_rules(settings))
    servers: dict[str, Listener] = {
        "api": server(api, maximum_body=maximum_body, name="api"),
        "metadata": server(metadata.answer, name="metadata"),
        "operations": Server(
            operations, clock, maximum_connections=OPERATIONS_CONNECTIONS, name="operations"
        ),
    }
    if listen.metadata_https:
        servers["metadata_https"] = server(metadata.answer, name="metadata_https")
    portal = _make_portal(broker, dependencies, certificate) if listen.portal else None
    if portal is not None:
        servers["portal"] = portal
    if listen.forward or listen.forward_grpc:
        forward = make_forwarding(settings, dependencies, role_sessions, portal)
        if listen.forward:
            servers["forward"] = server(forward.answer, maximum_body=maximum_body, name="forward")
        if listen.forward_grpc:
            servers["forward_grpc"] = _make_envoy_listener(forward.forwarding, maximum_body)
    return servers


def _make_envoy_listener(forwarding: Forwarding, maximum_body: int) -> Listener:
    # Here, for it needs an extra; after any fork, which gRPC's threads do not survive.
    from broker.web.envoy_listener import EnvoyListener

    return EnvoyListener(forwarding.answer, maximum_body=maximum_body)


def _readiness(
    broker: Broker, dependencies: Dependencies, stop: asyncio.Event
) -> Callable[[], Awaitable[str]]:
    """A function that says why the broker is not ready; "" where it is."""

    async def why_not_ready() -> str:
        return await why_broker_is_not_ready(broker, dependencies.journal, stop)

    return why_not_ready


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
        url_for_hosts=portal_url_of(broker.settings),
        sign_in_hosts=frozenset(broker.settings.authorize.sign_in_hosts),
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
