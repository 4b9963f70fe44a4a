"""Scripts whose writes have to be on replicas before they count.

Redis replicates after it has answered. `WAIT` returns when replicas have acknowledged what its own connection has
written, so a script and its `WAIT` are sent together, on one connection.
"""

from collections.abc import Sequence
from hashlib import sha1
from typing import Any

from redis.exceptions import NoScriptError, ResponseError

from broker.storage.redis_cluster import ClusterClient, Command

Argument = bytes | str | int


async def run(client: Any, script: str, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
    """The answer of the script, which the server is sent where it does not have it."""
    by_digest, whole = _forms(script, keys, arguments)
    try:
        return await _sent(client, keys[0], by_digest)
    except NoScriptError:
        return await _sent(client, keys[0], whole)


async def run_and_wait(
    client: Any,
    script: str,
    keys: Sequence[str],
    arguments: Sequence[Argument],
    replicas: int,
    milliseconds: int,
) -> tuple[Any, int]:
    """The answer of the script, and how many replicas have acknowledged what it has written.

    `replicas` and `milliseconds`: the number that is waited for, and how long at most. Where the answer to either is
    lost, the client's error is raised, and it is unknown whether the script ran.
    """
    wait = ("WAIT", replicas, milliseconds)
    for command in _forms(script, keys, arguments):
        answer, reached = await _sent_together(client, keys[0], [command, wait])
        if not isinstance(answer, NoScriptError):
            break
    if isinstance(answer, Exception):
        raise answer
    if isinstance(reached, ResponseError):  # the script ran, and may not be taken for refused
        return answer, 0
    if isinstance(reached, Exception):
        raise reached
    return answer, reached


async def _sent(client: Any, key: str, command: Command) -> Any:
    if isinstance(client, ClusterClient):
        return await client.ask(key, command, follows_ask=False)
    return await client.execute_command(*command)


async def _sent_together(client: Any, key: str, commands: Sequence[Command]) -> list[Any]:
    """The answers, on one connection; an exception for one that failed."""
    if isinstance(client, ClusterClient):
        return await client.ask_together(key, commands, follows_ask=False)
    pipeline = client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    return list(await pipeline.execute(raise_on_error=False))


def _forms(script: str, keys: Sequence[str], arguments: Sequence[Argument]) -> tuple[Command, Command]:
    """The command by the script's digest, and the one for a server that does not have the script."""
    digest = sha1(script.encode(), usedforsecurity=False).hexdigest()
    rest = (len(keys), *keys, *arguments)
    return ("EVALSHA", digest, *rest), ("EVAL", script, *rest)
