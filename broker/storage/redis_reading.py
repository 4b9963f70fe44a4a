"""Reads the revisions of partitions from a Redis server, or from the masters of a cluster.

GETEX reads as GET does, but is a writing command, which a replica refuses.
"""

from typing import Any

from broker.storage.redis_batches import Answers
from broker.storage.redis_cluster import ClusterClient, Command
from broker.storage.redis_errors import unavailable
from broker.storage.redis_names import parse_revision, revision_key


async def read_revisions(client: Any, partitions: list[str]) -> Answers:
    """Of a cluster, some masters may answer and others not."""
    asked: list[tuple[str, Command]] = [(key, ("GETEX", key)) for key in map(revision_key, partitions)]
    if isinstance(client, ClusterClient):
        answers = await client.ask_each(asked)
        return [unavailable(one) if isinstance(one, Exception) else parse_revision(one) for one in answers]
    if len(asked) == 1:
        return [parse_revision(await client.execute_command(*asked[0][1]))]
    pipeline = client.pipeline(transaction=False)
    for _, command in asked:
        pipeline.execute_command(*command)
    return [parse_revision(answer) for answer in await pipeline.execute()]
