"""An HTTP server on a loopback address that answers as a test says: a provider's, or one where nobody must ask."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from tests.ports import free_port

Answer = Callable[[BaseHTTPRequestHandler], None]


class _Server(ThreadingHTTPServer):
    daemon_threads = True  # an answer may still be under way when the test is over
    block_on_close = False


class HttpHost:
    """`answers` are made by path, 404 where there is none; `asked` are the paths that were asked for, in order.

    `posted` are the bodies of POST, in order. No two have one port, unless it is given: brokers know providers, and
    their keys, by their address.
    """

    def __init__(self, address: str = "127.0.0.1", port: int = 0) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []
        self.posted: list[str] = []
        self._server = _Server((address, port or free_port()), _handler(self))
        self.port = self._server.server_port
        self.url = f"http://{address}:{self.port}"

    @contextmanager
    def running(self) -> Iterator["HttpHost"]:
        thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()


def json_answer(value: Any, **headers: str) -> Answer:
    return text_answer(json.dumps(value).encode(), **{"Content-Type": "application/json", **headers})


def text_answer(body: bytes, status: int = 200, **headers: str) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)

    return answer


def _handler(host: HttpHost) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            host.asked.append(self.path)
            try:
                host.answers.get(self.path, text_answer(b"", 404))(self)
            except OSError:  # who asked has gone
                self.close_connection = True

        def do_POST(self) -> None:
            host.posted.append(self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode())
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Not to the tests' output."""

    return Handler
