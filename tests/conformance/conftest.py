"""Stores for the exam: a file, a redis-server of our own, a cluster of one node; plain and sealed."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from broker.sealing.keyring import new_keyring
from broker.storage.engine import Engine
from broker.storage.redis import RedisEngine
from broker.storage.sealed import SealedEngine
from broker.storage.sqlite import SqliteEngine


class RedisServer:
    """A redis-server with durable settings, in a folder of its own, that may be killed and started again."""

    def __init__(self, folder: Path, *, is_cluster: bool = False) -> None:
        self.folder = folder
        self.is_cluster = is_cluster
        self.port = _free_port()
        scheme = "redis+cluster" if is_cluster else "redis"
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        program = shutil.which("redis-server")
        if program is None:
            pytest.fail("redis-server is not installed: run scripts/test, which installs what the tests need")
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", ""]
        options += ["--appendonly", "yes", "--appendfsync", "always", "--loglevel", "warning"]
        if self.is_cluster:
            options += ["--cluster-enabled", "yes", "--cluster-announce-ip", "127.0.0.1"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen([program, *options], stdout=log, stderr=log)
        self._await(b"PING", b"+PONG")

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait()
            self._process = None

    def own_all_slots(self) -> None:
        self.ask(b"CLUSTER ADDSLOTSRANGE 0 16383")
        self._await(b"CLUSTER INFO", b"cluster_state:ok")

    def ask(self, command: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
            connection.sendall(command + b"\r\n")
            return connection.recv(65536)

    def _await(self, command: bytes, answer: bytes) -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                if answer in self.ask(command):
                    return
            except OSError:
                pass
            time.sleep(0.01)
        pytest.fail(f"redis-server does not answer {answer!r}: {(self.folder / 'log').read_text()}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        # A cluster node listens at its port plus 10,000 as well.
        port: int = probe.getsockname()[1]
    return port if port < 55000 else port - 20000


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("cluster"), is_cluster=True)
    server.start()
    server.own_all_slots()
    yield server
    server.kill()


@pytest.fixture
def mortal_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A redis-server of this test alone, to be killed."""
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.kill()


OpenEngine = Callable[[], Engine]


@pytest.fixture(params=["sqlite", "redis", "redis cluster", "sealed sqlite", "sealed redis"])
async def open_engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[OpenEngine]:
    """Opens an engine on the store of this test; each call as another process would."""
    opened: list[Engine] = []
    ring = new_keyring(time.time(), os.urandom(64))
    kind = request.param.removeprefix("sealed ")
    is_sealed = kind != request.param
    server = None
    if kind.startswith("redis"):
        server = request.getfixturevalue("redis_cluster" if kind == "redis cluster" else "redis_server")
        server.ask(b"FLUSHALL")

    def open_() -> Engine:
        engine: Engine = (
            SqliteEngine(tmp_path / "store.db", time.time) if server is None else RedisEngine(server.url)
        )
        if is_sealed:
            engine = SealedEngine(engine, lambda: ring, os.urandom)
        opened.append(engine)
        return engine

    yield open_
    await asyncio.gather(*(engine.close() for engine in opened))


@pytest.fixture
def engine(open_engine: OpenEngine) -> Engine:
    return open_engine()
