"""Bytes on a connection, answered by a handler that echoes the request."""

import asyncio
import gc
import json
import logging
import socket
import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.web import connection as limits
from broker.web.http import LimitExceeded, Request, Response
from broker.web.server import Server
from tests.conditions import until

MAXIMUM = 10_000


class EchoHandler:
    """Answers with what it received, once `may_answer` is set; `size` pads the answers."""

    def __init__(self) -> None:
        self.received: list[Request] = []
        self.answered: list[Request] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.size = 0

    async def answer(self, request: Request) -> Response:
        self.received.append(request)
        await self.may_answer.wait()
        self.answered.append(request)
        echo = {
            "method": request.method,
            "target": request.target,
            "headers": request.headers,
            "body": request.body.decode("latin-1"),
            "limit_exceeded": request.limit_exceeded.name if request.limit_exceeded else None,
            "padding": "x" * self.size,
        }
        return Response(200, b"Content-Type: application/json\r\n", json.dumps(echo).encode())


class Peer:
    """A client that sends bytes and reads responses one by one."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def response(self, *, has_body: bool = True) -> tuple[int, dict[str, str], bytes]:
        async with asyncio.timeout(10):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            status, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            body = await self.reader.readexactly(int(headers["content-length"])) if has_body else b""
        return int(status.split()[1]), headers, body

    async def echo(self) -> dict[str, Any]:
        status, _, body = await self.response()
        assert status == 200
        return json.loads(body)

    async def rest(self) -> bytes:
        """Until the server closes, which may be by a reset."""
        async with asyncio.timeout(10):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""


class RunningServer:
    def __init__(self, server: Server, handler: EchoHandler, port: int) -> None:
        self.server, self.handler, self.port = server, handler, port
        self.peers: list[Peer] = []

    async def peer(self) -> Peer:
        peer = Peer(*await asyncio.open_connection("127.0.0.1", self.port))
        self.peers.append(peer)
        return peer


@pytest.fixture
async def served() -> AsyncIterator[RunningServer]:
    handler = EchoHandler()
    server = Server(handler.answer, lambda: 1_800_000_000.0, maximum_body=MAXIMUM)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    await server.listen([listener])
    made = RunningServer(server, handler, listener.getsockname()[1])
    yield made
    handler.may_answer.set()
    for peer in made.peers:
        peer.writer.close()
    await server.stop(5)


RESET_ON_CLOSE = struct.pack("ii", 1, 0)
GET = b"GET /one?two=%20 HTTP/1.1\r\nHost: here\r\n\r\n"


def post(body: bytes, *headers: bytes) -> bytes:
    lines = [b"POST / HTTP/1.1", b"Host: here", b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join([*lines, b"", body])


def chunked(*chunks: bytes, trailer: bytes = b"") -> bytes:
    framed = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return (
        b"POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n"
        + framed
        + b"0\r\n"
        + trailer
        + b"\r\n"
    )


# What is read


async def test_a_request_is_received_as_it_was_sent(served: RunningServer):
    peer = await served.peer()
    peer.send(
        b"POST /a%2Fb?c=%20 HTTP/1.1\r\nHoST: here\r\nX-A:  one \r\nx-a: \xff\r\nX-B:\r\nContent-Length: 3\r\n\r\nabc"
    )
    assert await peer.echo() == {
        "method": "POST",
        "target": "/a%2Fb?c=%20",
        "headers": [
            ["host", "here"],
            ["x-a", "one"],
            ["x-a", "\udcff"],
            ["x-b", ""],
            ["content-length", "3"],
        ],
        "body": "abc",
        "limit_exceeded": None,
        "padding": "",
    }


@pytest.mark.parametrize(
    ("sent", "target", "hosts"),
    [
        (b"GET http://here/one?two=%20 HTTP/1.1\r\nHost: here\r\n\r\n", "/one?two=%20", ["here"]),
        (b"GET http://HERE:80 HTTP/1.1\r\nHost: here\r\n\r\n", "/", ["here"]),
        (b"GET http://here/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "/", ["here"]),
        (b"OPTIONS * HTTP/1.1\r\nHost: here\r\n\r\n", "*", ["here"]),
    ],
)
async def test_a_request_line_in_the_absolute_form_is_received_in_the_origin_form(
    served: RunningServer, sent: bytes, target: str, hosts: list[str]
):
    peer = await served.peer()
    for cut in (0, 12):
        peer.send(sent[:cut])
        await asyncio.sleep(0)
        peer.send(sent[cut:])
        echo = await peer.echo()
        assert echo["target"] == target
        assert [value for name, value in echo["headers"] if name == "host"] == hosts


async def test_a_response_has_its_length_and_the_date_of_the_clock(served: RunningServer):
    peer = await served.peer()
    peer.send(GET)
    status, headers, body = await peer.response()
    assert (status, headers["date"]) == (200, "Fri, 15 Jan 2027 08:00:00 GMT")
    assert int(headers["content-length"]) == len(body)
    assert "connection" not in headers


@given(st.lists(st.integers(1, 400), max_size=12), st.data())
def test_where_packets_end_says_nothing(cuts: list[int], data: st.DataObject):
    """However TCP splits two requests, the same two are received: one with a length, one in chunks."""
    whole = post(b"a" * 300, b"X-Long: " + b"b" * 100) + chunked(b"c" * 20, b"d", b"e" * 100)
    assert asyncio.run(_bodies_of(whole, cuts)) == ["a" * 300, "c" * 20 + "d" + "e" * 100]


_PIECES = st.sampled_from(
    [
        b"GET / HTTP/1.1\r\n",
        b"POST /a HTTP/1.0\r\n",
        b"Host: a\r\n",
        b"Content-Length: 3\r\n",
        b"\r\n",
        b"abc",
        b"Transfer-Encoding: chunked\r\n",
        b"3\r\nabc\r\n",
        b"0\r\n\r\n",
        b"Expect: 100-continue\r\n",
        b"Upgrade: x\r\n",
        b"Connection: upgrade\r\n",
        b"Content-Length: 99999999999\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"CONNECT a:1 HTTP/1.1\r\n",
    ]
)


@given(st.lists(_PIECES | st.binary(max_size=20), max_size=30))
def test_no_bytes_break_a_connection(pieces: list[bytes]):
    """Whatever arrives: no exception, no second answer to what was refused, nothing received after it."""
    received, written = asyncio.run(_run(pieces))
    refused = [served for served, response in enumerate(written) if response.startswith(b"HTTP/1.1 400")]
    assert len(refused) <= 1 and len(received) + len(refused) == len(written)
    assert refused in ([], [len(written) - 1])


async def _run(pieces: list[bytes]) -> tuple[list[Request], list[bytes]]:
    handler = EchoHandler()
    connection, transport = limits.Connection(Server(handler.answer, lambda: 0.0)), _RecordingTransport()
    connection.connection_made(transport)
    for piece in pieces:
        connection.data_received(piece)
        for _ in range(3):
            await asyncio.sleep(0)
    connection.connection_lost(None)
    return handler.received, [data for data in transport.written if not data.startswith(b"HTTP/1.1 100 ")]


async def _bodies_of(whole: bytes, cuts: list[int]) -> list[str]:
    handler = EchoHandler()
    server = Server(handler.answer, lambda: 0.0)
    connection, transport = limits.Connection(server), _RecordingTransport()
    connection.connection_made(transport)
    for cut in cuts:
        connection.data_received(whole[:cut])
        whole = whole[cut:]
    if whole:
        connection.data_received(whole)
    async with asyncio.timeout(5):
        while len(transport.written) < 2:
            await asyncio.sleep(0)
    connection.connection_lost(None)
    return [request.body.decode() for request in handler.received]


class _RecordingTransport(asyncio.Transport):
    """Records what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:  # type: ignore[override]
        self.written.append(data)

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass

    def can_write_eof(self) -> bool:
        return False


