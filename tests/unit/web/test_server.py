"""How many connections a server has, and whose they are when there are too many."""

import asyncio
import resource
import socket
from collections.abc import AsyncIterator

import pytest

from broker.web import server as limits
from broker.web.server import Server, most_connections
from tests.unit.web.test_connection import GET, Door, Peer, Place, post

MOST = 8


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    door = Door()
    server = Server(door.answer, lambda: 1_800_000_000.0, maximum_connections=MOST, name="api")
    listener = socket.create_server(("127.0.0.1", 0))
    await server.listen([listener])
    made = Place(server, door, listener.getsockname()[1])
    yield made
    door.gate.set()
    for peer in made.peers:
        peer.writer.close()
    await server.stop(5)


async def served(place: Place) -> Peer:
    """A peer that was answered, and then does nothing."""
    peer = await place.peer()
    peer.send(GET)
    await peer.told()
    await asyncio.sleep(0.01)  # the clock of an event loop counts milliseconds
    return peer


async def test_the_connection_that_was_idle_longest_makes_room(
    place: Place, caplog: pytest.LogCaptureFixture
):
    peers = [await served(place) for _ in range(MOST)]
    peers[0].send(GET)
    await peers[0].told()
    await asyncio.sleep(0.01)
    newest = await served(place)
    assert await peers[1].rest() == b""
    for kept in (peers[0], *peers[2:], newest):
        kept.send(GET)
        await kept.told()
    (told,) = [record for record in caplog.records if "too many connections" in record.message]
    assert told.facts["listener"] == "api"


@pytest.mark.parametrize("sent", [b"", GET[:10], post(b"x" * 100)[:-1]])
async def test_who_opens_connections_to_hold_them_keeps_nobody_out(place: Place, sent: bytes):
    for _ in range(5 * MOST):
        (await place.peer()).send(sent)
    await served(place)


async def test_what_is_being_answered_is_not_cut_off_and_new_ones_wait(place: Place):
    place.door.gate.clear()
    peers = [await place.peer() for _ in range(MOST)]
    for peer in peers:
        peer.send(GET)
    while len(place.door.heard) < MOST:
        await asyncio.sleep(0.01)
    late = await place.peer()
    late.send(GET)
    await asyncio.sleep(3 * limits._PAUSE_SECONDS)
    assert len(place.door.heard) == MOST
    place.door.gate.set()
    for peer in (*peers, late):
        await peer.told()


async def test_who_does_not_read_its_answer_makes_room(place: Place):
    place.door.size = 4 << 20
    deaf = [await place.peer() for _ in range(MOST)]
    for peer in deaf:
        peer.send(GET * 8)
    while len(place.door.answered) < MOST:
        await asyncio.sleep(0.01)
    place.door.size = 0
    await served(place)


@pytest.mark.parametrize(("files", "most"), [(100_000, 4096), (1024, 464), (128, 16), (90, 1)])
def test_there_are_fewer_connections_where_there_may_be_fewer_files(files: int, most: int):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(files, hard), hard))
    try:
        assert most_connections(4096) == most
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
