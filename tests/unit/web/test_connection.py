"""Bytes on a connection, answered by a door that tells what it was asked."""

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
from broker.web.http import Request, Response, Trouble
from broker.web.server import Server

MAXIMUM = 10_000


class Door:
    """Answers with what it heard; `gate` holds answers back, `size` makes them large."""

    def __init__(self) -> None:
        self.heard: list[Request] = []
        self.answered: list[Request] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.size = 0

    async def answer(self, request: Request) -> Response:
        self.heard.append(request)
        await self.gate.wait()
        self.answered.append(request)
        told = {
            "method": request.method,
            "target": request.target,
            "headers": request.headers,
            "body": request.body.decode("latin-1"),
            "trouble": request.trouble.name if request.trouble else None,
            "padding": "x" * self.size,
        }
        return Response(200, b"Content-Type: application/json\r\n", json.dumps(told).encode())


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

    async def told(self) -> dict[str, Any]:
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


class Place:
    def __init__(self, server: Server, door: Door, port: int) -> None:
        self.server, self.door, self.port = server, door, port
        self.peers: list[Peer] = []

    async def peer(self) -> Peer:
        peer = Peer(*await asyncio.open_connection("127.0.0.1", self.port))
        self.peers.append(peer)
        return peer


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    door = Door()
    server = Server(door.answer, lambda: 1_800_000_000.0, maximum_body=MAXIMUM)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    await server.listen([listener])
    made = Place(server, door, listener.getsockname()[1])
    yield made
    door.gate.set()
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


