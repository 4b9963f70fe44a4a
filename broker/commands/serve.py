"""`broker serve`: listen, with as many worker processes as asked for."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import resource
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from socket import socket
from typing import TYPE_CHECKING, Any, NamedTuple

from broker.causes import explained
from broker.commands.owner import NotOwner, require_owner
from broker.commands.refusing import DONE, NO_ANSWER, WRONG_USE, failed, refused_settings
from broker.commands.settings import add_settings_arguments, settings_of
from broker.config import ConfigurationError, Settings, warnings_of_exposure
from broker.version import VERSION

if TYPE_CHECKING:
    from broker.web.metrics import WorkerSlot

_logger = logging.getLogger("broker.serve")


DESCRIPTION = """\
Serve IAM, STS and instance metadata; with --portal also the sign-in portal and the console.

  broker serve --demo                                 two accounts to try, and what to paste next
  broker serve --store sqlite:var/own.db              an empty store: `broker root-key ACCOUNT --create-account
                                                      --store sqlite:var/own.db` makes the first account
  broker serve --config /etc/broker/broker.toml       as an operator runs it (deploy/README.md)

A missing store and master key are made: by default below var/ of this folder. `broker config check` says before what
would prevent a start. It stops, after the requests in progress, with SIGTERM or Ctrl-C (status 0), and reads the
settings again with SIGHUP. The log is on standard error: text in a terminal, JSON lines elsewhere.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_settings_arguments(parser, is_asked_of_broker=False)
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
    """Serve until SIGTERM or SIGINT; 2 where the settings are invalid, 3 where the broker cannot start.

    SIGHUP has the settings read again.
    """
    load = partial(
        settings_of,
        chosen,
        listen__api=chosen.api,
        listen__metadata=chosen.metadata,
        listen__operations=chosen.operations,
        listen__portal=chosen.portal,
        listen__workers=chosen.workers,
    )
    try:
        settings = load()
        require_owner(settings)
    except ConfigurationError as error:
        return refused_settings("broker serve", error)
    except NotOwner as error:
        return failed("broker serve", str(error), WRONG_USE)
    return _serve(LoadedSettings(load, settings), with_demo=chosen.demo)


class LoadedSettings(NamedTuple):
    """`load` reads the settings; `loaded` is what it gave, before the addresses and the demo's parts were completed."""

    load: Callable[[], Settings]
    loaded: Settings


class Start(NamedTuple):
    """What each worker is started with; `facts` are for the log."""

    settings: Settings
    reading: LoadedSettings
    facts: Mapping[str, str]


def _serve(reading: LoadedSettings, *, with_demo: bool) -> int:
    # Imported here, once and before any fork, so that workers share the memory pages of the code.
    from broker.commands.checking import reserve_addresses, status_of
    from broker.commands.serving import with_portal, with_real_ports
    from broker.web.log import configure_logging

    settings = reading.loaded
    configure_logging(settings.log.level, settings.log.format)
    allow_many_connections()
    if with_demo:
        settings = with_portal(settings)
    reserved, faults = reserve_addresses(settings)
    if faults:
        return failed("broker serve", faults[0].message, status_of(faults[:1]))
    settings = with_real_ports(settings, reserved)
    if settings.listen.admin:
        from broker.commands.admin_socket import reserve_admin
        from broker.web.listeners import AddressUnavailable

        try:
            reserved["admin"] = [reserve_admin(Path(settings.listen.admin), settings.listen.admin_group)]
        except AddressUnavailable as error:
            return failed("broker serve", str(error), WRONG_USE)
    for warning in warnings_of_exposure(settings):
        _logger.warning("%s", warning)
    if settings.listen.portal:
        import broker.portal.listener  # noqa: F401  with what it needs, also before any fork
    serve = _serve_demo if with_demo else _serve_on
    return serve(settings, reading, reserved)


def _serve_demo(settings: Settings, reading: LoadedSettings, reserved: dict[str, list[socket]]) -> int:
    # Only once the addresses are reserved: another demo that is running may use the files that this one writes.
    from broker.commands.demo import DemoFailed, prepare
    from broker.commands.demo_sign_in import demo_provider

    with demo_provider() as authority:
        try:
            settings = prepare(settings, authority)
        except DemoFailed as error:
            return failed("broker serve --demo", str(error), NO_ANSWER)
        return _serve_on(settings, reading, reserved)


def _serve_on(settings: Settings, reading: LoadedSettings, reserved: dict[str, list[socket]]) -> int:
    status, facts = _prepared(settings)
    if status:
        return status
    start = Start(settings, reading, facts)
    if settings.listen.workers == 1:
        why = serve_here(start, reserved, None, lambda: None, lambda: None)
    else:
        why = _supervise(start, reserved)
    return failed("broker serve", why, NO_ANSWER) if why else DONE


def _supervise(start: Start, reserved: dict[str, list[socket]]) -> str:
    """Serve with several workers until a stop signal; the error message where they could not, else ""."""
    from broker.commands.workers import supervise
    from broker.web.listeners import allow_worker_sockets, start_listening, worker_sockets

    # Worker 0 alone is the metadata service, so that all clients of a role get the credentials that it has cached.
    # Connections wait in the listener's queue while that worker is being restarted.
    # So is the admin socket: one command at a time.
    single = {
        name: reserved.pop(name) for name in ("metadata", "metadata_https", "admin") if name in reserved
    }
    for name in ("metadata", "metadata_https"):
        start_listening(single.get(name, []))
    for sockets in reserved.values():
        allow_worker_sockets(sockets)

    def one_worker(slot: WorkerSlot, is_ready: Callable[[], None], heartbeat: Callable[[], None]) -> str:
        own = {name: worker_sockets(sockets) for name, sockets in reserved.items()}
        for name, sockets in single.items():
            own[name] = sockets if slot.worker == 0 else []
        return serve_here(start, own, slot, is_ready, heartbeat)

    gc.collect()
    gc.freeze()
    return supervise(
        one_worker,
        start.settings.listen.workers,
        grace=start.settings.requests.graceful_shutdown_seconds,
        silence=start.settings.listen.worker_silence_seconds,
    )


