"""Runs a gateway: its listener, the tasks that keep its keys current, and its shutdown."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from configparser import ConfigParser
from configparser import Error as ConfigurationFileError
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from socket import socket

from broker.access.prove import Prover
from broker.app.compose import Broker, open_broker, open_journal
from broker.app.repeating import repeat
from broker.app.serving import read_certificate
from broker.audit.journal import Journal
from broker.causes import explained
from broker.config import ConfigurationError, Settings
from broker.config.settings import GatewaySettings
from broker.gateway.address import KeyRules
from broker.gateway.exchange import Gateway
from broker.gateway.listener import GatewayListener
from broker.gateway.store import BackingStore, opened
from broker.names.secret import SecretKey
from broker.sigv4.signing import SigningCredentials
from broker.sigv4.signing_keys import SigningKeys
from broker.sigv4.verify import S3_STREAMED
from broker.system import clock, entropy
from broker.web.peers import find_source, parse_networks

_FLUSH_SECONDS, _USAGE_REST = 5.0, 60.0
_REFRESH_SECONDS = 15.0
_REOPEN_SECONDS = 1.0
_SYNC_SECONDS = 0.5
_CREDENTIALS_SECONDS = 5.0


class StoreCredentials:
    """The gateway's own credentials for the store: of the settings, or of a file that is read again when it changes.

    The file is one of the AWS SDKs (`[default]`, aws_access_key_id, aws_secret_access_key, aws_session_token).
    """

    def __init__(self, chosen: GatewaySettings) -> None:
        """Raises ConfigurationError."""
        self._file = Path(chosen.credentials_file) if chosen.credentials_file else None
        self._seen: tuple[int, int] | None = None
        self.current = SigningCredentials(chosen.access_key_id, chosen.secret_access_key)
        if self._file is not None:
            self._read(self._file)

    async def reload_if_changed(self) -> None:
        """A file that cannot be used leaves the credentials before in force; the caller logs it."""
        if self._file is not None and self._seen != _version(self._file):
            self._read(self._file)

    def _read(self, file: Path) -> None:
        parser = ConfigParser(interpolation=None)
        try:
            seen = _version(file)
            parser.read_string(file.read_text())
            found = parser["default"]
            self.current = SigningCredentials(
                found["aws_access_key_id"],
                SecretKey(found["aws_secret_access_key"]),
                found.get("aws_session_token", ""),
            )
        except (OSError, ValueError, KeyError, ConfigurationFileError) as error:
            why = explained(error) if isinstance(error, OSError) else type(error).__name__
            raise ConfigurationError(f"gateway.credentials_file: {file} cannot be used: {why}") from None
        self._seen = seen


def _version(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_mtime_ns, status.st_ino


async def serve_gateway(
    settings: Settings, sockets: Sequence[socket], is_ready: Callable[[], None], stop: asyncio.Event
) -> None:
    """Listen on `sockets` until `stop` is set, then end what was begun. The store of records must exist.

    Raises ConfigurationError, EngineUnavailable and OSError.
    """
    chosen = settings.gateway
    certificate = read_certificate(settings)
    credentials = StoreCredentials(chosen)
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
                    tls=_authorities(chosen),
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


def _authorities(chosen: GatewaySettings) -> ssl.SSLContext | None:
    """The context that trusts the operator's own authorities; None for those of the system."""
    if not chosen.certificate_authorities:
        return None
    try:
        return ssl.create_default_context(cafile=chosen.certificate_authorities)
    except OSError as error:
        raise ConfigurationError(
            f"gateway.certificate_authorities: {chosen.certificate_authorities} cannot be used: {explained(error)}"
        ) from None


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
