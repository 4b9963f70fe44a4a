"""The client of a Redis Cluster: which node answers for a key, also while the key's slot moves to another master.

A node without the slot names the master that has it (MOVED). While a slot moves, its keys are on two masters: the old
one names the new one where it has none of a command's keys (ASK), and commands with keys of both are refused
(TRYAGAIN). redis-py knows no new master that has no slot yet, and sends ASKING on any connection; so redirections are
followed here.

# INVARIANT: only commands that name all their keys follow an ASK. On the new master a script is told that a key which
# it does not declare is absent where the old master still has it. Scripts are sent again until the slot has moved.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from redis.asyncio import RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MaxConnectionsError,
    MovedError,
    ResponseError,
    SlotNotCoveredError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from broker.storage.redis_errors import FAILURES

Command = tuple[Any, ...]

# How much of the time that an answer may take is spent on waiting for a slot that moves; and seconds between two tries.
_MOVE_SHARE = 0.6
_PAUSE = 0.02

# How many redirections are followed without a pause.
_MOST_AT_ONCE = 4

_UNREACHABLE = (RedisConnectionError, RedisTimeoutError, ClusterDownError, OSError)


def is_moving(error: object) -> bool:
    """Whether a node has refused a command because the slot of its keys moves."""
    if isinstance(error, AskError | TryAgainError):
        return not isinstance(error, MovedError)
    return isinstance(error, ResponseError) and "access a non local key" in str(error)


class ClusterClient(RedisCluster):
    """`answer_seconds`: how long one answer may take."""

    answer_seconds: float
    _failed_last: str | None = None  # the name of a node

    async def initialize(
        self,
        additional_startup_nodes_info: list[tuple[str, int]] | None = None,
        last_failed_node_name: str | None = None,
    ) -> "ClusterClient":
        """The node that failed last is the last one that is asked for the slots: all commands would wait for it."""
        await super().initialize(additional_startup_nodes_info, last_failed_node_name or self._failed_last)
        return self

    async def ask(self, key: str, command: Command, *, follows_ask: bool = True) -> Any:
        (answer,) = await self.ask_together(key, [command], follows_ask=follows_ask)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def ask_together(self, key: str, commands: Sequence[Command], *, follows_ask: bool) -> list[Any]:
        """The answers to commands that are sent together to the master of `key`; an exception for one that failed.

        The first command decides where all are sent: it is the one that is redirected.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.answer_seconds * _MOVE_SHARE
        await self.initialize()
        node, is_asking, redirections = self._node_of(key), False, 0
        while True:
            answers = await self._sent(node, commands, is_asking=is_asking)
            first = answers[0]
            if not (isinstance(first, AskError) or is_moving(first)) or loop.time() >= deadline:
                return answers
            redirections += 1
            is_asking = follows_ask and type(first) is AskError
            if isinstance(first, MovedError):
                await self.initialize()
                # Where the slots do not have it, as they were just read, `_node_of` says so.
                with suppress(KeyError):
                    await self.nodes_manager.move_slot(first)
            if (is_moving(first) and not is_asking) or redirections > _MOST_AT_ONCE:
                await asyncio.sleep(_PAUSE)
            node = self._new_master(first) if is_asking else self._node_of(key)

    async def ask_each(self, asked: Sequence[tuple[str, Command]]) -> list[Any]:
        """The answers to commands of one key each, wherever that is; an exception for one that failed."""
        answers = await self._ask_masters(asked)
        # Connections may have died while nobody used them, or with their master, which is replaced.
        dead = [index for index, answer in enumerate(answers) if isinstance(answer, RedisConnectionError)]
        if dead:
            again = await self._ask_masters([asked[index] for index in dead])
            answers = list((dict(enumerate(answers)) | dict(zip(dead, again, strict=True))).values())
        for index, (key, command) in enumerate(asked):
            # A slot that has moved (MOVED is an AskError as well), or whose keys are moving.
            if isinstance(answers[index], AskError):
                try:
                    answers[index] = await self.ask(key, command)
                except FAILURES as error:
                    answers[index] = error
        return answers

    async def _ask_masters(self, asked: Sequence[tuple[str, Command]]) -> list[Any]:
        await self.initialize()
        groups: dict[str, list[int]] = {}
        for index, (key, _) in enumerate(asked):
            groups.setdefault(self.master_of(key), []).append(index)
        sent = [self._ask_master([asked[index] for index in group]) for group in groups.values()]
        found: dict[int, Any] = {}
        for group, answers in zip(groups.values(), await asyncio.gather(*sent), strict=True):
            found.update(zip(group, answers, strict=True))
        return [found[index] for index in range(len(asked))]

    async def _ask_master(self, asked: Sequence[tuple[str, Command]]) -> list[Any]:
        try:
            return await self._sent(self._node_of(asked[0][0]), [command for _, command in asked])
        except FAILURES as error:
            return [error] * len(asked)

    def master_of(self, key: str) -> str:
        """The name of the node that has the key, as the slots were last read; "" where no node is known."""
        nodes = self.nodes_manager.slots_cache.get(self.keyslot(key))
        return nodes[0].name if nodes else ""

    def _node_of(self, key: str) -> ClusterNode:
        try:
            node = self.get_node_from_key(key)
        except SlotNotCoveredError:
            self._initialize = True  # the slots are read again before the next command
            raise
        assert node is not None  # only a replica may be missing
        return node

    def _new_master(self, error: AskError) -> ClusterNode:
        known = self.get_node(host=error.host, port=error.port)
        if known is not None:
            return known
        manager = self.nodes_manager
        node = ClusterNode(error.host, error.port, "primary", **manager.connection_kwargs)
        manager.set_nodes(manager.nodes_cache, {node.name: node})
        return node

    async def _sent(
        self, node: ClusterNode, commands: Sequence[Command], *, is_asking: bool = False
    ) -> list[Any]:
        """The answers, on one connection; the slots are read again before the next command where the node fails."""
        pipeline = self.pipeline(transaction=False)
        for command in ([("ASKING",)] if is_asking else []) + list(commands):
            pipeline.execute_command(*command, target_nodes=node)
        try:
            # Else a script alone would follow a redirection, and not the command WAIT behind it.
            answers = list(await pipeline.execute(raise_on_error=False, allow_redirections=False))
        except _UNREACHABLE as error:
            await self._note_failure(node, error)
            raise
        for answer in answers:
            if isinstance(answer, _UNREACHABLE):
                await self._note_failure(node, answer)
                break
        return answers[is_asking:]

    async def _note_failure(self, node: ClusterNode, error: Exception) -> None:
        if isinstance(error, MaxConnectionsError):
            return
        node.update_active_connections_for_reconnect()
        await node.disconnect_free_connections()
        self.nodes_manager.move_node_to_end_of_cached_nodes(node.name)
        self._failed_last = node.name
        self._initialize = True
