"""Scripts whose writes have to be on replicas before they count.

Redis replicates after it has answered. `WAIT` returns when replicas have acknowledged what its own connection has
written, so a script and its `WAIT` are sent together, on one connection.
"""

from collections.abc import Sequence
from hashlib import sha1
from typing import Any

from redis.exceptions import MovedError, NoScriptError, ResponseError

Argument = bytes | str | int

# How often a node of a cluster may send us to another one.
_MOST_MOVES = 3


async def run(client: Any, script: str, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
    """The answer of the script, which the server is sent where it does not have it."""
    try:
        return await client.execute_command(*_by_digest(script, keys, arguments))
    except NoScriptError:
        return await client.execute_command("EVAL", script, len(keys), *keys, *arguments)


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
    command = _by_digest(script, keys, arguments)
    for _ in range(_MOST_MOVES):
        answer, reached = await _sent_together(client, command, wait, keys[0])
        if isinstance(answer, NoScriptError):
            command = ("EVAL", script, len(keys), *keys, *arguments)
        elif isinstance(answer, MovedError):
            await client.execute_command("GETEX", keys[0])  # the client follows it, and remembers
        else:
            break
    if isinstance(answer, Exception):
        raise answer
    if isinstance(reached, ResponseError):  # the script ran, and may not be taken for refused
        return answer, 0
    if isinstance(reached, Exception):
        raise reached
    return answer, reached


async def _sent_together(client: Any, command: tuple[Any, ...], wait: tuple[Any, ...], key: str) -> list[Any]:
    """The two answers; an exception for one that failed."""
    pipeline = client.pipeline(transaction=False)
    options = {}
    if hasattr(client, "get_node_from_key"):  # a cluster: both go to the node that has the key
        await client.initialize()
        options["target_nodes"] = client.get_node_from_key(key)
    pipeline.execute_command(*command, **options)
    pipeline.execute_command(*wait, **options)
    if options:  # else the script alone would follow the other master
        return list(await pipeline.execute(raise_on_error=False, allow_redirections=False))
    return list(await pipeline.execute(raise_on_error=False))


def _by_digest(script: str, keys: Sequence[str], arguments: Sequence[Argument]) -> tuple[Any, ...]:
    digest = sha1(script.encode(), usedforsecurity=False).hexdigest()
    return ("EVALSHA", digest, len(keys), *keys, *arguments)