async def test_pipelined_requests_are_answered_in_order(served: RunningServer):
    served.handler.may_answer.clear()
    peer = await served.peer()
    peer.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: here\r\n\r\n" % number for number in range(20)))
    await until(lambda: served.handler.received)
    await asyncio.sleep(0.05)
    assert len(served.handler.received) == 1
    served.handler.may_answer.set()
    assert [(await peer.echo())["target"] for _ in range(20)] == [f"/{number}" for number in range(20)]


async def test_too_many_pipelined_requests_are_not_all_answered(served: RunningServer):
    served.handler.may_answer.clear()
    peer = await served.peer()
    peer.send(GET * 200)
    await until(lambda: any(one._is_input_closed for one in served.server._connections))
    served.handler.may_answer.set()
    await peer.rest()
    *sound, last = served.handler.answered
    assert len(sound) in (limits.MOST_PIPELINED, limits.MOST_PIPELINED + 1)
    assert last.limit_exceeded is LimitExceeded.TOO_MANY and not any(
        request.limit_exceeded for request in sound
    )


async def test_while_requests_are_queued_no_more_are_read(served: RunningServer):
    served.server.maximum_body = 200_000
    served.handler.may_answer.clear()
    peer, sent = await served.peer(), [b"%d" % number + b"a" * 199_000 for number in range(20)]
    peer.send(b"".join(post(body) for body in sent))
    await asyncio.sleep(0.2)
    (connection,) = served.server._connections
    assert sum(len(waiting.body) for waiting in connection._queue if waiting) < 1_000_000
    served.handler.may_answer.set()
    assert [(await peer.echo())["body"].encode() for _ in sent] == sent


