"""What one transaction has read and will write in one partition."""

from collections.abc import Iterable
from typing import Any

import msgspec

from broker.storage.collection import Collection
from broker.storage.partition_snapshot import PartitionSnapshot


class Put(msgspec.Struct, frozen=True):
    """A write that the commit will make; `record` None deletes."""

    collection: Collection[Any]
    record: Any
    expires_at: float | None


class View(msgspec.Struct, eq=False):
    """`snapshot` is None until the transaction reads in the partition. Everything is by stored key.

    `made_of` are the keys of what cached values are made of that were used; they count as read. `underived` are the
    writes that derived records do not account for yet; `derived` what they account for of the others
    (`derivation.py`). `pending` is what others will write before this transaction (`lines.py`).
    """

    snapshot: PartitionSnapshot | None = None
    reads: dict[str, tuple[Collection[Any], Any]] = {}
    scans: dict[tuple[Collection[Any], str, str, int | None], list[tuple[str, Any]]] = {}
    made_of: set[str] = set()
    writes: dict[str, Put] = {}
    is_pinned: bool = False
    underived: dict[str, None] = {}
    derived: dict[str, Any] = {}
    pending: dict[str, Put] = {}

    def is_pending(self, keys: Iterable[str] | None) -> bool:
        """Whether others will write one of `keys`; None: any key."""
        return bool(self.pending) and (keys is None or not self.pending.keys().isdisjoint(keys))

    @property
    def is_comparable(self) -> bool:
        """Whether what was read is known, to compare it: of what cached values are made of only the keys are."""
        return not (self.is_pinned or self.made_of)

    def is_true_after(self, written: Iterable[str]) -> bool:
        """Whether all that was read is so where the records under the keys `written`, and no others, have changed."""
        if self.is_pinned or self.pending:
            return False
        scanned = tuple(prefix for _, prefix, _, _ in self.scans)
        return not any(key in self.reads or key in self.made_of or key.startswith(scanned) for key in written)

    def include_reads(self, other: "View") -> None:
        """Those of a view of the same snapshot; what it has read of its `pending` is no part of the snapshot."""
        self.reads.update({key: read for key, read in other.reads.items() if key not in other.pending})
        self.scans.update(other.scans)
        self.made_of |= other.made_of
        self.is_pinned = self.is_pinned or other.is_pinned
