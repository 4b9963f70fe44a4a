"""`broker serve`: listen, with as many worker processes as asked for."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import resource
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from socket import socket
from typing import TYPE_CHECKING

from broker.causes import explained
from broker.commands.owner import NotOwner, require_owner
from broker.commands.refusing import DONE, NO_ANSWER, WRONG_USE, failed, refused_settings
from broker.commands.settings import add_settings_arguments, settings_of
from broker.config import ConfigurationError, Settings, warnings_of_exposure

if TYPE_CHECKING:
    from broker.web.metrics import WorkerSlot

_logger = logging.getLogger("broker.serve")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_settings_arguments(parser)
    parser.add_argument("--api", metavar="HOST:PORT", help="where IAM and STS listen (127.0.0.1:8080)")
    parser.add_argument("--metadata", metavar="HOST:PORT", help="where instances ask (127.0.0.1:1338)")
    parser.add_argument(
        "--operations", metavar="HOST:PORT", help="/livez, /readyz, /metrics (127.0.0.1:9464)"
    )
    parser.add_argument(
        "--portal",
        metavar="HOST:PORT",
        help="where people sign in with a browser (nowhere; 127.0.0.1:8443 with --demo)",
    )
    parser.add_argument("--workers", metavar="N", help="worker processes that share the listeners (1)")
    parser.add_argument(
        "--demo", action="store_true", help="apply config/demo.yaml first and print what to paste next"
    )


def run(chosen: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT; 2 where the settings are invalid, 3 where the broker cannot start."""
    try:
        settings = settings_of(
            chosen,
            listen__api=chosen.api,
            listen__metadata=chosen.metadata,
            listen__operations=chosen.operations,
            listen__portal=chosen.portal,
            listen__workers=chosen.workers,
        )
        require_owner(settings)
    except ConfigurationError as error:
        return refused_settings("broker serve", error)
    except NotOwner as error:
        return failed("broker serve", str(error), WRONG_USE)
    return _serve(settings, with_demo=chosen.demo)


def _serve(settings: Settings, *, with_demo: bool) -> int:
    # Imported here, once and before any fork, so that workers share the memory pages of the code.
    from broker.commands.checking import reserve_addresses, status_of
    from broker.commands.serving import with_portal, with_real_ports
    from broker.web.log import configure_logging

    configure_logging(settings.log.level)
    _allow_many_connections()
    if with_demo:
        settings = with_portal(settings)
    reserved, faults = reserve_addresses(settings)
    if faults:
        return failed("broker serve", faults[0].message, status_of(faults[:1]))
    settings = with_real_ports(settings, reserved)
    for warning in warnings_of_exposure(settings):
        _logger.warning("%s", warning)
    if settings.listen.portal:
        import broker.portal.listener  # noqa: F401  with what it needs, also before any fork
    return _serve_demo(settings, reserved) if with_demo else _serve_on(settings, reserved)


def _serve_demo(settings: Settings, reserved: dict[str, list[socket]]) -> int:
    # Only once the addresses are reserved: another demo that is running may use the files that this one writes.
    from broker.commands.demo import DemoFailed, prepare
    from broker.commands.demo_sign_in import demo_provider

    with demo_provider() as authority:
        try:
            settings = prepare(settings, authority)
        except DemoFailed as error:
            return failed("broker serve --demo", str(error), NO_ANSWER)
        return _serve_on(settings, reserved)


def _serve_on(settings: Settings, reserved: dict[str, list[socket]]) -> int:
    status = _prepared(settings)
    if status:
        return status
    if settings.listen.workers == 1:
        why = serve_here(settings, reserved, None, lambda: None, lambda: None)
    else:
        why = _supervise(settings, reserved)
    return failed("broker serve", why, NO_ANSWER) if why else DONE


def _supervise(settings: Settings, reserved: dict[str, list[socket]]) -> str:
    """Serve with several workers until a stop signal; the error message where they could not, else ""."""
    from broker.commands.workers import supervise
    from broker.web.listeners import allow_worker_sockets, start_listening, worker_sockets

    # Worker 0 alone is the metadata service, so that all clients of a role get the credentials that it has cached.
    # Connections wait in the listener's queue while that worker is being restarted.
    metadata = reserved.pop("metadata")
    start_listening(metadata)
    for sockets in reserved.values():
        allow_worker_sockets(sockets)

    def one_worker(slot: WorkerSlot, is_ready: Callable[[], None], heartbeat: Callable[[], None]) -> str:
        own = {name: worker_sockets(sockets) for name, sockets in reserved.items()}
        own["metadata"] = metadata if slot.worker == 0 else []
        return serve_here(settings, own, slot, is_ready, heartbeat)

    gc.collect()
    gc.freeze()
    return supervise(
        one_worker,
        settings.listen.workers,
        grace=settings.requests.graceful_shutdown_seconds,
        silence=settings.listen.worker_silence_seconds,
    )


