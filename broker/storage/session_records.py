"""The records about sessions: which were revoked, and which were minted.

As all records: frozen, append-only with defaults, times in whole epoch seconds.
"""

from broker.storage.records import Record

WHOLE_ACCOUNT = "*"


class Revocation(Record, frozen=True, kw_only=True):
    """Sessions issued before `issued_before` are refused; at `ends_at` the last of them has expired."""

    issued_before: int
    ends_at: int
    revoked_at: int


class Revocations(Record, frozen=True, kw_only=True):
    """All revocations of an account, by their subject; in the account's partition.

    A subject is the access key id of one session, the unique id of a role or user, the account's id for its root user,
    or WHOLE_ACCOUNT. The record expires when the last of them has ended.
    """

    by_subject: dict[str, Revocation] = {}


class ListedSession(Record, frozen=True, kw_only=True):
    """A session that was minted. `kind` is that of its claims, `sealed_by` the id of the key that sealed its token.

    `ancestors` are the access key ids of the sessions that it was scoped down from.
    """

    access_key_id: str
    kind: str
    arn: str
    identity_id: str
    issued_at: int
    expires_at: int
    issued_by: str = ""
    sealed_by: str = ""
    ancestors: tuple[str, ...] = ()


class ListedSessions(Record, frozen=True, kw_only=True):
    """Sessions of one account that one process wrote at one time; in the sessions partition, expiring with the last."""

    sessions: tuple[ListedSession, ...] = ()


class UnlistedSessions(Record, frozen=True, kw_only=True):
    """Says that an account has more sessions than are listed: some issued until `issued_until` are missing.

    At `expires_at` the last of the missing ones has expired.
    """

    issued_until: int
    expires_at: int
