"""The composition root: settings in, a running broker out. The only file that names engines, clock and entropy."""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from socket import socket

import msgspec

import broker.iam
import broker.simulator
import broker.sts  # noqa: F401  importing a room declares its operations
from broker.access.gate import Gate
from broker.access.library import PolicyLibrary
from broker.access.prove import Prover
from broker.audit.journal import Journal, JournalUnavailable, Sync
from broker.config import Audit, ConfigurationError, FederationSettings, Keys, Settings, parse_address
from broker.credentials.issuer_keys import rotate_issuers
from broker.credentials.keyrings import Keyrings
from broker.credentials.mint import Mint
from broker.credentials.session_list import SessionList
from broker.federation.federation import Federation, IssuerRules, SamlRules
from broker.federation.opening import open_federation
from broker.federation.reach import Reach
from broker.master_key import find_master_key, first_master_key, no_master_key
from broker.operation import model
from broker.protocol.model import VERSIONS
from broker.sealing.keyring import RotationSchedule
from broker.sigv4.signing_keys import SigningKeys
from broker.sigv4.verify import Dialect
from broker.storage.engine import Engine, EngineUnavailable
from broker.storage.sealed import SealedEngine
from broker.storage.sqlite import SqliteEngine
from broker.storage.store import Store
from broker.web.dependencies import Dependencies
from broker.web.health import operations_handler
from broker.web.host_names import parse_host_names
from broker.web.http import Request, Response
from broker.web.issuers import answer_issuer
from broker.web.metadata import MetadataHandler
from broker.web.metrics import Metrics, WorkerSlot
from broker.web.peers import parse_networks
from broker.web.requests import answer_request
from broker.web.server import OPERATIONS_CONNECTIONS, Server, most_connections
from broker.web.tls import Certificate

LISTENERS = ("api", "metadata", "operations")

# When keys were last used is written this often, and of a key that is used all the time not more often than that.
_FLUSH_SECONDS, _USAGE_REST = 5.0, 60.0
_REFRESH_SECONDS = 15.0
_ROTATION_SECONDS = 300.0
_ISSUERS_SECONDS = 900.0
_PUBLISH_SECONDS = 1.0
_LOOK_SECONDS = 1.0
_RECORD_SECONDS = 0.5
_SYNC_SECONDS = 0.5  # so that a record is on the disk within a second, and the disk may take half of it


_logger = logging.getLogger("broker.app")


def clock() -> float:
    return time.time()  # noqa: TID251  the one place that reads the clock


def entropy(size: int) -> bytes:
    return os.urandom(size)  # noqa: TID251  the one place that draws entropy


class Broker(msgspec.Struct, frozen=True, kw_only=True):
    """The rooms, put together; what commands and doors work with."""

    settings: Settings
    engine: Engine
    keyrings: Keyrings
    store: Store
    gate: Gate
    mint: Mint
    session_list: SessionList
    prover: Prover
    federation: Federation


@asynccontextmanager
async def open_broker(
    settings: Settings, environment: Mapping[str, str] = os.environ, *, may_create: bool = True
) -> AsyncIterator[Broker]:
    """Open the store and its keys, which are made where both are missing and `may_create` says so.

    Raises ConfigurationError and EngineUnavailable, in words for the operator.
    """
    may_create_key = may_create and settings.keys.create_master_key
    master = find_master_key(settings.keys, environment)
    if master is None and may_create and not may_create_key:
        raise no_master_key(settings, environment, "none may be made: keys.create_master_key is off")
    engine = open_engine(settings.store.url.reveal(), may_create=may_create)
    try:
        if master is None:
            is_new = not await engine.partitions("")
            master = first_master_key(
                settings, environment, entropy, may_create=may_create_key, is_new=is_new
            )
        keyrings = Keyrings(engine, master, clock, entropy, rotation_schedule(settings.keys))
        await keyrings.load(may_create=may_create)
    except BaseException:
        await engine.close()
        raise
    async with (
        Store(SealedEngine(engine, keyrings.storage, entropy), clock) as store,
        SessionList(store.engine, clock, entropy) as session_list,
        _open_federation(settings.federation) as federation,
    ):
        yield Broker(
            settings=settings,
            engine=engine,
            keyrings=keyrings,
            store=store,
            gate=Gate(PolicyLibrary(), keyrings.sessions, entropy),
            mint=Mint(keyrings.sessions, entropy, session_list.note),
            session_list=session_list,
            prover=Prover(
                keyrings.sessions,
                SigningKeys(),
                Dialect(honour_expires=settings.requests.honour_presigned_expires),
            ),
            federation=federation,
        )


def sqlite_path(url: str) -> Path | None:
    """The file of an SQLite store; None for another engine's URL."""
    return Path(url.removeprefix("sqlite:").removeprefix("//")) if url.startswith("sqlite:") else None