async def test_a_trailer_is_no_header(served: RunningServer):
    peer = await served.peer()
    peer.send(chunked(b"abc", trailer=b"X-Forwarded-For: 1.2.3.4\r\nAuthorization: me\r\n") + GET)
    echo = await peer.echo()
    assert echo["body"] == "abc"
    assert [name for name, _ in echo["headers"]] == ["host", "transfer-encoding"]
    assert (await peer.echo())["headers"] == [["host", "here"]]


async def test_a_client_that_expects_100_continue_gets_it(served: RunningServer):
    peer = await served.peer()
    request = post(b"abc", b"Expect: 100-Continue")
    peer.send(request[:-3])
    assert await peer.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    peer.send(b"abc")
    assert (await peer.echo())["body"] == "abc"


async def test_a_body_that_is_too_large_gets_no_100_continue(served: RunningServer):
    peer = await served.peer()
    peer.send(b"POST / HTTP/1.1\r\nHost: here\r\nExpect: 100-continue\r\nContent-Length: 10001\r\n\r\n")
    assert (await peer.echo())["limit_exceeded"] == "TOO_LARGE"


# How long a connection lasts


@pytest.mark.parametrize(
    ("head", "is_kept"),
    [
        (b"GET / HTTP/1.1\r\nHost: here\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\n\r\n", False),
        (b"HEAD / HTTP/1.1\r\nHost: here\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", False),
        (b"CONNECT there:443 HTTP/1.1\r\nHost: there:443\r\n\r\n", False),
    ],
    ids=["1.1", "close", "1.0", "HEAD", "upgrade", "CONNECT"],
)
async def test_a_connection_stays_open_where_both_sides_expect_it(
    served: RunningServer, head: bytes, is_kept: bool
):
    peer = await served.peer()
    peer.send(head)
    status, headers, _ = await peer.response(has_body=not head.startswith(b"HEAD"))
    assert status == 200
    assert headers.get("connection") == (None if is_kept else "close")
    if is_kept:
        peer.send(GET)
        assert (await peer.echo())["target"] == "/one?two=%20"
    else:
        assert await peer.rest() == b""


async def test_what_follows_an_upgrade_request_is_not_read(served: RunningServer):
    peer = await served.peer()
    peer.send(
        b"POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\nContent-Length: 3\r\n\r\nabc"
        + GET
    )
    answered = await peer.rest()
    assert answered.count(b"HTTP/1.1 200") == len(served.handler.received) == 1
    assert served.handler.received[0].body in (b"abc", b"")


async def test_a_half_closed_connection_still_gets_its_answer(served: RunningServer):
    served.handler.may_answer.clear()
    peer = await served.peer()
    peer.send(GET)
    peer.writer.write_eof()
    await asyncio.sleep(0.05)
    served.handler.may_answer.set()
    assert (await peer.echo())["target"] == "/one?two=%20"
    assert await peer.rest() == b""


async def gone_while_it_is_answered(served: RunningServer) -> None:
    """A client that sends a request, and resets its connection before the handler has answered."""
    served.handler.may_answer.clear()
    peer = await served.peer()
    peer.send(GET)
    await until(lambda: served.handler.received)
    (connection,) = served.server._connections
    peer.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    peer.writer.transport.abort()
    await until(lambda: connection._is_lost)


