"""The bound of connections, and which are closed when it is reached."""

import asyncio
import resource
import socket
from collections.abc import AsyncIterator

import pytest

from broker.web import server as limits
from broker.web.server import Server, most_connections
from tests.unit.web.test_connection import GET, EchoHandler, Peer, RunningServer, post

MOST = 8


@pytest.fixture
async def served() -> AsyncIterator[RunningServer]:
    handler = EchoHandler()
    server = Server(handler.answer, lambda: 1_800_000_000.0, maximum_connections=MOST, name="api")
    listener = socket.create_server(("127.0.0.1", 0))
    await server.listen([listener])
    made = RunningServer(server, handler, listener.getsockname()[1])
    yield made
    handler.may_answer.set()
    for peer in made.peers:
        peer.writer.close()
    await server.stop(5)


async def idle_peer(served: RunningServer) -> Peer:
    """A client that was answered, and then does nothing."""
    peer = await served.peer()
    peer.send(GET)
    await peer.echo()
    await asyncio.sleep(0.01)  # the clock of an event loop counts milliseconds
    return peer


async def test_the_connection_that_was_idle_longest_is_closed(
    served: RunningServer, caplog: pytest.LogCaptureFixture
):
    peers = [await idle_peer(served) for _ in range(MOST)]
    peers[0].send(GET)
    await peers[0].echo()
    await asyncio.sleep(0.01)
    newest = await idle_peer(served)
    assert await peers[1].rest() == b""
    for open_peer in (peers[0], *peers[2:], newest):
        open_peer.send(GET)
        await open_peer.echo()
    (warning,) = [record for record in caplog.records if "too many connections" in record.message]
    assert warning.facts["listener"] == "api"


@pytest.mark.parametrize("sent", [b"", GET[:10], post(b"x" * 100)[:-1]])
async def test_a_client_that_only_holds_connections_open_does_not_block_others(
    served: RunningServer, sent: bytes
):
    for _ in range(5 * MOST):
        (await served.peer()).send(sent)
    await idle_peer(served)


async def test_connections_being_answered_are_not_closed_and_new_ones_wait(served: RunningServer):
    served.handler.may_answer.clear()
    peers = [await served.peer() for _ in range(MOST)]
    for peer in peers:
        peer.send(GET)
    while len(served.handler.received) < MOST:
        await asyncio.sleep(0.01)
    late = await served.peer()
    late.send(GET)
    await asyncio.sleep(3 * limits._RETRY_SECONDS)
    assert len(served.handler.received) == MOST
    served.handler.may_answer.set()
    for peer in (*peers, late):
        await peer.echo()


async def test_a_client_that_does_not_read_its_answer_is_evicted(served: RunningServer):
    served.handler.size = 4 << 20
    not_reading = [await served.peer() for _ in range(MOST)]
    for peer in not_reading:
        peer.send(GET * 8)
    while len(served.handler.answered) < MOST:
        await asyncio.sleep(0.01)
    served.handler.size = 0
    await idle_peer(served)


@pytest.mark.parametrize(("files", "most"), [(100_000, 4096), (1024, 464), (128, 16), (90, 1)])
def test_there_are_fewer_connections_where_there_may_be_fewer_files(files: int, most: int):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(files, hard), hard))
    try:
        assert most_connections(4096) == most
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