@asynccontextmanager
async def _open_federation(chosen: FederationSettings) -> AsyncIterator[Federation]:
    opened = open_federation(
        clock,
        reach=Reach(chosen.plain_http, chosen.private_networks),
        saml=SamlRules(
            chosen.saml_recipients, chosen.saml_audiences, chosen.saml_allow_sha1, chosen.saml_allow_replay
        ),
        leeway=chosen.clock_leeway_seconds,
        single_use=chosen.single_use_tokens,
        issuer=issuer_rules(chosen),
        certificate_authorities=chosen.certificate_authorities,
        pinned_keys=chosen.pinned_keys,
    )
    async with AsyncExitStack() as stack:
        try:
            federation = await stack.enter_async_context(opened)
        except ValueError as error:
            raise ConfigurationError(f"federation.{error}") from None
        yield federation


def issuer_rules(chosen: FederationSettings) -> IssuerRules:
    schedule = msgspec.structs.replace(
        IssuerRules().schedule,
        rotate_every=chosen.issuer_rotate_every_hours * 3600,
        staged_for=chosen.issuer_published_for_hours * 3600,
    )
    return IssuerRules(chosen.issuer_url, schedule)


def open_engine(url: str, *, may_create: bool = True) -> Engine:
    """`sqlite:PATH` or `redis://…`; raises ConfigurationError for anything else."""
    scheme, _, rest = url.partition(":")
    path = sqlite_path(url)
    if path is not None and rest:
        if not may_create and not path.exists():
            raise EngineUnavailable(f"there is no store: {path.absolute()} does not exist")
        return SqliteEngine(path, clock, entropy, may_create=may_create)
    if scheme in ("redis", "rediss", "redis+cluster", "rediss+cluster", "unix"):
        from broker.storage.redis import RedisEngine

        try:
            return RedisEngine(url, entropy)
        except ValueError:
            # Not in its own words: they quote the part that cannot be read, which may be the password.
            raise ConfigurationError(
                "store.url: this URL of a Redis cannot be read; in user and password / @ : ? # are percent-encoded"
            ) from None
    raise ConfigurationError(
        f"store.url: {scheme!r} is no engine; write sqlite:PATH or redis://HOST:PORT/NUMBER"
    )


def rotation_schedule(keys: Keys) -> RotationSchedule:
    return RotationSchedule(
        rotate_every=keys.rotate_every_hours * 3600, staged_for=keys.staged_for_minutes * 60
    )


def open_journal(audit: Audit) -> Journal:
    """Raises OSError."""
    limits = audit.maximum_size_bytes, audit.keep, audit.keep_unauthenticated
    return Journal(Path(audit.path), *limits, sync=Sync(audit.sync))


def make_dependencies(broker: Broker, journal: Journal, metrics: Metrics) -> Dependencies:
    settings = broker.settings
    return Dependencies(
        clock=clock,
        timer=time.perf_counter,
        entropy=entropy,
        store=broker.store,
        prover=broker.prover,
        gate=broker.gate,
        mint=broker.mint,
        journal=journal,
        metrics=metrics,
        quotas=settings.quotas,
        federation=broker.federation,
        services={model(name).signing_name: model(name) for name in VERSIONS},
        trusted_proxies=parse_networks(settings.requests.trusted_proxies),
        host_names=parse_host_names(host_names(settings)),
        service_principals=frozenset(settings.policies.service_principals),
    )


def host_names(settings: Settings) -> list[str]:
    """Those that are listed, and those that the listeners without signatures are said to listen at."""
    at = [parse_address(text, "listen")[0] for text in (settings.listen.metadata, settings.listen.operations)]
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
    place: WorkerSlot = WorkerSlot(),  # noqa: B008  frozen
) -> None:
    """Listen on the sockets of `LISTENERS` until `stop` is set, then finish what was begun. Store and keys are there.

    `is_ready` is called when every listener is open. Raises ConfigurationError, EngineUnavailable and OSError.
    """
    certificate = read_certificate(settings)
    servers: Mapping[str, Server] = {}
    journal = open_journal(settings.audit)
    try:
        # They were made before the first worker started. If they are not there, they were taken away: make no others.
        async with open_broker(settings, may_create=False) as broker:
            dependencies = make_dependencies(broker, journal, Metrics(place))
            metadata = make_metadata_handler(broker, dependencies)
            servers = _make_servers(broker, dependencies, metadata, stop)
            for name, server in servers.items():
                tls = certificate.context if certificate is not None and name == "api" else None
                await server.listen(sockets[name], tls)
            told: set[str] = set()
            await _warn_of_weaknesses(broker.engine, told)
            await dependencies.metrics.publish()  # in the place of what a worker that died here has left
            tasks = _start_tasks(broker, dependencies, metadata, certificate, told)
            is_ready()
            await stop.wait()
            grace = settings.requests.graceful_shutdown_seconds
            await asyncio.gather(*(server.stop(grace) for server in servers.values()))
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    except EngineUnavailable as error:
        if not stop.is_set():
            raise
        _logger.warning("stopped while the store is away: %s", error)
    finally:
        # The store is closed: what was still being done there has ended or was withdrawn, and is to leave its record.
        await asyncio.gather(*(server.ends_within(_RECORD_SECONDS) for server in servers.values()))
        journal.close()