async def test_a_handler_whose_client_is_gone_runs_to_its_end(served: RunningServer):
    await gone_while_it_is_answered(served)
    (connection,) = served.server._connections
    assert connection._is_lost and not served.handler.answered
    served.handler.may_answer.set()
    await until(lambda: not served.server._connections)
    assert [request.target for request in served.handler.answered] == ["/one?two=%20"]


async def test_a_stop_waits_for_a_handler_whose_client_is_gone(served: RunningServer):
    """The store and the journal are closed next; without waiting, the handler could not write its record."""
    await gone_while_it_is_answered(served)
    stopping = asyncio.create_task(served.server.stop(5))
    await asyncio.sleep(0.05)
    assert not stopping.done()
    served.handler.may_answer.set()
    await stopping
    assert len(served.handler.answered) == 1


async def test_half_a_request_never_reaches_the_handler(served: RunningServer):
    for end in range(1, len(post(b"abc"))):
        peer = await served.peer()
        peer.send(post(b"abc")[:end])
        peer.writer.write_eof()
        assert await peer.rest() == b""
    assert served.handler.received == []


# What is refused


@pytest.mark.parametrize(
    "sent",
    [
        b"no http at all\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\na",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\na",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\na",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\na\r\n0\r\n\r\n",
        b"POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        # Two cases of AWS's SigV4 suite: get-header-value-multiline and post-vanilla-query-space.
        b"GET / HTTP/1.1\r\nHost: a\r\nMy-Header: one\r\n  two\r\n     three\r\n\r\n",
        b"POST /?f oo=b ar HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: b\x00c\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX\xc3\xa9: b\r\n\r\n",
        b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.0\r\nHost: a\r\nHOST: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: \xff\r\n\r\n",
        b"GET http://a/ HTTP/1.1\r\nX: a\r\n\r\n",
        b"GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n",
        b"GET http://user@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http:///b HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\r\n" * 4 * limits.LARGEST_HEAD,
    ],
)
async def test_what_can_be_read_in_two_ways_or_in_none_is_refused(
    served: RunningServer, sent: bytes, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO, "broker.web")
    peer = await served.peer()
    peer.send(GET + sent)
    assert (await peer.echo())["target"] == "/one?two=%20"
    status, headers, _ = await peer.response()
    assert (status, headers["connection"]) == (400, "close")
    peer.send(GET)
    assert await peer.rest() == b""
    assert len(served.handler.received) == 1
    (record,) = caplog.records
    assert record.getMessage() == "not an HTTP request"
    assert record.facts["source"] == "127.0.0.1" and "\r" not in record.facts["reason"]


_UNREADABLE = {
    "no request line": b"\r\n" * 2 * limits.LARGEST_HEAD,
    "neither HTTP/1.1 nor HTTP/1.0": b"GET / HTTP/2.0\r\n\r\n",
    "no Host header": b"GET / HTTP/1.1\r\n\r\n",
    "two Host headers": b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    "a Host header that names no host": b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    "a request line that names no host": b"GET http://a@b/ HTTP/1.1\r\nHost: b\r\n\r\n",
    "a request line and a Host header that name two hosts": b"GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n",
    "chunks in HTTP/1.0": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HttpParserInvalidMethodError": b"AKIDEXAMPLE\r\n\r\n",  # llhttp's reasons by their names, and never what was sent
}


@pytest.mark.parametrize("reason", _UNREADABLE)
async def test_the_operators_log_says_why_a_request_could_not_be_read(
    served: RunningServer, caplog: pytest.LogCaptureFixture, reason: str
):
    caplog.set_level(logging.INFO, "broker.web")
    peer = await served.peer()
    peer.send(_UNREADABLE[reason])
    assert (await peer.response())[0] == 400
    assert [record.facts["reason"] for record in caplog.records] == [reason]


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * limits.LONGEST_TARGET + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"a" * limits.LONGEST_HEADER + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nX-Amz-X509-Chain: " + b"a" * (64 << 10) + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * (limits.MOST_HEADERS + 1) + b"\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"a" * 4 * limits.LARGEST_HEAD,
        b"GET / HTTP/1.1\r\n" + b"a" * 4 * limits.LARGEST_HEAD,
    ],
    ids=["long line", "long header", "long chain", "many headers", "endless header", "endless name"],
)
async def test_a_head_beyond_its_limits_goes_to_the_handler_and_is_the_last_request(
    served: RunningServer, head: bytes
):
    peer = await served.peer()
    peer.send(GET + head)
    assert (await peer.echo())["limit_exceeded"] is None
    echo = await peer.echo()
    assert (echo["method"], echo["limit_exceeded"]) == ("GET", "HEAD_TOO_LARGE")
    peer.send(GET)
    assert await peer.rest() == b""
    assert len(served.handler.received) == 2


