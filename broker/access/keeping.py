"""What was made once and may be used again: kept by weight. Things go in the order in which they came, but what was
used since its turn came last is passed over: who finds something touches nothing else, as a list in the order of use
would have it.
"""

from collections import deque
from collections.abc import Hashable
from typing import Generic, Protocol, TypeVar

from broker.policy import PolicySet


class HasPolicies(Protocol):
    """A thing to keep; `leaves` are the policies that it holds, the same ones each time."""

    @property
    def leaves(self) -> tuple[PolicySet, ...]: ...


Key = TypeVar("Key", bound=Hashable)
Kept = TypeVar("Kept", bound=HasPolicies)


class _Entry(Generic[Kept]):
    __slots__ = ("is_used", "value", "weight")

    def __init__(self, value: Kept, weight: int) -> None:
        self.value = value
        self.weight = weight
        self.is_used = False


class Keeping(Generic[Key, Kept]):
    """As much as weighs `limit` bytes together, by estimate; policies that several entries share weigh once."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._entries: dict[Key, _Entry[Kept]] = {}
        self._turns: deque[Key] = deque()
        self._holders: dict[object, int] = {}
        self.weight = 0

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, key: Key) -> Kept | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        entry.is_used = True
        return entry.value

    def keep(self, key: Key, value: Kept, weight: int) -> None:
        """Keep `value`, which weighs `weight` beside the policies that it holds."""
        if key in self._entries:
            self._forget(self._entries[key])
        else:
            self._turns.append(key)
        self._entries[key] = _Entry(value, weight)
        self.weight += weight
        for leaf in value.leaves:
            holders = self._holders.get(leaf.kept, 0)
            self._holders[leaf.kept] = holders + 1
            if not holders:
                self.weight += leaf.weight
        while self.weight > self._limit and self._entries:
            self._pass_by(self._turns.popleft())

    def _pass_by(self, key: Key) -> None:
        entry = self._entries[key]
        if entry.is_used:
            entry.is_used = False
            self._turns.append(key)
        else:
            del self._entries[key]
            self._forget(entry)

    def _forget(self, entry: _Entry[Kept]) -> None:
        self.weight -= entry.weight
        for leaf in entry.value.leaves:
            holders = self._holders[leaf.kept] - 1
            if holders:
                self._holders[leaf.kept] = holders
            else:
                del self._holders[leaf.kept]
                self.weight -= leaf.weight