async def test_a_request_is_heard_as_it_was_sent(place: Place):
    peer = await place.peer()
    peer.send(
        b"POST /a%2Fb?c=%20 HTTP/1.1\r\nHoST: here\r\nX-A:  one \r\nx-a: \xff\r\nX-B:\r\nContent-Length: 3\r\n\r\nabc"
    )
    assert await peer.told() == {
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
        "trouble": None,
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
async def test_a_request_line_in_the_absolute_form_is_heard_in_the_origin_form(
    place: Place, sent: bytes, target: str, hosts: list[str]
):
    peer = await place.peer()
    for cut in (0, 12):
        peer.send(sent[:cut])
        await asyncio.sleep(0)
        peer.send(sent[cut:])
        told = await peer.told()
        assert told["target"] == target
        assert [value for name, value in told["headers"] if name == "host"] == hosts


async def test_a_response_has_its_length_and_the_date_of_the_clock(place: Place):
    peer = await place.peer()
    peer.send(GET)
    status, headers, body = await peer.response()
    assert (status, headers["date"]) == (200, "Fri, 15 Jan 2027 08:00:00 GMT")
    assert int(headers["content-length"]) == len(body)
    assert "connection" not in headers


@given(st.lists(st.integers(1, 400), max_size=12), st.data())
def test_where_packets_end_says_nothing(cuts: list[int], data: st.DataObject):
    """Whatever TCP makes of two requests, the same two are heard: one with a length, one in chunks."""
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
    """Whatever arrives: no exception, no second answer to what was refused, nothing heard after it."""
    heard, written = asyncio.run(_run(pieces))
    refused = [place for place, response in enumerate(written) if response.startswith(b"HTTP/1.1 400")]
    assert len(refused) <= 1 and len(heard) + len(refused) == len(written)
    assert refused in ([], [len(written) - 1])


async def _run(pieces: list[bytes]) -> tuple[list[Request], list[bytes]]:
    door = Door()
    connection, transport = limits.Connection(Server(door.answer, lambda: 0.0)), _Kept()
    connection.connection_made(transport)
    for piece in pieces:
        connection.data_received(piece)
        for _ in range(3):
            await asyncio.sleep(0)
    connection.connection_lost(None)
    return door.heard, [data for data in transport.written if not data.startswith(b"HTTP/1.1 100 ")]


async def _bodies_of(whole: bytes, cuts: list[int]) -> list[str]:
    door = Door()
    server = Server(door.answer, lambda: 0.0)
    connection, transport = limits.Connection(server), _Kept()
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
    return [request.body.decode() for request in door.heard]


class _Kept(asyncio.Transport):
    """Keeps what is written, as the kernel would."""

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


async def test_requests_sent_ahead_are_answered_in_their_order(place: Place):
    place.door.gate.clear()
    peer = await place.peer()
    peer.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: here\r\n\r\n" % number for number in range(20)))
    await asyncio.sleep(0.05)
    assert len(place.door.heard) == 1
    place.door.gate.set()
    assert [(await peer.told())["target"] for _ in range(20)] == [f"/{number}" for number in range(20)]


async def test_too_many_requests_sent_ahead_are_not_all_answered(place: Place):
    place.door.gate.clear()
    peer = await place.peer()
    peer.send(GET * 200)
    await asyncio.sleep(0.05)
    place.door.gate.set()
    await peer.rest()
    *sound, last = place.door.answered
    assert len(sound) in (limits.MOST_WAITING, limits.MOST_WAITING + 1)
    assert last.trouble is Trouble.TOO_MANY and not any(request.trouble for request in sound)


async def test_while_requests_wait_no_more_are_taken_up(place: Place):
    place.server.maximum_body = 200_000
    place.door.gate.clear()
    peer, sent = await place.peer(), [b"%d" % number + b"a" * 199_000 for number in range(20)]
    peer.send(b"".join(post(body) for body in sent))
    await asyncio.sleep(0.2)
    (connection,) = place.server._connections
    assert sum(len(waiting.body) for waiting in connection._waiting if waiting) < 1_000_000
    place.door.gate.set()
    assert [(await peer.told())["body"].encode() for _ in sent] == sent


async def test_a_trailer_is_no_header(place: Place):
    peer = await place.peer()
    peer.send(chunked(b"abc", trailer=b"X-Forwarded-For: 1.2.3.4\r\nAuthorization: me\r\n") + GET)
    told = await peer.told()
    assert told["body"] == "abc"
    assert [name for name, _ in told["headers"]] == ["host", "transfer-encoding"]
    assert (await peer.told())["headers"] == [["host", "here"]]


async def test_a_client_that_asks_is_told_to_send_its_body(place: Place):
    peer = await place.peer()
    request = post(b"abc", b"Expect: 100-Continue")
    peer.send(request[:-3])
    assert await peer.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    peer.send(b"abc")
    assert (await peer.told())["body"] == "abc"


async def test_nobody_is_told_to_send_a_body_that_is_too_large(place: Place):
    peer = await place.peer()
    peer.send(b"POST / HTTP/1.1\r\nHost: here\r\nExpect: 100-continue\r\nContent-Length: 10001\r\n\r\n")
    assert (await peer.told())["trouble"] == "TOO_LARGE"


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
async def test_a_connection_is_kept_where_both_sides_know_it(place: Place, head: bytes, is_kept: bool):
    peer = await place.peer()
    peer.send(head)
    status, headers, _ = await peer.response(has_body=not head.startswith(b"HEAD"))
    assert status == 200
    assert headers.get("connection") == (None if is_kept else "close")
    if is_kept:
        peer.send(GET)
        assert (await peer.told())["target"] == "/one?two=%20"
    else:
        assert await peer.rest() == b""


async def test_what_follows_the_wish_for_another_protocol_is_not_heard(place: Place):
    peer = await place.peer()
    peer.send(
        b"POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\nContent-Length: 3\r\n\r\nabc"
        + GET
    )
    answered = await peer.rest()
    assert answered.count(b"HTTP/1.1 200") == len(place.door.heard) == 1
    assert place.door.heard[0].body in (b"abc", b"")


async def test_a_half_closed_connection_still_gets_its_answer(place: Place):
    place.door.gate.clear()
    peer = await place.peer()
    peer.send(GET)
    peer.writer.write_eof()
    await asyncio.sleep(0.05)
    place.door.gate.set()
    assert (await peer.told())["target"] == "/one?two=%20"
    assert await peer.rest() == b""


async def gone_while_it_is_answered(place: Place) -> None:
    """A client that asks something, and cuts its connection before the door has answered."""
    place.door.gate.clear()
    peer = await place.peer()
    peer.send(GET)
    await asyncio.sleep(0.05)
    peer.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    peer.writer.transport.abort()
    await asyncio.sleep(0.05)


async def test_an_answer_that_nobody_waits_for_is_made_to_its_end(place: Place):
    await gone_while_it_is_answered(place)
    (connection,) = place.server._connections
    assert connection._is_lost and not place.door.answered
    place.door.gate.set()
    await asyncio.sleep(0.05)
    assert [request.target for request in place.door.answered] == ["/one?two=%20"]
    assert not place.server._connections


async def test_the_end_waits_for_what_is_done_for_a_client_that_is_gone(place: Place):
    """The store and the journal are closed next: what was done would leave no record."""
    await gone_while_it_is_answered(place)
    stopping = asyncio.create_task(place.server.stop(5))
    await asyncio.sleep(0.05)
    assert not stopping.done()
    place.door.gate.set()
    await stopping
    assert len(place.door.answered) == 1


async def test_half_a_request_is_never_heard(place: Place):
    for end in range(1, len(post(b"abc"))):
        peer = await place.peer()
        peer.send(post(b"abc")[:end])
        peer.writer.write_eof()
        assert await peer.rest() == b""
    assert place.door.heard == []


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
    place: Place, sent: bytes, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO, "broker.web")
    peer = await place.peer()
    peer.send(GET + sent)
    assert (await peer.told())["target"] == "/one?two=%20"
    status, headers, _ = await peer.response()
    assert (status, headers["connection"]) == (400, "close")
    peer.send(GET)
    assert await peer.rest() == b""
    assert len(place.door.heard) == 1
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
    place: Place, caplog: pytest.LogCaptureFixture, reason: str
):
    caplog.set_level(logging.INFO, "broker.web")
    peer = await place.peer()
    peer.send(_UNREADABLE[reason])
    assert (await peer.response())[0] == 400
    assert [record.facts["reason"] for record in caplog.records] == [reason]


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * limits.LONGEST_TARGET + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"a" * limits.LONGEST_HEADER + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * (limits.MOST_HEADERS + 1) + b"\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"a" * 4 * limits.LARGEST_HEAD,
        b"GET / HTTP/1.1\r\n" + b"a" * 4 * limits.LARGEST_HEAD,
    ],
    ids=["long line", "long header", "many headers", "endless header", "endless name"],
)
async def test_a_head_beyond_its_limits_is_the_doors_to_refuse_and_the_last_that_is_heard(
    place: Place, head: bytes
):
    peer = await place.peer()
    peer.send(GET + head)
    assert (await peer.told())["trouble"] is None
    told = await peer.told()
    assert (told["method"], told["trouble"]) == ("GET", "HEAD_TOO_LARGE")
    peer.send(GET)
    assert await peer.rest() == b""
    assert len(place.door.heard) == 2


