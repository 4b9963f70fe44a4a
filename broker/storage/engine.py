"""The contract of a storage engine: a handful of methods over bytes.

A *partition* is what changes together: an account (`account/123456789012`), its usage marks
(`usage/123456789012`), its replay records (`replay/123456789012`), the list of its sessions
(`sessions/123456789012`), a share of the failed attempts at passwords (`sign-in/4f`), or what belongs to no account
(`global`). Every partition has one revision, which each commit replaces: the number of its commits, and a random mark
of the last one. A commit names the revision that it expects, so one value guards everything a transaction has read,
scans included; and a cache that remembers the revision knows in one look whether it is still true. Numbers alone
would not do: where the last commits of a store were lost (a failover, an old backup) others soon commit as often
again. A revision with its mark is found in one history only, and whoever compares it whole cannot take one history
for another.

Law, examined by `tests/conformance/test_engines.py`:
- `commit` is all or nothing, and durable when it returns: a process killed afterwards has lost nothing.
- `revision` answers with at least every commit that was acknowledged, by any process, before it was asked.
- no two commits make the same revision, whatever was lost or set back in between.
- a commit that raises has not happened and will not, unless it raises OutcomeUnknown.
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


def sign_in_partition(shard: str) -> str:
    """Failed attempts at passwords, of users and of addresses, in a fixed number of shards; every record expires."""
    return f"sign-in/{shard}"


def sessions_partition(account_id: str) -> str:
    """Which sessions were minted: written blindly and often, as usage marks are; every record expires."""
    return f"sessions/{account_id}"


def portal_partition(shard: str) -> str:
    """Sessions of the portal, in a fixed number of shards; every record expires."""
    return f"portal/{shard}"


class Revision(msgspec.Struct, frozen=True):
    """How many commits a partition has had, and the mark of the last one; to be compared whole.

    `mark` is MARK_SIZE random bytes, and empty where a version of the broker committed that gave no marks.
    """

    number: int
    mark: bytes

    def __str__(self) -> str:
        return str(self.number)


MARK_SIZE = 8
NEVER_WRITTEN = Revision(0, b"")


class Write(msgspec.Struct, frozen=True):
    """One change: `value` None deletes. `expires_at` is in epoch seconds."""

    key: str
    value: bytes | None
    expires_at: float | None = None


class Conflict(Exception):
    """The partition has moved on since the revision that the commit expected."""


class EngineUnavailable(Exception):
    """The engine is out of reach or cannot vouch for an answer; the reason is for the operator."""


class OutcomeUnknown(EngineUnavailable):
    """A commit was begun, and whether it holds cannot be found out; nobody may say that it failed."""


class Engine(Protocol):
    """What a storage engine is. Keys are text, never empty, and sort by their UTF-8 bytes."""

    async def revision(self, partition: str) -> Revision:
        """The partition's revision, NEVER_WRITTEN where nothing ever was."""
        ...

    async def get(self, partition: str, key: str) -> bytes | None: ...

    async def fetch(self, partition: str, keys: Sequence[str]) -> tuple[Revision, list[bytes | None]]:
        """The values of `keys` and the revision at which all of them are true together."""
        ...

    async def scan(
        self, partition: str, prefix: str, after: str = "", limit: int | None = None
    ) -> list[tuple[str, bytes]]:
        """Records whose key begins with `prefix` and sorts behind `after`, in key order."""
        ...

    async def commit(self, partition: str, writes: Sequence[Write], expecting: Revision | None) -> Revision:
        """Apply all `writes` or none, and answer the new revision; `expecting` None writes blindly.

        Raises Conflict where the partition's revision is not `expecting`, and OutcomeUnknown where it cannot be known
        whether the writes were applied.
        """
        ...

    async def now(self) -> float:
        """Epoch seconds by the clock that all processes on this store share: that of the machine that holds it."""
        ...

    async def partitions(self, prefix: str) -> list[str]:
        """Names of the partitions that begin with `prefix` and hold or held a record, sorted."""
        ...

    async def close(self) -> None: ...
