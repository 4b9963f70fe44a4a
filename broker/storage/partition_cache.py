"""Which snapshots of partitions are kept."""

from broker.cache import Cache, CacheSize
from broker.storage.partition_snapshot import PartitionSnapshot

# What part of the limit is for partitions that were never written.
_UNWRITTEN_SHARE = 1 / 16


class PartitionCache:
    """Snapshots by partition, together of `limit` bytes by estimate.

    Those of partitions that were never written have a small part of the limit of their own: anybody may name accounts
    that do not exist, each once, and these must not take the place of accounts that do. Partitions that exist, but were
    never written (organizations, `trusting/…`, `subjects/…`), share that part. Where they are evicted from it, the
    engine is asked again: that costs questions, and no answer is wrong.
    """

    def __init__(self, limit: int) -> None:
        unwritten = int(limit * _UNWRITTEN_SHARE)
        self._written: Cache[str, PartitionSnapshot] = Cache(limit - unwritten)
        self._unwritten: Cache[str, PartitionSnapshot] = Cache(unwritten)

    @property
    def size(self) -> CacheSize:
        written, unwritten = self._written.size, self._unwritten.size
        return CacheSize(written.weight + unwritten.weight, written.entries + unwritten.entries)

    def get(self, partition: str) -> PartitionSnapshot | None:
        found = self._written.get(partition)
        return self._unwritten.get(partition) if found is None else found

    def put(self, partition: str, snapshot: PartitionSnapshot) -> None:
        """Keep it, instead of any other of the partition."""
        if self._part(snapshot) is self._unwritten:
            self._written.drop(partition)
        else:
            self._unwritten.drop(partition)
        self._part(snapshot).put(partition, snapshot, snapshot.weight)

    def reweigh(self, partition: str, snapshot: PartitionSnapshot) -> None:
        """Its weight has changed; it may be evicted."""
        self._part(snapshot).reweigh(partition, snapshot, snapshot.weight)

    def drop(self, partition: str) -> None:
        self._written.drop(partition)
        self._unwritten.drop(partition)

    def _part(self, snapshot: PartitionSnapshot) -> Cache[str, PartitionSnapshot]:
        return self._written if snapshot.revision.number else self._unwritten
