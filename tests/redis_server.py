"""A real redis-server for tests, on a free port."""

import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from tests.ports import free_port


class Tls:
    """A port for TLS beside the plain one of a server, and a certificate for 127.0.0.1 by an authority of its own."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port(neighbour=10_000)
        self._key, self.authority = folder / "key.pem", folder / "certificate.pem"
        command = [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
        ]
        command += ["-days", "1", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
        command += ["-keyout", str(self._key), "-out", str(self.authority)]
        if not self._key.exists():
            subprocess.run(command, check=True, capture_output=True)

    def options(self) -> list[str]:
        """Servers speak TLS with one another, too."""
        files = [
            "--tls-cert-file",
            self.authority,
            "--tls-key-file",
            self._key,
            "--tls-ca-cert-file",
            self.authority,
        ]
        rest = [
            "--tls-port",
            self.port,
            "--tls-auth-clients",
            "no",
            "--tls-replication",
            "yes",
            "--tls-cluster",
            "yes",
        ]
        return [str(one) for one in (*files, *rest)]


class RedisServer:
    """A redis-server with durable settings, in a folder of its own, that may be killed and started again."""

    def __init__(self, folder: Path, *, is_cluster: bool = False) -> None:
        self.folder = folder
        self.is_cluster = is_cluster
        self.port = free_port(neighbour=10_000)  # a cluster node listens there as well
        scheme = "redis+cluster" if is_cluster else "redis"
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self.tls: Tls | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = count()

    def new_store(self) -> str:
        """The URL of a database that no other test has."""
        return f"{self.url}/{next(self._databases)}"

    def start(self, settings: str = "") -> None:
        """`settings`: lines as in redis.conf, on top of the durable ones."""
        program = shutil.which("redis-server")
        if program is None:
            pytest.fail("redis-server is not installed: run scripts/test, which installs what the tests need")
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", ""]
        options += ["--appendonly", "yes", "--appendfsync", "always", "--loglevel", "warning"]
        options += ["--databases", "1" if self.is_cluster else "100"]
        if self.tls is not None:
            options += self.tls.options()
        if self.is_cluster:
            options += ["--cluster-enabled", "yes", "--cluster-announce-ip", "127.0.0.1"]
        configuration = self.folder / "redis.conf"
        configuration.write_text(settings)
        with (self.folder / "log").open("ab") as log:
            self.run(subprocess.Popen([program, str(configuration), *options], stdout=log, stderr=log))

    @property
    def is_running(self) -> bool:
        return self._process is not None

    def run(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._await(b"PING", b"+PONG")

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @contextmanager
    def running(self, settings: str = "") -> Iterator["RedisServer"]:
        """Started, and killed in the end."""
        self.start(settings)
        try:
            yield self
        finally:
            self.kill()

    def own_all_slots(self) -> None:
        self.ask(b"CLUSTER ADDSLOTSRANGE 0 16383")
        self._await(b"CLUSTER INFO", b"cluster_state:ok")

    def ask(self, command: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
            connection.sendall(command + b"\r\n")
            return connection.recv(65536)

    def await_writes_of(self, primary: "RedisServer") -> None:
        """Wait until this replica has everything that `primary` has written.

        The command WAIT would not do: it waits for the writes of its own connection.
        """
        deadline = time.monotonic() + 20
        while self._written() < primary._written():
            assert time.monotonic() < deadline, "the replica does not follow"
            time.sleep(0.01)

    def _written(self) -> int:
        found = re.search(rb"master_repl_offset:(\d+)", self.ask(b"INFO replication"))
        assert found is not None
        return int(found[1])

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
