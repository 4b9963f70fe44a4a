"""`broker serve`: listen, with as many worker processes as asked for."""

import argparse
import asyncio
import logging
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from broker.commands.settings import add_settings_arguments, settings_of
from broker.config import ConfigurationError, Settings

_RESTART_SECONDS = 1.0

_logger = logging.getLogger("broker.serve")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_settings_arguments(parser)
    parser.add_argument("--api", metavar="HOST:PORT", help="where IAM and STS listen (127.0.0.1:8080)")
    parser.add_argument("--metadata", metavar="HOST:PORT", help="where instances ask (127.0.0.1:1338)")
    parser.add_argument(
        "--operations", metavar="HOST:PORT", help="/livez, /readyz, /metrics (127.0.0.1:9464)"
    )
    parser.add_argument("--workers", metavar="N", help="worker processes that share the listeners (1)")
    parser.add_argument(
        "--demo", action="store_true", help="apply config/demo.yaml first and print what to paste next"
    )


def run(chosen: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT; 1 where the broker cannot start."""
    try:
        settings = settings_of(
            chosen,
            listen__api=chosen.api,
            listen__metadata=chosen.metadata,
            listen__operations=chosen.operations,
            listen__workers=chosen.workers,
        )
    except ConfigurationError as error:
        print(f"broker serve: {error}", file=sys.stderr)
        return 2
    if chosen.demo:
        prepared = _prepare_demo(settings)
        if prepared is None:
            return 1
        settings = prepared
    if settings.listen.workers == 1:
        return _work(settings)
    return _supervise(settings)


def _prepare_demo(settings: Settings) -> Settings | None:
    """Apply the demo and show what to paste; the settings to serve with, None where that failed."""
    from broker.commands.declaration.source import DeclarationError
    from broker.commands.demo import demo_settings, prepare_demo
    from broker.storage.engine import Conflict, EngineUnavailable

    settings = demo_settings(settings)
    try:
        print(asyncio.run(prepare_demo(settings)), flush=True)
    except (ConfigurationError, DeclarationError, EngineUnavailable, Conflict, OSError) as error:
        print(f"broker serve --demo: {error}", file=sys.stderr)
        return None
    return settings


def _work(settings: Settings) -> int:
    """One process that serves."""
    # The rooms are imported here: a supervisor that only watches its workers need not hold them twice.
    from broker.app import serve
    from broker.storage.engine import EngineUnavailable
    from broker.web.log import configure_logging

    configure_logging(settings.log.level)

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, stop.set)
        await serve(settings, lambda: _logger.info("serving on %s", settings.listen.api), stop)

    try:
        asyncio.run(main())
    except (ConfigurationError, EngineUnavailable, OSError) as error:
        print(f"broker serve: {error}", file=sys.stderr)
        return 1
    return 0


def _supervise(settings: Settings) -> int:
    """Fork workers before any loop or store is open; start those anew that die, until told to stop."""
    directory = tempfile.mkdtemp(prefix="broker-metrics-")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = directory
    import broker.app  # noqa: F401  once, before the forks: the workers share these pages

    workers: set[int] = {_fork(settings) for _ in range(settings.listen.workers)}
    stopping = False

    def stop(number: int, frame: object) -> None:
        nonlocal stopping
        stopping = True
        for worker in workers:
            os.kill(worker, signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    failed = 0
    while workers:
        worker, status = os.wait()
        workers.discard(worker)
        if stopping:
            continue
        if os.waitstatus_to_exitcode(status) == 1:
            failed = 1
            stop(0, None)
            continue
        signal.sigtimedwait([], _RESTART_SECONDS)
        workers.add(_fork(settings))
    shutil.rmtree(Path(directory), ignore_errors=True)
    return failed


def _fork(settings: Settings) -> int:
    worker = os.fork()
    if worker:
        return worker
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, signal.SIG_DFL)
    os._exit(_work(settings))