async def test_headers_of_certificates_may_be_longer_than_others(served: RunningServer):
    peer = await served.peer()
    lines = [(name, b"a" * (size - len(name))) for name, size in limits.LONGEST_OF_CERTIFICATES.items()]
    peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(b"%b: %b\r\n" % line for line in lines) + b"\r\n")
    echo = await peer.echo()
    assert (echo["limit_exceeded"], len(echo["headers"])) == (None, 1 + len(lines))


@pytest.mark.parametrize("is_chunked", [False, True], ids=["by length", "in chunks"])
async def test_a_body_may_be_as_large_as_its_limit_and_no_larger(served: RunningServer, is_chunked: bool):
    for size, limit_exceeded in ((MAXIMUM, None), (MAXIMUM + 1, "TOO_LARGE")):
        peer = await served.peer()
        body = b"a" * size
        peer.send(chunked(body[:5000], body[5000:]) if is_chunked else post(body))
        echo = await peer.echo()
        assert (echo["limit_exceeded"], len(echo["body"])) == (limit_exceeded, 0 if limit_exceeded else size)
    assert await peer.rest() == b""


async def test_endless_chunk_extensions_and_trailers_are_refused(served: RunningServer):
    for endless in (b"1;" + b"x" * 4000, b"0\r\nX: " + b"x" * 4000):
        peer = await served.peer()
        peer.send(b"POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n" + endless)
        for _ in range(200):
            peer.send(b"x" * 4000)
            await asyncio.sleep(0)
        status, headers, body = await peer.response()
        assert (status, headers["connection"]) in ((200, "close"), (400, "close"))
        assert status == 400 or json.loads(body)["limit_exceeded"] == "TOO_LARGE"


