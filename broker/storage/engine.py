"""The contract of a storage engine: a handful of methods over bytes.

A *partition* is a set of records with one revision: an account (`account/123456789012`), its usage marks
(`usage/123456789012`), its replay records (`replay/123456789012`), the list of its sessions (`sessions/123456789012`),
the subjects of its workloads' certificates (`subjects/123456789012`), its jobs of policy generation
(`generations/123456789012`), a share of the failed attempts at passwords
(`sign-in/4f`), the roles that trust principals of an account (`trusting/123456789012`), or what belongs to no account
(`global`). Each commit replaces the revision: it is the number of commits, and a random mark of the last one. A commit
names the revision that it expects, so one value guards everything that a transaction has read, scans included; and a
cache compares one value to know whether it is current. Numbers alone would not do: where the last commits of a store
were lost (a failover, an old backup), new ones soon reach the same number. A number with its mark exists in one history
only, so revisions are compared whole.

Law, examined by `tests/conformance/test_engines.py`:
- `commit` is all or nothing, and durable when it returns: a process killed afterwards has lost nothing.
- `revision` answers with at least every commit that was acknowledged, by any process, before it was asked.
- no two commits make the same revision, even where commits were lost or the store was set back in between.
- a commit that raises has not happened and will not, unless it raises OutcomeUnknown.
- `changes` names every key that was written since a revision, or says that it does not know; an expiry is no change.
- an expired record is as absent as a deleted one, in `get` and in `scan`.
- an engine that cannot reach its data raises EngineUnavailable; it never answers from a cache.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

GLOBAL = "global"
CONTAINERS_PARTITION = "containers"
SERVING_PARTITION = "serving"
ROLE_INDEX_PARTITION = "role-index"
DELEGATION_PARTITION = "delegation"
ORGANIZATIONS_PARTITION = "organizations"
RESOURCES_PARTITION = "resources"
IDENTITY_POOL_OWNERS_PARTITION = "identity-pools"
TRAIL_ACCOUNTS_PARTITION = "trail-accounts"


def account_partition(account_id: str) -> str:
    return f"account/{account_id}"


def usage_partition(account_id: str) -> str:
    """Last-used marks: written often, expecting no revision, so they must not change the account's own."""
    return f"usage/{account_id}"


def replay_partition(account_id: str) -> str:
    """What may be used once: one-time codes, assertion ids; every record expires."""
    return f"replay/{account_id}"


def sign_in_partition(shard: str) -> str:
    """Failed attempts at passwords, of users and of addresses, in a fixed number of shards; every record expires."""
    return f"sign-in/{shard}"


def sessions_partition(account_id: str) -> str:
    """The list of minted sessions: written as usage marks are; every record expires."""
    return f"sessions/{account_id}"


def subjects_partition(account_id: str) -> str:
    """The subjects of certificates that workloads have shown: written as they come, apart from the account's own."""
    return f"subjects/{account_id}"


def generations_partition(account_id: str) -> str:
    """Jobs of policy generation: written while the journal is read, apart from the account's own."""
    return f"generations/{account_id}"


def identities_partition(shard: str) -> str:
    """Identities of Cognito's identity pools: made when a person signs in to an app, apart from the account's own."""
    return f"identities/{shard}"


def people_partition(shard: str) -> str:
    """People and groups of one identity store: pushed by a provider in thousands, apart from the account's own."""
    return f"people/{shard}"


def deliveries_partition(account_id: str) -> str:
    """How far the trails of an account are delivered: written with each delivery, apart from the account's own."""
    return f"deliveries/{account_id}"


def portal_partition(shard: str) -> str:
    """Sessions of the portal, in a fixed number of shards; every record expires."""
    return f"portal/{shard}"


def trusting_partition(owner: str) -> str:
    """The roles that trust principals of one account, or everyone: a change in one account evicts no other's."""
    return f"trusting/{owner}"


class Revision(msgspec.Struct, frozen=True):
    """How many commits a partition has had, and the mark of the last one; compared whole.

    `mark` is MARK_SIZE random bytes; it is empty where an early version of the broker committed.
    """

    number: int
    mark: bytes

    def __str__(self) -> str:
        return str(self.number)


def is_at_least(revision: Revision, seen: Revision) -> bool:
    return revision == seen or revision.number > seen.number


MARK_SIZE = 8
NEVER_WRITTEN = Revision(0, b"")


class Write(msgspec.Struct, frozen=True):
    """One change: `value` None deletes. `expires_at` is in epoch seconds."""

    key: str
    value: bytes | None
    expires_at: float | None = None


class Changes(msgspec.Struct, frozen=True):
    """The revision that a partition has now; and the keys that were written since another one, with whether they are
    present now."""

    revision: Revision
    present: dict[str, bool]


class Conflict(Exception):
    """The partition's revision is not the one that the commit expected."""


class EngineUnavailable(Exception):
    """The engine cannot be reached, or its data cannot be trusted; the reason is for the operator."""


class OutcomeUnknown(EngineUnavailable):
    """A commit was begun, and it is unknown whether it was applied; it must not be reported as failed."""


class Engine(Protocol):
    """What a storage engine is. Keys are text, never empty, and sort by their UTF-8 bytes."""

    async def revision(self, partition: str) -> Revision:
        """The partition's revision; NEVER_WRITTEN where nothing was ever committed."""
        ...

    async def get(self, partition: str, key: str) -> bytes | None: ...

    async def fetch(self, partition: str, keys: Sequence[str]) -> tuple[Revision, list[bytes | None]]:
        """The values of `keys`, and the one revision at which they were read."""
        ...

    async def scan(
        self, partition: str, prefix: str, after: str = "", limit: int | None = None
    ) -> list[tuple[str, bytes]]:
        """Records whose key begins with `prefix` and sorts behind `after`, in key order."""
        ...

    async def page(
        self, partition: str, prefix: str, after: str, limit: int
    ) -> tuple[Revision, list[tuple[str, bytes]]]:
        """The first `limit` of the records that `scan` finds, and the one revision at which they were read."""
        ...

    async def changes(self, partition: str, since: Revision) -> Changes | None:
        """What was written since the revision `since`; None where that is not known (`changes.py`)."""
        ...

    async def commit(self, partition: str, writes: Sequence[Write], expecting: Revision | None) -> Revision:
        """Apply all `writes` or none, and return the new revision; `expecting` None accepts any revision.

        Raises Conflict where the partition's revision is not `expecting`, and OutcomeUnknown where it is unknown
        whether the writes were applied.
        """
        ...

    async def commit_each(self, writes: Mapping[str, Sequence[Write]]) -> dict[str, EngineUnavailable]:
        """Apply its writes to each of these partitions, at any revision.

        It is one commit on SQLite, much cheaper than a commit of each; on Redis it is a commit of each.

        They are partitions without a feed of changes (else ValueError). Of a partition all writes are applied or none.
        Returns, by partition, why it was not written; OutcomeUnknown where that is not known.
        """
        ...

    async def now(self) -> float:
        """Epoch seconds by the clock of the machine that has the data: one clock for all processes on this store."""
        ...

    async def partitions(self, prefix: str) -> list[str]:
        """Names of the partitions that begin with `prefix` and hold or held a record, sorted."""
        ...

    async def close(self) -> None: ...
