"""A proxy that asks the broker by gRPC as Envoy does, with grpcio's client; scripts/interop has Envoy itself."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc

from broker.web.envoy_messages import CheckRequest, CheckResponse

CHECK = "/envoy.service.auth.v3.Authorization/Check"


def new_check(
    method: str,
    host: str,
    path: str,
    headers: list[tuple[str, str]],
    body: bytes = b"",
    source: str = "127.0.0.1",
) -> Any:
    """A CheckRequest; of headers of one name there is one, with commas, as Envoy sends them."""
    joined: dict[str, list[str]] = {}
    for name, value in headers:
        if name.lower() not in ("host", "content-length"):
            joined.setdefault(name.lower(), []).append(value)
    request = CheckRequest()
    request.attributes.source.address.socket_address.address = source
    http = request.attributes.request.http
    http.method, http.host, http.path, http.scheme, http.raw_body = method, host, path, "http", body
    pseudo = {":method": [method], ":authority": [host], ":path": [path], "x-forwarded-proto": ["http"]}
    for name, values in {**joined, **pseudo}.items():
        http.headers.add(key=name, value=",".join(values))
    return request


def ask(channel: grpc.Channel, message: bytes) -> Any:
    return CheckResponse.FromString(channel.unary_unary(CHECK)(message, timeout=20))


def after(headers: list[tuple[str, str]], allowed: Any) -> list[tuple[str, str]]:
    """The client's headers as the answer has them sent on."""
    replaced = {one.header.key for one in allowed.headers} | set(allowed.headers_to_remove)
    kept = [(name, value) for name, value in headers if name.lower() not in replaced]
    return [*kept, *((one.header.key, one.header.value) for one in allowed.headers)]


@contextmanager
def grpc_proxy(broker: str, behind: str) -> Iterator[str]:
    """The proxy's address; `broker` and `behind` are HOST:PORT."""
    channel = grpc.insecure_channel(broker)

    class Asking(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            target, headers = self.requestline.split(" ")[1], list(self.headers.items())
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked = new_check(self.command, self.headers["Host"], target, headers, body)
            answer = ask(channel, asked.SerializeToString())
            if answer.status.code:
                denied = answer.denied_response
                shown = [(one.header.key, one.header.value) for one in denied.headers]
                self._answer(denied.status.code, shown, denied.body.encode())
                return
            with closing(http.client.HTTPConnection(behind, timeout=20)) as connection:
                connection.putrequest(self.command, target, skip_host=True, skip_accept_encoding=True)
                for name, value in after(headers, answer.ok_response):
                    connection.putheader(name, value)
                connection.endheaders(body or None)
                got = connection.getresponse()
                self._answer(got.status, [], got.read())

        def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
            self.send_response(status)
            for name, value in [*headers, ("Content-Length", str(len(body)))]:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = do_POST = do_DELETE = _pass_on

        def log_message(self, *_: object) -> None:
            pass

    with channel, ThreadingHTTPServer(("127.0.0.1", 0), Asking) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
