"""The index of trust policies by principal: which roles name whom, and how much of the store it covers.

As all records: frozen, append-only with defaults. What the index means is in `broker.access.role_index`.
"""

from broker.storage.records import Record


class TrustingRole(Record, frozen=True, kw_only=True):
    """A role whose trust policy named a principal when this was written; whether it still does, its record says.

    `mark` is random: an entry that was written again is not the one that another transaction has read
    and is about to delete.
    """

    account_id: str
    role_name: str
    mark: bytes = b""


class IndexedAccount(Record, frozen=True, kw_only=True):
    """An account whose roles were all in the index when its partition had this revision: its number and its mark."""

    account_id: str
    number: int
    mark: bytes
    layout: int = 1


class RoleIndex(Record, frozen=True, kw_only=True):
    """Written when the roles of every account have been indexed: the index can be relied on from then on.

    `layout` is that of its entries (`broker.access.role_index`).
    """

    complete_since: int
    layout: int = 1
