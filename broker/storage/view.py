"""What one transaction has read and will write in one partition."""

from collections.abc import Iterable
from typing import Any

import msgspec

from broker.storage.cache import PartitionSnapshot
from broker.storage.collection import Collection


class Put(msgspec.Struct, frozen=True):
    """A write that the commit will make; `record` None deletes."""

    collection: Collection[Any]
    record: Any
    expires_at: float | None


class View(msgspec.Struct, eq=False):
    """`snapshot` is None until the transaction reads in the partition. Everything is by stored key.

    `underived` are the writes that derived records do not account for yet; `derived` what they account for of the
    others (`derivation.py`). `pending` is what others will write before this transaction (`lines.py`).
    """

    snapshot: PartitionSnapshot | None = None
    reads: dict[str, tuple[Collection[Any], Any]] = {}
    scans: dict[tuple[Collection[Any], str, str, int | None], list[tuple[str, Any]]] = {}
    writes: dict[str, Put] = {}
    is_pinned: bool = False
    underived: dict[str, None] = {}
    derived: dict[str, Any] = {}
    pending: dict[str, Put] = {}

    def is_pending(self, keys: Iterable[str] | None) -> bool:
        """Whether others will write one of `keys`; None: any key."""
        return bool(self.pending) and (keys is None or not self.pending.keys().isdisjoint(keys))