async def test_a_body_that_does_not_come_is_answered_as_late(
    served: RunningServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(limits, "BODY_SECONDS", 0.1)
    peer = await served.peer()
    peer.send(post(b"abc")[:-1])
    assert (await peer.echo())["limit_exceeded"] == "LATE"
    assert await peer.rest() == b""


async def test_a_body_that_trickles_is_late_too(served: RunningServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(limits, "BODY_SECONDS", 0.2)
    peer = await served.peer()
    peer.send(post(b"a" * 1000)[:-1000])
    for _ in range(40):
        peer.send(b"a")
        await asyncio.sleep(0.02)
        if served.handler.received:
            break
    assert (await peer.echo())["limit_exceeded"] == "LATE"


@pytest.mark.parametrize("sent", [b"", GET[:-1], b"\r\n"], ids=["nothing", "half a head", "an empty line"])
async def test_a_connection_without_a_complete_head_is_closed(
    served: RunningServer, monkeypatch: pytest.MonkeyPatch, sent: bytes
):
    monkeypatch.setattr(limits, "KEEP_ALIVE_SECONDS", 0.2)
    peer = await served.peer()
    peer.send(sent)
    assert await peer.rest() == b""
    assert served.handler.received == []


async def test_an_idle_connection_is_closed_after_the_keep_alive_time(
    served: RunningServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(limits, "KEEP_ALIVE_SECONDS", 0.3)
    peer = await served.peer()
    for _ in range(4):  # longer than that in all, and no pause is near to it
        peer.send(GET)
        await peer.echo()
        await asyncio.sleep(0.1)
    assert await peer.rest() == b""
    assert len(served.handler.received) == 4


async def test_a_connection_with_a_slow_answer_is_not_idle(
    served: RunningServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(limits, "KEEP_ALIVE_SECONDS", 0.1)
    served.handler.may_answer.clear()
    peer = await served.peer()
    peer.send(GET)
    await asyncio.sleep(0.4)
    served.handler.may_answer.set()
    assert (await peer.echo())["target"] == "/one?two=%20"


async def test_a_client_that_reads_nothing_gets_no_more_answers(
    served: RunningServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(limits, "KEEP_ALIVE_SECONDS", 0.5)
    served.handler.size = 4 << 20
    peer = await served.peer()
    peer.writer.transport.pause_reading()
    peer.send(GET * 20)
    await asyncio.sleep(0.3)
    assert len(served.handler.received) < 8
    await until(lambda: not served.server._connections)
    peer.writer.transport.resume_reading()
    assert (await peer.rest()).count(b"HTTP/1.1 200") < 8


@pytest.mark.parametrize("head", [b"", b"Connection: close\r\n"], ids=["keep-alive", "closed at once"])
async def test_a_client_that_leaves_an_answer_unread_is_disconnected(
    served: RunningServer, monkeypatch: pytest.MonkeyPatch, head: bytes
):
    monkeypatch.setattr(limits, "KEEP_ALIVE_SECONDS", 0.2)
    served.handler.size = 40_000  # too little for the transport to ask for a pause, too much for the kernel
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", served.port))
        await asyncio.get_running_loop().sock_sendall(client, GET[:-2] + head + b"\r\n")
        await until(lambda: any(one._transport.get_write_buffer_size() for one in served.server._connections))
        await until(lambda: not served.server._connections)


async def test_a_refused_client_that_goes_on_sending_is_disconnected_soon(
    served: RunningServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(limits, "LINGER_SECONDS", 0.2)
    for refused in (b"no http\r\n\r\n", post(b"a" * (MAXIMUM + 1))):
        peer = await served.peer()
        await until(lambda: served.server._connections)
        peer.send(refused)
        async with asyncio.timeout(10):
            while served.server._connections:
                if not peer.writer.is_closing():
                    peer.send(GET)
                await asyncio.sleep(0.03)


async def test_a_handler_that_fails_costs_its_own_connection_only(
    served: RunningServer, caplog: pytest.LogCaptureFixture
):
    async def fail(request: Request) -> Response:
        raise RuntimeError("at the handler")

    peer, answer = await served.peer(), served.server.answer
    served.server.answer = fail
    peer.send(GET)
    assert await peer.rest() == b""
    gc.collect()
    assert "at the handler" in caplog.text
    served.server.answer = answer
    other = await served.peer()
    other.send(GET)
    assert await other.echo()


# Stopping


async def test_a_stop_closes_idle_connections_and_answers_complete_requests(served: RunningServer):
    idle, half, asked = [await served.peer() for _ in range(3)]
    idle.send(GET)
    await idle.echo()
    served.handler.may_answer.clear()
    half.send(GET[:-2])
    asked.send(GET)
    await until(lambda: len(served.handler.received) == 2)
    stopping = asyncio.create_task(served.server.stop(5))
    assert await idle.rest() == await half.rest() == b""
    assert not stopping.done()
    served.handler.may_answer.set()
    _, headers, _ = await asked.response()
    assert headers["connection"] == "close"
    await stopping
    with pytest.raises(ConnectionError):
        await served.peer()


async def test_a_stop_waits_a_moment_for_the_rest_of_a_body(
    served: RunningServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(limits, "STOPPING_BODY_SECONDS", 0.3)
    in_time, late = [await served.peer() for _ in range(2)]
    for peer in (in_time, late):
        peer.send(post(b"abc")[:-1])
    await until(lambda: [one._awaits_body for one in served.server._connections] == [True, True])
    stopping = asyncio.create_task(served.server.stop(5))
    await asyncio.sleep(0.05)
    in_time.send(b"c")
    assert (await in_time.echo())["body"] == "abc"
    assert (await late.echo())["limit_exceeded"] == "LATE"
    for peer in (in_time, late):
        peer.writer.close()
    await stopping


async def test_a_handler_whose_connection_is_aborted_gets_a_moment_more_to_end(served: RunningServer):
    served.handler.may_answer.clear()
    peer = await served.peer()
    peer.send(GET)
    await until(lambda: served.handler.received)
    stopping = asyncio.create_task(served.server.stop(0.1))
    assert await peer.rest() == b""
    assert not stopping.done()
    served.handler.may_answer.set()
    await stopping
    assert len(served.handler.answered) == 1


async def test_connections_that_outlast_the_grace_are_aborted(
    served: RunningServer, caplog: pytest.LogCaptureFixture
):
    served.handler.may_answer.clear()
    peer = await served.peer()
    peer.send(GET)
    await until(lambda: served.handler.received)
    await served.server.stop(0.1)
    assert "1 connections did not end" in caplog.text
    assert await peer.rest() == b""
