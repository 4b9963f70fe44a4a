"""What was made once and may be used again: kept by weight, least recently used first out."""

from collections import OrderedDict
from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

from broker.policy import PolicySet

Key = TypeVar("Key", bound=Hashable)
Kept = TypeVar("Kept")


class Keeping(Generic[Key, Kept]):
    """As much as weighs `limit` bytes together, by estimate; policies that several entries share weigh once."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._entries: OrderedDict[Key, tuple[Kept, int, tuple[PolicySet, ...]]] = OrderedDict()
        self._holders: dict[object, int] = {}
        self.weight = 0

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, key: Key) -> Kept | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def keep(self, key: Key, value: Kept, weight: int, policies: Iterable[PolicySet]) -> None:
        """Keep `value`, which weighs `weight` beside the `policies` that it holds."""
        if key in self._entries:
            self._forget(*self._entries.pop(key)[1:])
        leaves = tuple([leaf for one in policies for leaf in one.leaves])
        self._entries[key] = (value, weight, leaves)
        self.weight += weight
        for leaf in leaves:
            holders = self._holders.get(leaf.kept, 0)
            self._holders[leaf.kept] = holders + 1
            if not holders:
                self.weight += leaf.weight
        while self.weight > self._limit and self._entries:
            _, (_, lightened, dropped) = self._entries.popitem(last=False)
            self._forget(lightened, dropped)

    def _forget(self, weight: int, leaves: tuple[PolicySet, ...]) -> None:
        self.weight -= weight
        for leaf in leaves:
            holders = self._holders[leaf.kept] - 1
            if holders:
                self._holders[leaf.kept] = holders
            else:
                del self._holders[leaf.kept]
                self.weight -= leaf.weight