def _start_tasks(
    broker: Broker,
    dependencies: Dependencies,
    metadata: MetadataHandler,
    certificate: Certificate | None,
    told: set[str],
) -> list[asyncio.Task[None]]:
    """What is to be done now and then; `told` are the store's weaknesses that were logged."""
    rhythm: list[tuple[str, float, Callable[[], Awaitable[object]]]] = [
        ("writing when keys were last used", _FLUSH_SECONDS, partial(broker.store.flush_usage, _USAGE_REST)),
        ("listing the sessions that were minted", _FLUSH_SECONDS, broker.session_list.flush),
        ("reading the keyrings", _REFRESH_SECONDS, broker.keyrings.refresh),
        ("renewing the metadata's credentials", _REFRESH_SECONDS, metadata.refresh),
        ("rotating the keyrings", _ROTATION_SECONDS, broker.keyrings.rotate_when_due),
        (
            "asking for the store's settings",
            _ROTATION_SECONDS,
            partial(_warn_of_weaknesses, broker.engine, told),
        ),
        ("making the issuers' next keys", _ISSUERS_SECONDS, partial(_rotate_issuers, broker)),
        ("counting", _PUBLISH_SECONDS, dependencies.metrics.publish),
        ("looking at the journal", _LOOK_SECONDS, dependencies.journal.look),
        ("syncing the journal", _SYNC_SECONDS, dependencies.journal.sync_behind),
    ]
    if certificate is not None:
        seconds = broker.settings.tls.reload_seconds
        rhythm.append(("looking at the certificate", seconds, certificate.reload_if_changed))
    return [asyncio.create_task(_every(*one)) for one in rhythm]


def _make_servers(
    broker: Broker, dependencies: Dependencies, metadata: MetadataHandler, stop: asyncio.Event
) -> Mapping[str, Server]:
    """What answers at each of LISTENERS."""

    async def api(request: Request) -> Response:
        published = None if request.method == "POST" else await answer_issuer(dependencies, request)
        return published or await answer_request(dependencies, request)

    async def why_not_ready() -> str:
        if stop.is_set():
            return "stopping"
        try:
            await broker.keyrings.refresh()
            await dependencies.journal.look()
            dependencies.journal.catch_up()
        except EngineUnavailable as error:
            return f"the store is out of reach: {error}"
        except JournalUnavailable as error:
            return f"the journal cannot be written: {error}"
        return ""

    maximum_body = broker.settings.requests.maximum_body_bytes
    most = most_connections(broker.settings.listen.maximum_connections)
    operations = operations_handler(dependencies.metrics, why_not_ready, dependencies.host_names)
    return {
        "api": Server(api, clock, maximum_body=maximum_body, maximum_connections=most, name="api"),
        "metadata": Server(metadata.answer, clock, maximum_connections=most, name="metadata"),
        "operations": Server(
            operations, clock, maximum_connections=OPERATIONS_CONNECTIONS, name="operations"
        ),
    }


async def _rotate_issuers(broker: Broker) -> None:
    if broker.federation.issuer.url:
        now = await broker.keyrings.rotation_time()
        await rotate_issuers(broker.store, broker.federation.issuer.schedule, now, entropy)


async def _warn_of_weaknesses(engine: Engine, told: set[str]) -> None:
    """Say what of the engine's promises its server's settings take away, where the engine can tell: once each."""
    weaknesses = getattr(engine, "weaknesses", None)
    found = set(await weaknesses()) if weaknesses is not None else set()
    for weakness in found - told:
        _logger.warning("the store is weaker than it should be: %s", weakness)
    told.clear()
    told.update(found)


def read_certificate(settings: Settings) -> Certificate | None:
    """The certificate of the API listener; None where none is set."""
    if not settings.tls.certificate_file:
        return None
    try:
        return Certificate(settings.tls.certificate_file, settings.tls.key_file)
    except OSError as error:
        raise ConfigurationError(f"tls: the certificate cannot be used: {error}") from None


async def _every(name: str, seconds: float, work: Callable[[], Awaitable[object]]) -> None:
    """Do `work` again and again; what it fails for is logged once, and it is tried again the next time."""
    logged = ""
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
            logged = ""
        except Exception as error:  # noqa: BLE001  a background task that dies would die silently
            if str(error) != logged:
                logged = str(error)
                _logger.warning("%s failed: %s", name, error)
