"""The contract of a storage engine: a handful of methods over bytes.

A *partition* is what changes together: an account (`account/123456789012`), its usage marks
(`usage/123456789012`), its replay records (`replay/123456789012`), or what belongs to no account (`global`). Every
partition has one revision, a number that grows by one with each commit. A commit names the revision that it
expects, so one number guards everything a transaction has read, scans included; and a cache that remembers the
revision knows in one look whether it is still true.

Law, examined by `tests/conformance/test_engines.py`:
- `commit` is all or nothing, and durable when it returns: a process killed afterwards has lost nothing.
- `revision` answers with at least every commit that was acknowledged, by any process, before it was asked.
- an expired record is as absent as a deleted one, in `get` and in `scan`.
- an engine that cannot know raises EngineUnavailable; it never answers from memory.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

GLOBAL = "global"
CONTAINERS_PARTITION = "containers"
SERVING_PARTITION = "serving"


def account_partition(account_id: str) -> str:
    return f"account/{account_id}"


def usage_partition(account_id: str) -> str:
    """Last-used marks: written blindly and often, so kept out of the account's own revision."""
    return f"usage/{account_id}"


def replay_partition(account_id: str) -> str:
    """What may be used once: one-time codes, assertion ids; every record expires."""
    return f"replay/{account_id}"


class Write(msgspec.Struct, frozen=True):
    """One change: `value` None deletes. `expires_at` is in epoch seconds."""

    key: str
    value: bytes | None
    expires_at: float | None = None


class Conflict(Exception):
    """The partition has moved on since the revision that the commit expected."""


class EngineUnavailable(Exception):
    """The engine is out of reach or cannot vouch for an answer; the reason is for the operator."""


class Engine(Protocol):
    """What a storage engine is. Keys are text, never empty, and sort by their UTF-8 bytes."""

    async def revision(self, partition: str) -> int:
        """The partition's revision, 0 where nothing was ever written."""
        ...

    async def get(self, partition: str, key: str) -> bytes | None: ...

    async def fetch(self, partition: str, keys: Sequence[str]) -> tuple[int, list[bytes | None]]:
        """The values of `keys` and the revision at which all of them are true together."""
        ...

    async def scan(
        self, partition: str, prefix: str, after: str = "", limit: int | None = None
    ) -> list[tuple[str, bytes]]:
        """Records whose key begins with `prefix` and sorts behind `after`, in key order."""
        ...

    async def commit(self, partition: str, writes: Sequence[Write], expecting: int | None) -> int:
        """Apply all `writes` or none, and answer the new revision; `expecting` None writes blindly.

        Raises Conflict where the partition's revision is not `expecting`.
        """
        ...

    async def partitions(self, prefix: str) -> list[str]:
        """Names of the partitions that begin with `prefix` and hold or held a record, sorted."""
        ...

    async def close(self) -> None: ...
