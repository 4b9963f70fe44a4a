"""Which keys of a partition were written between the revisions that this process has read.

Law: two revisions show the same under a key that was not written after the earlier one of them. What is not known of
(a revision that is too old, or of another history) counts as changed.
"""

from collections.abc import Iterable
from itertools import takewhile

from broker.storage.engine import Revision

# How many revisions and keys are known of one partition.
_MOST_REVISIONS = 256
_MOST_KEYS = 1024

# Bytes that a revision or a key takes, about.
_WEIGHT = 200


class KeyHistory:
    """Begins at a revision, and is extended by each next one that its partition has in this process."""

    __slots__ = ("_positions", "_written")

    def __init__(self, first: Revision) -> None:
        self._positions = {first: 0}  # in order
        self._written: dict[str, int] = {}  # the position of the last write, in its order

    @property
    def weight(self) -> int:
        """What `extend` has added, in bytes by estimate."""
        return _WEIGHT * (len(self._positions) - 1 + len(self._written))

    def extend(self, revision: Revision, written: Iterable[str]) -> None:
        """`revision` is the partition's now; since the last one the keys `written` were, and no others."""
        position = next(reversed(self._positions.values())) + 1
        self._positions[revision] = position
        for key in written:
            self._written.pop(key, None)
            self._written[key] = position
        if len(self._written) > _MOST_KEYS:
            self._positions = {revision: position}
            self._written.clear()
        elif len(self._positions) > _MOST_REVISIONS:
            del self._positions[next(iter(self._positions))]
        self._forget_written(next(iter(self._positions.values())))

    def is_unchanged(self, one: Revision, other: Revision, keys: Iterable[str]) -> bool:
        """Whether the two revisions are known to show the same under `keys`."""
        first, second = self._positions.get(one), self._positions.get(other)
        if first is None or second is None:
            return False
        earlier = min(first, second)
        return all(self._written.get(key, 0) <= earlier for key in keys)

    def _forget_written(self, oldest: int) -> None:
        """Keys that were not written after any revision that is known."""
        known = list(takewhile(lambda one: one[1] <= oldest, self._written.items()))
        for key, _ in known:
            del self._written[key]
