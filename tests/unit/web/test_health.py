"""The operations listener: which workers are alive, whichever of them is asked."""

import asyncio
import time

import msgspec
import pytest

from broker.web.board import Board
from broker.web.health import operations_door
from broker.web.http import Request
from broker.web.measures import Measures, Place
from broker.web.sockets import Peer


async def ready() -> str:
    return ""


async def ask(measures: Measures, path: str) -> tuple[int, bytes]:
    request = Request(
        "GET", path, (("host", "127.0.0.1"),), b"", Peer(asyncio.BaseTransport()), keeps_alive=True
    )
    answer = await operations_door(measures, ready, frozenset())(request)
    return answer.status, bytes(answer.body)


@pytest.fixture
def board() -> Board:
    return Board(2)


async def test_a_worker_that_gave_no_sign_yet_is_named(board: Board):
    measures = Measures(Place(worker=0, board=board))
    assert await ask(measures, "/livez") == (200, b"alive\nworker 1: not started yet\n")
    assert await ask(measures, "/livez/0") == (200, b"alive\n")
    assert await ask(measures, "/livez/1") == (503, b"not started yet\n")
    assert (await ask(measures, "/livez/2"))[0] == 404


async def test_a_worker_that_was_silent_for_five_seconds_is_named_by_the_others(board: Board):
    other = Measures(Place(worker=1, board=board))
    await other.publish()
    measures = Measures(Place(worker=0, board=board))
    assert await ask(measures, "/livez") == (200, b"alive\n")
    put = board.find(1)
    assert put is not None
    board.put(1, msgspec.json.encode(msgspec.json.decode(put) | {"taken_at": time.monotonic() - 12}))
    assert await ask(measures, "/livez") == (200, b"alive\nworker 1: no sign of life for 12 seconds\n")
    assert (await ask(measures, "/livez/1"))[0] == 503
    assert b'broker_worker_silence_seconds{worker="1"} 12.' in measures.exposition()


async def test_the_only_worker_is_alive_when_it_answers():
    assert await ask(Measures(), "/livez") == (200, b"alive\n")
    assert await ask(Measures(), "/livez/0") == (200, b"alive\n")