def serve_here(
    settings: Settings,
    sockets: Mapping[str, Sequence[socket]],
    slot: WorkerSlot | None,
    is_ready: Callable[[], None],
    heartbeat: Callable[[], None],
) -> str:
    """Serve in this process until a stop signal; the error message where it could not, else "".

    `heartbeat` is called once a second as long as the event loop is not blocked.
    """
    import uvloop

    from broker.app.serving import serve
    from broker.commands.workers import HEARTBEAT_SECONDS
    from broker.storage.engine import EngineUnavailable
    from broker.web.metrics import WorkerSlot

    is_serving = False

    def ready() -> None:
        nonlocal is_serving
        is_serving = True
        # Objects that exist by now live as long as the process: exclude them from garbage collection.
        gc.collect()
        gc.freeze()
        _logger.info("serving", extra={"facts": _addresses(sockets)})
        is_ready()

    async def main() -> None:
        stop = asyncio.Event()

        def end() -> None:
            if is_serving and not stop.is_set():
                _logger.info("stopping")
            stop.set()

        with _calling_on_stop_signals(end):
            async with _every(HEARTBEAT_SECONDS, heartbeat):
                await serve(settings, sockets, ready, stop, slot or WorkerSlot())
            _logger.info("stopped")

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main())
    except (ConfigurationError, EngineUnavailable, OSError) as error:
        return explained(error)
    return ""


@contextmanager
def _calling_on_stop_signals(end: Callable[[], None]) -> Iterator[None]:
    from broker.commands.workers import stop_signals

    signals = stop_signals()
    for name in signals:
        asyncio.get_running_loop().add_signal_handler(name, end)
    try:
        yield
    finally:
        # Ignored from here on: asyncio closes its wake-up pipe before it removes its signal handlers, and a signal
        # between the two would be reported on standard error.
        for name in signals:
            signal.signal(name, signal.SIG_IGN)
        signal.set_wakeup_fd(-1)


@asynccontextmanager
async def _every(seconds: float, function: Callable[[], None]) -> AsyncIterator[None]:
    """Call `function` at once and then every `seconds`, unless the event loop is blocked."""

    async def repeat() -> None:
        while True:
            function()
            await asyncio.sleep(seconds)

    task = asyncio.create_task(repeat())
    try:
        yield
    finally:
        task.cancel()


def _prepared(settings: Settings) -> int:
    """`_prepare`; the exit status, with an error message where it is not 0."""
    from broker.audit.journal import JournalUnavailable
    from broker.credentials.keyrings import WrongMasterKey
    from broker.storage.engine import Conflict, EngineUnavailable

    try:
        asyncio.run(_prepare(settings))
    except (ConfigurationError, WrongMasterKey) as error:
        return failed("broker serve", str(error), WRONG_USE)
    except (EngineUnavailable, JournalUnavailable, OSError) as error:
        return failed("broker serve", explained(error), NO_ANSWER)
    except Conflict:
        why = "the same records were changed by others at each attempt; start it again"
        return failed("broker serve", why, NO_ANSWER)
    return DONE


async def _prepare(settings: Settings) -> None:
    """Create store, keys and root user where missing, before any worker starts.

    Raises as `read_certificate`, `open_broker` and `ensure_root_user` do.
    """
    from broker.app import open_broker
    from broker.app.serving import read_certificate
    from broker.commands.root_user import ensure_root_user
    from broker.commands.serving import record_addresses

    read_certificate(settings)
    async with open_broker(settings) as broker:
        await ensure_root_user(broker)
        await record_addresses(broker)


def _addresses(sockets: Mapping[str, Sequence[socket]]) -> dict[str, str]:
    """The bound address of each listener: for port 0 the kernel chose the port."""
    return {
        name: ", ".join("{}:{}".format(*one.getsockname()[:2]) for one in own)
        for name, own in sockets.items()
        if own
    }


def _allow_many_connections() -> None:
    """Raise the soft limit of open files to the hard limit: each connection is an open file."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
