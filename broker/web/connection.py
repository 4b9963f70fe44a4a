"""The life of one connection: bytes in, whole requests to the door, responses out, one after the other.

The grammar of HTTP/1.1 (RFC 9112) is llhttp's, through httptools, in its strict mode: it is llhttp that refuses two
lengths, a length beside chunks, and line ends of one character, which others might read otherwise. For which host a
request is, `target.py` says, and refuses what is unclear. What is here is what a connection may take up:

- a request's head has to be whole within KEEP_ALIVE_SECONDS after the response before it, its body within
  BODY_SECONDS after the head; neither may be larger than its limit;
- requests that are sent ahead wait their turn, and responses keep their order (RFC 9112, section 9.3.2); while some
  wait, no more are taken up;
- whoever does not read its responses gets no more of them, and is cut off in the end.

What is HTTP but beyond a limit goes to the door all the same, as a request with `trouble`: it is the door that
refuses it, and leaves a record of it. Bytes that are no HTTP are told to the operator's log only: what they ask, and
of whom, nobody can say.

After either nothing that follows on the connection can be trusted to begin where it seems to: the connection is deaf
from there on, answers what it had understood, and closes.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from typing import NoReturn, Protocol, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from broker.web.http import Answer, Request, Response, Trouble, header_lines, render_response
from broker.web.sockets import Peer
from broker.web.target import UnclearHost, origin_form, require_host

# Longer than a reverse proxy keeps its idle connections (nginx: 60 s), so that it is the proxy that closes them.
KEEP_ALIVE_SECONDS = 75.0
BODY_SECONDS = 20.0
LAST_SECONDS = 1.0  # for the rest of a body, once the server stops
LINGER_SECONDS = 2.0  # for a client that still sends what was refused: it shall see the answer, not a reset
LONGEST_TARGET = 16 << 10  # bytes: a presigned URL carries a session token of up to 4,096
LONGEST_HEADER = 8 << 10
MOST_HEADERS = 64
LARGEST_HEAD = 128 << 10
MOST_WAITING = 32  # requests sent ahead

_VERSIONS = ("1.1", "1.0")

_NOT_HTTP = Response(
    400,
    header_lines({"Content-Type": "text/plain; charset=utf-8", "Server": "broker"}),
    b"This is not an HTTP request that can be read.\n",
)

_logger = logging.getLogger("broker.web")


class Unreadable(Exception):
    """Raised in a callback of the parser, which reads no further then."""


class ConnectionServer(Protocol):
    """The server of a connection, as far as the connection needs it; `clock` gives epoch seconds."""

    @property
    def answer(self) -> Answer: ...
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
        self._waiting: deque[Request | None] = deque()  # None stands for what could not be read
        self._task: asyncio.Task[None] | None = None
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._is_deaf = self._is_held_back = self._is_lost = False
        self._deadline = self._loop.time() + KEEP_ALIVE_SECONDS
        self.on_message_begin()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._peer = Peer(transport)
        self._timer = self._loop.call_at(self._deadline, self._watch)
        self._server.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        # An answer in the making is made to its end: what it does may not be half done, and it leaves a record. Until
        # then the server counts the connection as its own.
        self._is_deaf = self._is_lost = True
        self._may_write.set()
        self._timer.cancel()
        if self._task is None:
            self._server.remove(self)

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            return
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            self._is_deaf = True  # another protocol is wanted: answered in this one, and closed
        except HttpParserError as error:
            self._hear_no_more(error)
        if self._is_deaf:
            return
        if self._awaits_body:
            self._receive_more_body()
        elif self._received > LARGEST_HEAD:
            self._receive_no_more_head()

    def eof_received(self) -> bool:
        """The client sends no more; what it has asked is still answered, where one direction can be closed alone."""
        self._is_deaf = True
        return self._task is not None and not self._peer.is_secure

    def pause_writing(self) -> None:
        self._may_write.clear()
        self._transport.pause_reading()
        self._expect_within(KEEP_ALIVE_SECONDS)

    def resume_writing(self) -> None:
        self._may_write.set()
        if not self._is_held_back:
            self._transport.resume_reading()

    def on_message_begin(self) -> None:
        self._target = b""
        self._headers: list[tuple[str, str]] = []
        self._body = bytearray()
        # Bytes of this message, more or less: those that came together with another's are not counted.
        self._received = 0
        self._is_in_head = True
        self._awaits_body = self._is_body_timed = False

    def on_url(self, part: bytes) -> None:
        self._target += part
        if len(self._target) > LONGEST_TARGET:
            self._give_up(Trouble.HEAD_TOO_LARGE)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._is_in_head:
            return  # a trailer: what comes after the body does not pass for what came before it
        if len(name) + len(value) > LONGEST_HEADER or len(self._headers) == MOST_HEADERS:
            self._give_up(Trouble.HEAD_TOO_LARGE)
        # RFC 9112, section 5.1: blanks around a value are no part of it; llhttp takes off those in front.
        text = value.rstrip(b" \t").decode("utf-8", "surrogateescape")
        self._headers.append((_header_name(name), text))

    def on_headers_complete(self) -> None:
        self._is_in_head, self._awaits_body, self._received = False, True, 0
        version = self._parser.get_http_version()
        if version not in _VERSIONS:
            raise Unreadable("neither HTTP/1.1 nor HTTP/1.0")
        is_asking = False
        host: str | None = None
        for name, value in self._headers:
            if name == "host":
                if host is not None:
                    raise Unreadable("two Host headers")
                host = value
            if name == "content-length" and int(value) > self._server.maximum_body:
                self._give_up(Trouble.TOO_LARGE)
            if name == "transfer-encoding" and version == "1.0":
                # RFC 9112, section 6.1: who wrote that may have sent it through somebody who reads no chunks.
                raise Unreadable("chunks in HTTP/1.0")
            if name == "expect":
                is_asking = value.lower() == "100-continue"
        self._read_host(host, version)
        # RFC 9110, section 10.1.1: the client waits with the body until it is told that it is wanted.
        if is_asking and self._task is None and version == "1.1":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _read_host(self, host: str | None, version: str) -> None:
        try:
            require_host(host, version)
            self._target, named = origin_form(self._target, host)
        except UnclearHost as error:
            raise Unreadable(str(error)) from None
        if named is not None and host is None:
            self._headers.append(("host", named))

    def on_body(self, part: bytes) -> None:
        self._body += part
        if len(self._body) > self._server.maximum_body:
            self._give_up(Trouble.TOO_LARGE)

    def on_message_complete(self) -> None:
        if len(self._waiting) == MOST_WAITING:
            self._give_up(Trouble.TOO_MANY)
        self._is_in_head, self._awaits_body, self._received = True, False, 0
        self._hear()
        self._target = b""

    def _receive_more_body(self) -> None:
        """Chunks may hold more than their content: extensions, trailers, and a frame around each byte."""
        if self._received > 2 * self._server.maximum_body + LARGEST_HEAD:
            self._refuse(Trouble.TOO_LARGE)
        elif not self._is_body_timed:
            self._is_body_timed = True
            self._expect_within(LAST_SECONDS if self._server.is_stopping else BODY_SECONDS)

    def _receive_no_more_head(self) -> None:
        if self._target:
            self._refuse(Trouble.HEAD_TOO_LARGE)
        else:
            self._hear_no_more(Unreadable("no request line"))

    def _give_up(self, trouble: Trouble) -> NoReturn:
        """For callbacks of the parser, which reads no further then."""
        self._refuse(trouble)
        raise Unreadable(trouble.value)

    def _refuse(self, trouble: Trouble) -> None:
        self._is_deaf, self._awaits_body = True, False
        self._body.clear()
        self._hear(trouble)

    def _hear(self, trouble: Trouble | None = None) -> None:
        parser = self._parser
        request = Request(
            parser.get_method().decode("latin-1"),
            self._target.decode("utf-8", "surrogateescape"),
            tuple(self._headers),
            bytes(self._body),
            self._peer,
            parser.should_keep_alive(),
            trouble,
        )
        self._put(request)

    def _hear_no_more(self, error: Exception) -> None:
        if self._is_deaf:
            return
        self._is_deaf, self._awaits_body = True, False
        # Told without being quoted: what could not be read may hold a signature or a token.
        causes = (error, error.__context__)  # the parser wraps what a callback raises
        reason = next((cause for cause in causes if isinstance(cause, Unreadable)), type(error).__name__)
        _logger.info(
            "not an HTTP request", extra={"facts": {"source": self._peer.address, "reason": str(reason)}}
        )
        self._put(None)

    def _put(self, request: Request | None) -> None:
        self._waiting.append(request)
        if self._task is None:
            self._task = self._loop.create_task(self._answer_waiting())
        elif not self._is_held_back:
            self._is_held_back = True
            self._transport.pause_reading()

    async def _answer_waiting(self) -> None:
        """Respond to all that waits. A door answers whatever happens; should one raise, asyncio logs what."""
        is_sound = False
        try:
            while self._waiting and not self._transport.is_closing():
                request = self._waiting.popleft()
                response = _NOT_HTTP if request is None else await self._server.answer(request)
                if not self._may_write.is_set():
                    await self._may_write.wait()
                self._respond(request, response)
            if self._is_held_back:
                self._hear_again()
            if not self._is_deaf:
                self._deadline = self._loop.time() + KEEP_ALIVE_SECONDS
            is_sound = True
        finally:
            self._task = None
            if self._is_lost:
                self._server.remove(self)
            elif not is_sound:
                self._transport.abort()

    def _hear_again(self) -> None:
        self._is_held_back = False
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
            self._close(is_refused=request is None or request.trouble is not None)

    def _keeps_alive_after(self, request: Request | None) -> bool:
        if request is None or not request.keeps_alive or request.trouble is not None:
            return False
        return bool(self._waiting) or not (self._is_deaf or self._server.is_stopping)

    def _close(self, *, is_refused: bool) -> None:
        self._is_deaf, self._awaits_body = True, False
        self._waiting.clear()
        if not is_refused:
            self._transport.close()
            self._expect_within(KEEP_ALIVE_SECONDS)
            return
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._expect_within(LINGER_SECONDS)

    def finish(self) -> None:
        """The server stops: answer what was asked, wait a moment for what is on its way, and close."""
        if self._is_lost:
            return
        if self._awaits_body:
            self._expect_within(LAST_SECONDS)
        elif self._task is None and not self._is_deaf:
            self._transport.close()

    def abort(self) -> None:
        if not self._is_lost:
            self._transport.abort()

    @property
    def waits_since(self) -> float | None:
        """Since when (by the loop's clock) nothing but the client is waited for; None while it waits for us."""
        if self._task is not None and self._may_write.is_set():
            return None
        is_in_body = self._awaits_body and self._is_body_timed
        return self._deadline - (BODY_SECONDS if is_in_body else KEEP_ALIVE_SECONDS)

    def _expect_within(self, seconds: float) -> None:
        self._deadline = self._loop.time() + seconds
        if self._timer.when() > self._deadline:
            self._timer.cancel()
            self._timer = self._loop.call_at(self._deadline, self._watch)

    def _watch(self) -> None:
        """The time may be up. One timer for a connection's whole life, since deadlines mostly move on in time."""
        if self._task is not None and self._may_write.is_set():
            self._deadline = self._loop.time() + KEEP_ALIVE_SECONDS  # it is we who let the client wait
        elif self._loop.time() >= self._deadline:
            if self._awaits_body:
                self._refuse(Trouble.LATE)
                self._deadline = self._loop.time() + KEEP_ALIVE_SECONDS
            elif self._may_write.is_set() and not self._transport.is_closing():
                # What is written may still be on its way, but not for ever: a client need not read it.
                self._transport.close()
                self._deadline = self._loop.time() + KEEP_ALIVE_SECONDS
            else:
                self._transport.abort()
                return
        self._timer = self._loop.call_at(self._deadline, self._watch)


@lru_cache(maxsize=512)
def _header_name(name: bytes) -> str:
    return name.decode("ascii").lower()
