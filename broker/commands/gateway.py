"""`broker gateway`: listen for S3 in front of a store, with as many worker processes as asked for."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
from collections.abc import Callable, Mapping, Sequence
from socket import socket
from typing import TYPE_CHECKING

from broker.commands.owner import NotOwner, require_owner
from broker.commands.refusing import DONE, NO_ANSWER, WRONG_USE, failed, refused_settings
from broker.commands.settings import add_settings_arguments, settings_of
from broker.config import ConfigurationError, Settings, parse_address
from broker.version import VERSION

if TYPE_CHECKING:
    from broker.web.metrics import WorkerSlot

_logger = logging.getLogger("broker.gateway")

DESCRIPTION = """\
Serve S3 in front of a store, with the accounts, sessions and policies of this broker.

  broker gateway --config broker.toml
  broker gateway --listen 127.0.0.1:9000 --store-url http://127.0.0.1:9001

It is a process of its own beside `broker serve`, with the same settings: it opens the store of records and the master
key, and passes on to the store at gateway.store_url what the gate allows. Any number may run. config/gateway.md is the
guide.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_settings_arguments(parser, is_asked_of_broker=False)
    parser.add_argument("--listen", metavar="HOST:PORT", help="where S3 clients ask (nowhere)")
    parser.add_argument("--store-url", metavar="URL", help="the store behind it: http[s]://HOST[:PORT]")
    parser.add_argument("--operations", metavar="HOST:PORT", help="/livez, /readyz, /metrics (nowhere)")
    parser.add_argument("--workers", metavar="N", help="worker processes that share the listener (1)")


def run(chosen: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT; 2 where the settings are invalid, 3 where the gateway cannot start."""
    try:
        settings = settings_of(
            chosen,
            gateway__listen=chosen.listen,
            gateway__store_url=chosen.store_url,
            gateway__operations=chosen.operations,
            gateway__workers=chosen.workers,
        )
        _require_settings(settings)
        require_owner(settings)
    except ConfigurationError as error:
        return refused_settings("broker gateway", error)
    except NotOwner as error:
        return failed("broker gateway", str(error), WRONG_USE)
    return _serve(settings)


def _require_settings(settings: Settings) -> None:
    """What a broker may lack and a gateway may not. Raises ConfigurationError."""
    chosen = settings.gateway
    missing = [f"gateway.{name} is needed" for name in ("listen", "store_url") if not getattr(chosen, name)]
    if not chosen.credentials_file and not (chosen.access_key_id and chosen.secret_access_key.reveal()):
        missing.append(
            "gateway.access_key_id and gateway.secret_access_key, or gateway.credentials_file, are needed"
        )
    if missing:
        raise ConfigurationError("\n".join(missing))


def _serve(settings: Settings) -> int:
    from broker.app import gateway_serving  # noqa: F401  before any fork, so that workers share the pages of the code
    from broker.commands.serve import allow_many_connections
    from broker.web.listeners import AddressUnavailable, reserve
    from broker.web.log import configure_logging

    configure_logging(settings.log.level, settings.log.format)
    allow_many_connections()
    chosen = settings.gateway
    try:
        reserved = {"gateway": reserve(*parse_address(chosen.listen, "gateway.listen"))}
        if chosen.operations:
            reserved["operations"] = reserve(*parse_address(chosen.operations, "gateway.operations"))
    except AddressUnavailable as error:
        return failed("broker gateway", str(error), NO_ANSWER if error.may_pass else WRONG_USE)
    if settings.gateway.workers == 1:
        why = _serve_here(settings, reserved, None, lambda: None, lambda: None)
    else:
        why = _supervise(settings, reserved)
    return failed("broker gateway", why, NO_ANSWER) if why else DONE


def _supervise(settings: Settings, reserved: dict[str, list[socket]]) -> str:
    from broker.commands.workers import supervise
    from broker.web.listeners import allow_worker_sockets, worker_sockets

    for sockets in reserved.values():
        allow_worker_sockets(sockets)

    def one_worker(slot: WorkerSlot, is_ready: Callable[[], None], heartbeat: Callable[[], None]) -> str:
        own = {name: worker_sockets(sockets) for name, sockets in reserved.items()}
        return _serve_here(settings, own, slot, is_ready, heartbeat)

    gc.collect()
    gc.freeze()
    return supervise(
        one_worker,
        settings.gateway.workers,
        grace=settings.requests.graceful_shutdown_seconds,
        silence=settings.listen.worker_silence_seconds,
    )


def _serve_here(
    settings: Settings,
    sockets: Mapping[str, Sequence[socket]],
    slot: WorkerSlot | None,
    is_ready: Callable[[], None],
    heartbeat: Callable[[], None],
) -> str:
    """Serve in this process until a stop signal; the error message where it could not, else ""."""
    from broker.commands.serve import run_here

    return run_here(_main(settings, sockets, slot, is_ready, heartbeat))


async def _main(
    settings: Settings,
    sockets: Mapping[str, Sequence[socket]],
    slot: WorkerSlot | None,
    is_ready: Callable[[], None],
    heartbeat: Callable[[], None],
) -> None:
    from broker.app.gateway_serving import serve_gateway
    from broker.commands.serve import calling_on_stop_signals, repeating
    from broker.commands.workers import HEARTBEAT_SECONDS
    from broker.web.metrics import WorkerSlot

    stop = asyncio.Event()

    def ready() -> None:
        gc.collect()
        gc.freeze()
        addresses = {
            name: ", ".join("{}:{}".format(*one.getsockname()[:2]) for one in own)
            for name, own in sockets.items()
        }
        facts = {"version": VERSION, **addresses, "store": settings.gateway.store_url}
        _logger.info("serving S3", extra={"facts": facts, "is_banner": True})
        is_ready()

    reload = asyncio.Event()
    if slot is not None and slot.restarts:
        reload.set()  # its predecessor may have received the signal
    # SIGHUP reads certificate and credentials again, which are also read by themselves; settings need a restart.
    with calling_on_stop_signals(stop.set, reload.set):
        async with repeating(HEARTBEAT_SECONDS, heartbeat):
            await serve_gateway(settings, sockets, ready, stop, slot or WorkerSlot(), reload)
    _logger.info("stopped")