@pytest.mark.parametrize("is_chunked", [False, True], ids=["by length", "in chunks"])
async def test_a_body_may_be_as_large_as_its_limit_and_no_larger(place: Place, is_chunked: bool):
    for size, trouble in ((MAXIMUM, None), (MAXIMUM + 1, "TOO_LARGE")):
        peer = await place.peer()
        body = b"a" * size
        peer.send(chunked(body[:5000], body[5000:]) if is_chunked else post(body))
        told = await peer.told()
        assert (told["trouble"], len(told["body"])) == (trouble, 0 if trouble else size)
    assert await peer.rest() == b""


async def test_frames_around_nothing_do_not_go_on_for_ever(place: Place):
    for endless in (b"1;" + b"x" * 4000, b"0\r\nX: " + b"x" * 4000):
        peer = await place.peer()
        peer.send(b"POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n" + endless)
        for _ in range(200):
            peer.send(b"x" * 4000)
            await asyncio.sleep(0)
        status, headers, body = await peer.response()
        assert (status, headers["connection"]) in ((200, "close"), (400, "close"))
        assert status == 400 or json.loads(body)["trouble"] == "TOO_LARGE"


async def test_a_body_that_does_not_come_is_answered_as_late(place: Place, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(limits, "BODY_SECONDS", 0.1)
    peer = await place.peer()
    peer.send(post(b"abc")[:-1])
    assert (await peer.told())["trouble"] == "LATE"
    assert await peer.rest() == b""


async def test_a_body_that_trickles_is_late_too(place: Place, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(limits, "BODY_SECONDS", 0.2)
    peer = await place.peer()
    peer.send(post(b"a" * 1000)[:-1000])
    for _ in range(40):
        peer.send(b"a")
        await asyncio.sleep(0.02)
        if place.door.heard:
            break
    assert (await peer.told())["trouble"] == "LATE"


@pytest.mark.parametrize("sent", [b"", GET[:-1], b"\r\n"], ids=["nothing", "half a head", "an empty line"])
async def test_who_sends_no_head_is_hung_up_on(place: Place, monkeypatch: pytest.MonkeyPatch, sent: bytes):
    monkeypatch.setattr(limits, "KEEP_ALIVE_SECONDS", 0.2)
    peer = await place.peer()
    peer.send(sent)
    assert await peer.rest() == b""
    assert place.door.heard == []


async def test_a_kept_connection_is_closed_when_it_was_idle_for_long(
    place: Place, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(limits, "KEEP_ALIVE_SECONDS", 0.3)
    peer = await place.peer()
    for _ in range(4):
        peer.send(GET)
        await peer.told()
        await asyncio.sleep(0.15)
    assert await peer.rest() == b""
    assert len(place.door.heard) == 4


async def test_a_slow_answer_is_no_idle_connection(place: Place, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(limits, "KEEP_ALIVE_SECONDS", 0.1)
    place.door.gate.clear()
    peer = await place.peer()
    peer.send(GET)
    await asyncio.sleep(0.4)
    place.door.gate.set()
    assert (await peer.told())["target"] == "/one?two=%20"


async def test_who_reads_nothing_is_answered_no_further(place: Place, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(limits, "KEEP_ALIVE_SECONDS", 0.5)
    place.door.size = 4 << 20
    peer = await place.peer()
    peer.writer.transport.pause_reading()
    peer.send(GET * 20)
    await asyncio.sleep(0.3)
    assert len(place.door.heard) < 8
    await asyncio.sleep(0.8)
    assert not place.server._connections
    peer.writer.transport.resume_reading()
    assert (await peer.rest()).count(b"HTTP/1.1 200") < 8


@pytest.mark.parametrize("head", [b"", b"Connection: close\r\n"], ids=["kept", "closed at once"])
async def test_who_leaves_the_rest_of_an_answer_unread_is_cut_off(
    place: Place, monkeypatch: pytest.MonkeyPatch, head: bytes
):
    monkeypatch.setattr(limits, "KEEP_ALIVE_SECONDS", 0.2)
    place.door.size = 40_000  # too little for the transport to ask for a pause, too much for the kernel
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", place.port))
        await asyncio.get_running_loop().sock_sendall(client, GET[:-2] + head + b"\r\n")
        await asyncio.sleep(0.05)
        (connection,) = place.server._connections
        assert connection._transport.get_write_buffer_size()
        await asyncio.sleep(0.5)
        assert not place.server._connections


async def test_who_is_refused_and_goes_on_sending_is_not_heard_for_long(
    place: Place, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(limits, "LINGER_SECONDS", 0.2)
    for refused in (b"no http\r\n\r\n", post(b"a" * (MAXIMUM + 1))):
        peer = await place.peer()
        peer.send(refused)
        for _ in range(10):
            if not peer.writer.is_closing():
                peer.send(GET)
            await asyncio.sleep(0.03)
        await asyncio.sleep(0.1)
        assert not place.server._connections


async def test_a_door_that_fails_costs_its_own_connection_only(
    place: Place, caplog: pytest.LogCaptureFixture
):
    async def fail(request: Request) -> Response:
        raise RuntimeError("at the door")

    peer, answer = await place.peer(), place.server.answer
    place.server.answer = fail
    peer.send(GET)
    assert await peer.rest() == b""
    gc.collect()
    assert "at the door" in caplog.text
    place.server.answer = answer
    other = await place.peer()
    other.send(GET)
    assert await other.told()


# The end


async def test_the_end_closes_what_is_idle_and_answers_what_was_asked(place: Place):
    idle, half, asked = [await place.peer() for _ in range(3)]
    idle.send(GET)
    await idle.told()
    place.door.gate.clear()
    half.send(GET[:-2])
    asked.send(GET)
    await asyncio.sleep(0.05)
    stopping = asyncio.create_task(place.server.stop(5))
    assert await idle.rest() == await half.rest() == b""
    assert not stopping.done()
    place.door.gate.set()
    _, headers, _ = await asked.response()
    assert headers["connection"] == "close"
    await stopping
    with pytest.raises(ConnectionError):
        await place.peer()


async def test_the_end_waits_a_moment_for_the_rest_of_a_body(place: Place, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(limits, "LAST_SECONDS", 0.3)
    in_time, late = [await place.peer() for _ in range(2)]
    for peer in (in_time, late):
        peer.send(post(b"abc")[:-1])
    await asyncio.sleep(0.05)
    stopping = asyncio.create_task(place.server.stop(5))
    await asyncio.sleep(0.05)
    in_time.send(b"c")
    assert (await in_time.told())["body"] == "abc"
    assert (await late.told())["trouble"] == "LATE"
    for peer in (in_time, late):
        peer.writer.close()
    await stopping


async def test_what_is_done_for_a_client_that_is_cut_off_has_a_moment_more_to_end(place: Place):
    place.door.gate.clear()
    peer = await place.peer()
    peer.send(GET)
    await asyncio.sleep(0.05)
    stopping = asyncio.create_task(place.server.stop(0.1))
    assert await peer.rest() == b""
    assert not stopping.done()
    place.door.gate.set()
    await stopping
    assert len(place.door.answered) == 1


async def test_what_outlasts_the_grace_is_cut_off(place: Place, caplog: pytest.LogCaptureFixture):
    place.door.gate.clear()
    peer = await place.peer()
    peer.send(GET)
    await asyncio.sleep(0.05)
    await place.server.stop(0.1)
    assert "1 connections did not end" in caplog.text
    assert await peer.rest() == b""