def serve_here(
    start: Start,
    sockets: Mapping[str, Sequence[socket]],
    slot: WorkerSlot | None,
    is_ready: Callable[[], None],
    heartbeat: Callable[[], None],
) -> str:
    """Serve in this process until a stop signal; the error message where it could not, else "".

    `heartbeat` is called once a second as long as the event loop is not blocked.
    """
    return run_here(_serve_until_stopped(start, sockets, slot, is_ready, heartbeat))


def run_here(serving: Coroutine[Any, Any, None]) -> str:
    """Run it to its end in an event loop of its own; the error message where it could not serve, else ""."""
    import uvloop

    from broker.storage.engine import EngineUnavailable

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serving)
    except (ConfigurationError, EngineUnavailable, OSError) as error:
        return explained(error)
    return ""


async def _serve_until_stopped(
    start: Start,
    sockets: Mapping[str, Sequence[socket]],
    slot: WorkerSlot | None,
    is_ready: Callable[[], None],
    heartbeat: Callable[[], None],
) -> None:
    from broker.app.reloading import Reloading
    from broker.app.serving import serve
    from broker.commands.admin_socket import AdminListener
    from broker.commands.workers import HEARTBEAT_SECONDS
    from broker.web.metrics import WorkerSlot

    stop = asyncio.Event()
    is_serving = False

    def ready() -> None:
        nonlocal is_serving
        is_serving = True
        # Objects that exist by now live as long as the process: exclude them from garbage collection.
        gc.collect()
        gc.freeze()
        facts = start.facts if slot is None or slot.worker == 0 else {"version": VERSION}
        _logger.info("serving", extra={"facts": {**facts, **_addresses(sockets)}, "is_banner": True})
        is_ready()

    def end() -> None:
        if is_serving and not stop.is_set():
            _logger.info("stopping")
        stop.set()

    reloading = Reloading(*start.reading, asyncio.Event())
    if slot is not None and slot.restarts:
        reloading.asked.set()  # its predecessor may have received the signal
    own = {"admin": AdminListener(start.settings)} if sockets.get("admin") else {}
    with calling_on_stop_signals(end, reloading.asked.set):
        async with repeating(HEARTBEAT_SECONDS, heartbeat):
            await serve(
                start.settings, sockets, ready, stop, slot or WorkerSlot(), own=own, reloading=reloading
            )
        _logger.info("stopped")


@contextmanager
def calling_on_stop_signals(end: Callable[[], None], reload: Callable[[], None]) -> Iterator[None]:
    from broker.commands.workers import has_lost_terminal, stop_signals

    signals = (*stop_signals(), signal.SIGHUP)
    had_terminal = sys.stderr is not None and sys.stderr.isatty()
    for name in stop_signals():
        asyncio.get_running_loop().add_signal_handler(name, end)
    asyncio.get_running_loop().add_signal_handler(
        signal.SIGHUP, lambda: end() if has_lost_terminal(had_terminal) else reload()
    )
    try:
        yield
    finally:
        # Ignored from here on: asyncio closes its wake-up pipe before it removes its signal handlers, and a signal
        # between the two would be reported on standard error.
        for name in signals:
            signal.signal(name, signal.SIG_IGN)
        signal.set_wakeup_fd(-1)


@asynccontextmanager
async def repeating(seconds: float, function: Callable[[], None]) -> AsyncIterator[None]:
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


def _prepared(settings: Settings) -> tuple[int, dict[str, str]]:
    """`_prepare`; the exit status, with an error message where it is not 0, and its facts."""
    from broker.audit.journal import JournalUnavailable
    from broker.credentials.keyrings import WrongMasterKey
    from broker.storage.engine import Conflict, EngineUnavailable

    try:
        return DONE, asyncio.run(_prepare(settings))
    except (ConfigurationError, WrongMasterKey) as error:
        return failed("broker serve", str(error), WRONG_USE), {}
    except (EngineUnavailable, JournalUnavailable, OSError) as error:
        return failed("broker serve", explained(error), NO_ANSWER), {}
    except Conflict:
        why = "the same records were changed by others at each attempt; start it again"
        return failed("broker serve", why, NO_ANSWER), {}


async def _prepare(settings: Settings) -> dict[str, str]:
    """Create store, keys and root user where missing, before any worker starts; `start_facts`.

    Raises as `read_certificate`, `open_broker` and `ensure_root_user` do.
    """
    from broker.app import open_broker
    from broker.app.serving import read_certificate
    from broker.commands.banner import start_facts
    from broker.commands.root_user import ensure_root_user
    from broker.commands.serving import record_addresses

    read_certificate(settings)
    async with open_broker(settings) as broker:
        await ensure_root_user(broker)
        await record_addresses(broker)
        return await start_facts(broker)


def _addresses(sockets: Mapping[str, Sequence[socket]]) -> dict[str, str]:
    """The bound address of each listener: for port 0 the kernel chose the port."""
    return {
        name: ", ".join("{}:{}".format(*one.getsockname()[:2]) for one in own)
        for name, own in sockets.items()
        if own and name != "admin"
    }


def allow_many_connections() -> None:
    """Raise the soft limit of open files to the hard limit: each connection is an open file."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
