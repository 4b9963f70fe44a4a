"""The operations listener: any worker says which workers are alive."""

import asyncio
import time

import msgspec
import pytest

from broker.version import VERSION
from broker.web.health import operations_handler
from broker.web.http import Request
from broker.web.metrics import Metrics, WorkerSlot
from broker.web.scoreboard import Scoreboard
from broker.web.sockets import Peer

ALIVE = f"alive, version {VERSION}\n".encode()


async def ready() -> str:
    return ""


async def ask(metrics: Metrics, path: str) -> tuple[int, bytes]:
    request = Request(
        "GET", path, (("host", "127.0.0.1"),), b"", Peer(asyncio.BaseTransport()), keeps_alive=True
    )
    answer = await operations_handler(metrics, ready, frozenset())(request)
    return answer.status, bytes(answer.body)


@pytest.fixture
def scoreboard() -> Scoreboard:
    return Scoreboard(2)


async def test_a_worker_without_a_heartbeat_yet_is_named(scoreboard: Scoreboard):
    metrics = Metrics(WorkerSlot(worker=0, scoreboard=scoreboard))
    assert await ask(metrics, "/livez") == (200, ALIVE + b"worker 1: not started yet\n")
    assert await ask(metrics, "/livez/0") == (200, b"alive\n")
    assert await ask(metrics, "/livez/1") == (503, b"not started yet\n")
    assert (await ask(metrics, "/livez/2"))[0] == 404


async def test_a_worker_without_a_heartbeat_for_five_seconds_is_named_by_the_others(scoreboard: Scoreboard):
    other = Metrics(WorkerSlot(worker=1, scoreboard=scoreboard))
    await other.publish()
    metrics = Metrics(WorkerSlot(worker=0, scoreboard=scoreboard))
    assert await ask(metrics, "/livez") == (200, ALIVE + b"")
    put = scoreboard.find(1)
    assert put is not None
    scoreboard.put(1, msgspec.json.encode(msgspec.json.decode(put) | {"taken_at": time.monotonic() - 12}))
    assert await ask(metrics, "/livez") == (200, ALIVE + b"worker 1: no heartbeat for 12 seconds\n")
    assert (await ask(metrics, "/livez/1"))[0] == 503
    assert b'broker_worker_silence_seconds{worker="1"} 12.' in metrics.exposition()


async def test_the_only_worker_is_alive_when_it_answers():
    assert await ask(Metrics(), "/livez") == (200, ALIVE + b"")
    assert await ask(Metrics(), "/livez/0") == (200, b"alive\n")
