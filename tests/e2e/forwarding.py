"""Real proxies that ask the broker by the example files, and a server behind them that tells what it was sent."""

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import ROOT
from tests.e2e.grpc_proxy import grpc_proxy
from tests.ports import free_port

EXAMPLES = ROOT / "config" / "examples" / "forward-auth"
HOST = "shop.example.com"


class Behind(BaseHTTPRequestHandler):
    """Answers with the path, the headers and the body that arrived here."""

    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        seen = {"path": self.path, "headers": list(self.headers.items()), "body": body.decode("latin-1")}
        text = json.dumps(seen).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_PUT = do_POST = do_DELETE = _answer

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def server_behind() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Behind) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def configured(name: str, here: dict[str, str]) -> str:
    """The example file with the addresses of this test."""
    text = (EXAMPLES / name).read_text("utf-8")
    for what, value in here.items():
        assert what in text, (name, what)
        text = text.replace(what, value)
    return text


def program(name: str, *places: str) -> str:
    path = shutil.which(name) or shutil.which(name, path=os.pathsep.join(places))
    if path is None:
        pytest.fail(f"{name} is not installed: run scripts/test, which installs what the tests need")
    return path


@contextmanager
def running(command: list[str], folder: Path, address: str, **environment: str) -> Iterator[str]:
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env={**os.environ, "HOME": str(folder), **environment}
        )
    deadline = time.monotonic() + 20
    host, _, port = address.partition(":")
    while True:
        try:
            socket.create_connection((host, int(port)), 1).close()
            break
        except OSError:
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
    try:
        yield address
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def nginx(
    folder: Path, broker: str, behind: str, port: int | None = None, names: str = HOST, tls: str = ""
) -> Iterator[str]:
    """`tls` are the directives of a certificate; "" for plain HTTP."""
    address = f"127.0.0.1:{port or free_port()}"
    here = {"127.0.0.1:9465": broker, "127.0.0.1:8081": address, "127.0.0.1:8082": behind, HOST: names}
    text = configured("nginx.conf", here)
    if tls:
        text = text.replace(f"listen {address};", f"listen {address} ssl;\n{tls}")
    (folder / "shop.conf").write_text(text)
    paths = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log stderr;\nevents {{}}\n"
        f"http {{\naccess_log off;\nunderscores_in_headers on;\n{paths}include {folder}/shop.conf;\n}}\n"
    )
    command = [program("nginx", "/usr/sbin"), "-p", str(folder), "-c", str(folder / "nginx.conf")]
    with running(command, folder, address):
        yield address


@contextmanager
def haproxy(folder: Path, broker: str, behind: str) -> Iterator[str]:
    address = f"127.0.0.1:{free_port()}"
    here = {"127.0.0.1:9465": broker, "127.0.0.1:8081": address, "127.0.0.1:8082": behind}
    (folder / "haproxy.cfg").write_text(configured("haproxy.cfg", here))
    command = [program("haproxy", "/usr/sbin"), "-f", str(folder / "haproxy.cfg")]
    with running(command, folder, address, BROKER_LUA=str(EXAMPLES)):
        yield address


@contextmanager
def caddy(folder: Path, broker: str, behind: str, port: int | None = None, name: str = HOST) -> Iterator[str]:
    port = port or free_port()
    here = {
        "127.0.0.1:9465": broker,
        "http://shop.example.com:8081": f"http://{name}:{port}",
        "127.0.0.1:8082": behind,
    }
    (folder / "Caddyfile").write_text(configured("Caddyfile", here))
    command = [str(Path(sys.executable).with_name("caddy")), "run", "--config", str(folder / "Caddyfile")]
    with running(
        command, folder, f"127.0.0.1:{port}", XDG_DATA_HOME=str(folder), XDG_CONFIG_HOME=str(folder)
    ):
        yield f"127.0.0.1:{port}"


@contextmanager
def grpc(_: Path, broker: str, behind: str) -> Iterator[str]:
    with grpc_proxy(grpc_beside(broker), behind) as address:
        yield address


def grpc_beside(forward: str) -> str:
    """The address of `listen.forward_grpc` in these tests."""
    host, _, port = forward.rpartition(":")
    return f"{host}:{int(port) + 1}"


PROXIES = {"nginx": nginx, "haproxy": haproxy, "caddy": caddy, "grpc": grpc}
PASSES_BODIES = ("haproxy", "grpc", "envoy", "envoy_grpc")


class Answer:
    """What the client of a proxy got."""

    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def seen(self) -> dict[str, Any]:
        """What the server behind was sent; it must have been asked."""
        assert self.status == 200, (self.status, self.body)
        seen: dict[str, Any] = json.loads(self.body)
        return seen

    def seen_header(self, name: str) -> str | None:
        found = [value for known, value in self.seen["headers"] if known.lower() == name.lower()]
        assert len(found) <= 1, found
        return found[0] if found else None


def send(address: str, method: str, target: str, headers: list[tuple[str, str]], body: bytes = b"") -> Answer:
    """One request, the target and the headers as they are."""
    host, _, port = address.partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=20)
    with closing(connection):
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value)
        if body:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body or None)
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())
