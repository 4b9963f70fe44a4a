"""One HTTP/1.1 connection: bytes in, complete requests to the handler, responses out, one after the other.

llhttp, through httptools, parses HTTP/1.1 (RFC 9112) in its strict mode: it refuses two lengths, a length beside
chunks, and line ends of one character, which other parsers might read differently. `target.py` finds the host of a
request and refuses an ambiguous one. This module enforces the limits of a connection:

- a request's head must be complete within KEEP_ALIVE_SECONDS after the previous response, its body within
  BODY_SECONDS after the head; neither may be larger than its limit;
- pipelined requests are queued and answered in order (RFC 9112, section 9.3.2); while some are queued, the connection
  is not read;
- a client that does not read its responses gets no more of them, and its connection is closed in the end.

A request that exceeds a limit still goes to the handler, with `limit_exceeded` set: the handler refuses it and writes
the audit record. Bytes that are not HTTP are only logged for the operator: no service or operation can be read in them.

After either, the start of the next request cannot be found reliably: the connection reads no more, answers the
requests before, and closes.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from typing import NoReturn, Protocol, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from broker.web.http import Handler, LimitExceeded, Request, Response, header_lines, render_response
from broker.web.sockets import Peer
from broker.web.target import UnclearHost, origin_form, require_host

# Longer than the keep-alive time of a reverse proxy (nginx: 60 s), so that the proxy closes idle connections.
KEEP_ALIVE_SECONDS = 75.0
BODY_SECONDS = 20.0
STOPPING_BODY_SECONDS = 1.0  # for the rest of a body, when the server stops
# A client that still sends a refused request gets the answer before the close, not a reset.
LINGER_SECONDS = 2.0
LONGEST_TARGET = 16 << 10  # bytes: a presigned URL carries a session token of up to 4,096
LONGEST_HEADER = 8 << 10
# A signature with the key of a certificate, the certificate, its chain of five: with ML-DSA-87 each of these takes ten
# thousand characters.
LONGEST_OF_CERTIFICATES = {
    b"authorization": 16 << 10,
    b"x-amz-x509": 20 << 10,
    b"x-amz-x509-chain": 64 << 10,
}
MOST_HEADERS = 64
LARGEST_HEAD = 128 << 10
MOST_PIPELINED = 32  # requests in the queue

_VERSIONS = ("1.1", "1.0")

_NOT_HTTP = Response(
    400,
    header_lines({"Content-Type": "text/plain; charset=utf-8", "Server": "broker"}),
    b"This is not an HTTP request that can be read.\n",
)

_logger = logging.getLogger("broker.web")


def _longest(header: bytes) -> int:
    return LONGEST_OF_CERTIFICATES.get(header.lower(), LONGEST_HEADER)


class UnreadableRequest(Exception):
    """Raised in a callback of the parser, so that it stops."""


class ConnectionServer(Protocol):
    """What a connection needs of its server; `clock` gives epoch seconds."""

    @property
    def answer(self) -> Handler: ...
    @property
    def clock(self) -> Callable[[], float]: ...
    @property
    def maximum_body(self) -> int: ...
    @property
    def is_stopping(self) -> bool: ...
    def add(self, connection: "Connection") -> None: ...
    def remove(self, connection: "Connection") -> None: ...


class Connection(asyncio.Protocol):
    """asyncio calls the methods of the first group, the parser those of the second."""

    def __init__(self, server: ConnectionServer) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._parser = HttpRequestParser(self)
        self._queue: deque[Request | None] = deque()  # None: not HTTP
        self._task: asyncio.Task[None] | None = None
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._is_input_closed = self._is_reading_paused = self._is_lost = False
        self._deadline = self._loop.time() + KEEP_ALIVE_SECONDS
        self.on_message_begin()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._peer = Peer(transport)
        self._timer = self._loop.call_at(self._deadline, self._check_deadline)
        self._server.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        # A running handler is not cancelled: its work must not be left half done, and it writes a record. Until it
        # ends the server still counts the connection.
        self._is_input_closed = self._is_lost = True
        self._may_write.set()
        self._timer.cancel()
        if self._task is None:
            self._server.remove(self)

    def data_received(self, data: bytes) -> None:
        if self._is_input_closed:
            return
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            # The client asks for another protocol: answered in this one, and closed.
            self._is_input_closed = True
        except HttpParserError as error:
            self._reject_input(error)
        if self._is_input_closed:
            return
        if self._awaits_body:
            self._check_body()
        elif self._received > LARGEST_HEAD:
            self._refuse_head()

    def eof_received(self) -> bool:
        """The client sends no more. Its requests are still answered, except with TLS, which has no half-close."""
        self._is_input_closed = True
        return self._task is not None and not self._peer.is_secure

    def pause_writing(self) -> None:
        self._may_write.clear()
        self._transport.pause_reading()
        self._set_deadline(KEEP_ALIVE_SECONDS)

    def resume_writing(self) -> None:
        self._may_write.set()
        if not self._is_reading_paused:
            self._transport.resume_reading()

    def on_message_begin(self) -> None:
        self._target = b""
        self._headers: list[tuple[str, str]] = []
        self._body = bytearray()
        # Bytes of this message; those that arrived in one read with another message are not counted.
        self._received = 0
        self._is_in_head = True
        self._awaits_body = self._is_body_timed = False

    def on_url(self, part: bytes) -> None:
        self._target += part
        if len(self._target) > LONGEST_TARGET:
            self._refuse_while_parsing(LimitExceeded.HEAD_TOO_LARGE)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._is_in_head:
            return  # a trailer is not a header
        size = len(name) + len(value)
        if len(self._headers) == MOST_HEADERS or (size > LONGEST_HEADER and size > _longest(name)):
            self._refuse_while_parsing(LimitExceeded.HEAD_TOO_LARGE)
        # RFC 9112, section 5.1: white space around a value is not part of it; llhttp strips the leading part.
        text = value.rstrip(b" \t").decode("utf-8", "surrogateescape")
        self._headers.append((_header_name(name), text))

    def on_headers_complete(self) -> None:
        self._is_in_head, self._awaits_body, self._received = False, True, 0
        version = self._parser.get_http_version()
        if version not in _VERSIONS:
            raise UnreadableRequest("neither HTTP/1.1 nor HTTP/1.0")
        expects_continue = False
        host: str | None = None
        for name, value in self._headers:
            if name == "host":
                if host is not None:
                    raise UnreadableRequest("two Host headers")
                host = value
            if name == "content-length" and int(value) > self._server.maximum_body:
                self._refuse_while_parsing(LimitExceeded.TOO_LARGE)
            if name == "transfer-encoding" and version == "1.0":
                # RFC 9112, section 6.1: a proxy that does not know chunks may have forwarded it.
                raise UnreadableRequest("chunks in HTTP/1.0")
            if name == "expect":
                expects_continue = value.lower() == "100-continue"
        self._read_host(host, version)
        # RFC 9110, section 10.1.1: the client sends its body after this answer.
        if expects_continue and self._task is None and version == "1.1":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _read_host(self, host: str | None, version: str) -> None:
        try:
            require_host(host, version)
            self._target, named = origin_form(self._target, host)
        except UnclearHost as error:
            raise UnreadableRequest(str(error)) from None
        if named is not None and host is None:
            self._headers.append(("host", named))

    def on_body(self, part: bytes) -> None:
        self._body += part
        if len(self._body) > self._server.maximum_body:
            self._refuse_while_parsing(LimitExceeded.TOO_LARGE)

    def on_message_complete(self) -> None:
        if len(self._queue) == MOST_PIPELINED:
            self._refuse_while_parsing(LimitExceeded.TOO_MANY)
        self._is_in_head, self._awaits_body, self._received = True, False, 0
        self._enqueue_request()
        self._target = b""

    def _check_body(self) -> None:
        """Bound the bytes of a body, chunk extensions, trailers and frames included, and start its timer."""
        if self._received > 2 * self._server.maximum_body + LARGEST_HEAD:
            self._refuse(LimitExceeded.TOO_LARGE)
        elif not self._is_body_timed:
            self._is_body_timed = True
            self._set_deadline(STOPPING_BODY_SECONDS if self._server.is_stopping else BODY_SECONDS)

    def _refuse_head(self) -> None:
        if self._target:
            self._refuse(LimitExceeded.HEAD_TOO_LARGE)
        else:
            self._reject_input(UnreadableRequest("no request line"))

    def _refuse_while_parsing(self, limit_exceeded: LimitExceeded) -> NoReturn:
        """Refuse, and stop the parser; for its callbacks."""
        self._refuse(limit_exceeded)
        raise UnreadableRequest(limit_exceeded.value)

    def _refuse(self, limit_exceeded: LimitExceeded) -> None:
        self._is_input_closed, self._awaits_body = True, False
        self._body.clear()
        self._enqueue_request(limit_exceeded)

    def _enqueue_request(self, limit_exceeded: LimitExceeded | None = None) -> None:
        parser = self._parser
        request = Request(
            parser.get_method().decode("latin-1"),
            self._target.decode("utf-8", "surrogateescape"),
            tuple(self._headers),
            bytes(self._body),
            self._peer,
            parser.should_keep_alive(),
            limit_exceeded,
        )
        self._enqueue(request)

    def _reject_input(self, error: Exception) -> None:
        if self._is_input_closed:
            return
        self._is_input_closed, self._awaits_body = True, False
        # The bytes themselves are not logged: they may hold a signature or a token.
        causes = (error, error.__context__)  # the parser wraps what a callback raises
        reason = next(
            (cause for cause in causes if isinstance(cause, UnreadableRequest)), type(error).__name__
        )
        _logger.info(
            "not an HTTP request", extra={"facts": {"source": self._peer.address, "reason": str(reason)}}
        )
        self._enqueue(None)

    def _enqueue(self, request: Request | None) -> None:
        self._queue.append(request)
        if self._task is None:
            self._task = self._loop.create_task(self._answer_queue())
        elif not self._is_reading_paused:
            self._is_reading_paused = True
            self._transport.pause_reading()

    async def _answer_queue(self) -> None:
        """Answer the queue. The handler never raises; should it do so, asyncio logs the exception."""
        is_complete = False
        try:
            while self._queue and not self._transport.is_closing():
                request = self._queue.popleft()
                response = _NOT_HTTP if request is None else await self._server.answer(request)
                if not self._may_write.is_set():
                    await self._may_write.wait()
                self._respond(request, response)
            if self._is_reading_paused:
                self._resume_reading()
            if not self._is_input_closed:
                self._deadline = self._loop.time() + KEEP_ALIVE_SECONDS
            is_complete = True
        finally:
            self._task = None
            if self._is_lost:
                self._server.remove(self)
            elif not is_complete:
                self._transport.abort()

    def _resume_reading(self) -> None:
        self._is_reading_paused = False
        if self._may_write.is_set() and not self._transport.is_closing():
            self._transport.resume_reading()

    def _respond(self, request: Request | None, response: Response) -> None:
        if self._transport.is_closing():
            return
        keeps_alive = self._keeps_alive_after(request)
        is_head = request is not None and request.method == "HEAD"
        now = self._server.clock()
        self._transport.write(render_response(response, now, is_head=is_head, keeps_alive=keeps_alive))
        if not keeps_alive:
            self._close(is_refused=request is None or request.limit_exceeded is not None)

    def _keeps_alive_after(self, request: Request | None) -> bool:
        if request is None or not request.keeps_alive or request.limit_exceeded is not None:
            return False
        return bool(self._queue) or not (self._is_input_closed or self._server.is_stopping)

    def _close(self, *, is_refused: bool) -> None:
        self._is_input_closed, self._awaits_body = True, False
        self._queue.clear()
        if not is_refused:
            self._transport.close()
            self._set_deadline(KEEP_ALIVE_SECONDS)
            return
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._set_deadline(LINGER_SECONDS)

    def finish(self) -> None:
        """The server stops: answer complete requests, wait STOPPING_BODY_SECONDS for a begun body, and close."""
        if self._is_lost:
            return
        if self._awaits_body:
            self._set_deadline(STOPPING_BODY_SECONDS)
        elif self._task is None and not self._is_input_closed:
            self._transport.close()

    def abort(self) -> None:
        if not self._is_lost:
            self._transport.abort()

    @property
    def idle_since(self) -> float | None:
        """Since when (the loop's clock) the connection waits for its client; None while a request is being answered."""
        if self._task is not None and self._may_write.is_set():
            return None
        is_in_body = self._awaits_body and self._is_body_timed
        return self._deadline - (BODY_SECONDS if is_in_body else KEEP_ALIVE_SECONDS)

    def _set_deadline(self, seconds: float) -> None:
        self._deadline = self._loop.time() + seconds
        if self._timer.when() > self._deadline:
            self._timer.cancel()
            self._timer = self._loop.call_at(self._deadline, self._check_deadline)

    def _check_deadline(self) -> None:
        """Act on the deadline if it has passed. One timer serves the whole connection, since deadlines mostly move."""
        if self._task is not None and self._may_write.is_set():
            self._deadline = self._loop.time() + KEEP_ALIVE_SECONDS  # the handler is running
        elif self._loop.time() >= self._deadline:
            if self._awaits_body:
                self._refuse(LimitExceeded.LATE)
                self._deadline = self._loop.time() + KEEP_ALIVE_SECONDS
            elif self._may_write.is_set() and not self._transport.is_closing():
                # The client may never read what is still in the write buffer: close, and abort at the next deadline.
                self._transport.close()
                self._deadline = self._loop.time() + KEEP_ALIVE_SECONDS
            else:
                self._transport.abort()
                return
        self._timer = self._loop.call_at(self._deadline, self._check_deadline)


@lru_cache(maxsize=512)
def _header_name(name: bytes) -> str:
    return name.decode("ascii").lower()
