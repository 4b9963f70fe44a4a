"""What a client of a cluster sends to which master, where masters are away, and slots are not covered.

Masters that run are in `tests/conformance/test_moving_slots.py`.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from redis.asyncio.cluster import ClusterNode
from redis.crc import key_slot
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import MovedError, SlotNotCoveredError

from broker.storage.redis_cluster import ClusterClient, Command
from broker.storage.redis_errors import FAILURES, cause_of_redis

KEYS = [f"key-{number}" for number in range(200)]
ASKED: list[tuple[str, Command]] = [(key, ("GETEX", key)) for key in KEYS]


class Client(ClusterClient):
    """The low half of the slots is the first master's, the rest the second's."""

    def __init__(self) -> None:
        super().__init__(host="127.0.0.1", port=1)
        self.answer_seconds = 1.0
        self._initialize = False
        self.first, self.second = ClusterNode("127.0.0.1", 1), ClusterNode("127.0.0.1", 2)
        self.nodes_manager.slots_cache = {
            slot: [self.first if slot < 8192 else self.second] for slot in range(16384)
        }
        self.dead: list[ClusterNode] = []
        self.moved: dict[str, MovedError] = {}
        self.sent: list[str] = []  # the node, for each time

    async def initialize(self, *arguments: Any, **options: Any) -> "Client":
        return self

    async def _sent(
        self, node: ClusterNode, commands: Sequence[Command], *, is_asking: bool = False
    ) -> list[Any]:
        self.sent.append(node.name)
        if node in self.dead:
            raise RedisConnectionError("Connection closed by server.")
        return [self.moved.get(command[1], b"1:00") for command in commands]


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    client = Client()
    yield client
    client._initialize = True  # it has no connections to close


def is_first(key: str) -> bool:
    return key_slot(key.encode()) < 8192


async def test_what_a_dead_master_has_is_asked_for_again_all_together(client: Client) -> None:
    client.dead = [client.first]
    answers = dict(zip(KEYS, await client.ask_each(ASKED), strict=True))
    assert all(isinstance(answers[key], RedisConnectionError) for key in KEYS if is_first(key))
    assert all(answers[key] == b"1:00" for key in KEYS if not is_first(key))
    assert sorted(client.sent) == ["127.0.0.1:1"] * 2 + ["127.0.0.1:2"]


async def test_a_slot_that_no_master_has_fails_its_own_keys_alone(client: Client) -> None:
    slot = key_slot(KEYS[0].encode())
    del client.nodes_manager.slots_cache[slot]
    answers = dict(zip(KEYS, await client.ask_each(ASKED), strict=True))
    assert isinstance(answers[KEYS[0]], SlotNotCoveredError)
    assert all(answers[key] == b"1:00" for key in KEYS if key_slot(key.encode()) != slot)
    assert "no master" in cause_of_redis(answers[KEYS[0]])
    assert client._initialize  # the slots are read again


async def test_a_slot_that_moves_and_is_then_not_covered_is_a_failure_of_its_own_keys(client: Client) -> None:
    slot = key_slot(KEYS[0].encode())
    client.moved[KEYS[0]] = MovedError(f"{slot} 127.0.0.1:2")

    async def read_slots(*arguments: Any, **options: Any) -> Client:
        if client.sent and slot in client.nodes_manager.slots_cache and client.sent.count("127.0.0.1:1") > 1:
            del client.nodes_manager.slots_cache[slot]
        return client

    client.initialize = read_slots  # type: ignore[method-assign]
    answers = await client.ask_each(ASKED)
    assert isinstance(answers[0], FAILURES)
    assert answers[1:] == [b"1:00"] * (len(KEYS) - 1)


@pytest.mark.parametrize("kind", ["first", "second"])
async def test_a_key_has_a_master_as_the_slots_were_last_read(client: Client, kind: str) -> None:
    key = next(key for key in KEYS if is_first(key) == (kind == "first"))
    assert client.master_of(key) == getattr(client, kind).name
    client.nodes_manager.slots_cache.clear()
    assert client.master_of(key) == ""
