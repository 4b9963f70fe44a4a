"""One bounded cache: CLOCK eviction by weight, and values that are valid at given revisions of partitions.

CLOCK eviction: a hit sets one flag. To make room, the oldest entry is evicted, unless its flag is set: then the flag is
cleared and the entry becomes the youngest. So entries used once do not evict entries in use, and a hit is cheap.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Part(Hashable, Protocol):
    """A part that several values share; equal only to itself. Its weight counts once."""

    @property
    def weight(self) -> int: ...


class RevisionSource(Protocol):
    """A transaction of the store: `revision` is the one that it reads, `is_dirty` is true while it has writes."""

    is_dirty: bool

    async def revision(self, partition: str) -> Hashable: ...


class CacheSize(NamedTuple):
    """`weight` is in the cache's own unit."""

    weight: int
    entries: int


class _Entry(Generic[Value]):
    __slots__ = ("is_used", "revisions", "value", "weight")

    def __init__(self, value: Value, weight: int, revisions: Hashable) -> None:
        self.value = value
        self.weight = weight
        self.revisions = revisions
        self.is_used = False


def _no_parts(value: object) -> Iterable[Part]:
    return ()


class Cache(Generic[Key, Value]):
    """Values that together weigh at most `limit`, in a unit that the owner chooses; None cannot be cached.

    `parts_of` returns the parts of a value, the same ones at each call.
    """

    def __init__(self, limit: int, parts_of: Callable[[Value], Iterable[Part]] = _no_parts) -> None:
        self.weight = 0
        self._limit = limit
        self._parts_of = parts_of
        self._entries: dict[Key, _Entry[Value]] = {}
        self._clock: deque[Key] = deque()  # every key once, the oldest first
        self._holders: dict[Part, int] = {}  # how many entries hold a part

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size(self) -> CacheSize:
        return CacheSize(self.weight, len(self._entries))

    def get(self, key: Key) -> Value | None:
        """The value under `key`, whatever its revisions."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        entry.is_used = True
        return entry.value

    def put(self, key: Key, value: Value, weight: int = 1, revisions: Hashable = None) -> None:
        """Cache `value` under `key`, instead of any other; `weight` is without its parts."""
        if weight > self._limit:
            self._drop(key)
            return
        entry = self._entries.get(key)
        if entry is None:
            self._entries[key] = entry = _Entry(value, weight, revisions)
            self._clock.append(key)
        else:
            self._remove_weight(entry)
            entry.value, entry.weight, entry.revisions = value, weight, revisions
        self._add_weight(entry)
        self._evict()

    def reweigh(self, key: Key, value: Value, weight: int) -> None:
        """Change the weight of `value`, if it is still the one under `key`."""
        entry = self._entries.get(key)
        if entry is None or entry.value is not value:
            return
        self.weight += weight - entry.weight
        entry.weight = weight
        if weight > self._limit:  # it does not fit: the others need not be evicted for it
            self._drop(key)
        self._evict()

    def discard(self, is_outdated: Callable[[Value], bool]) -> None:
        """Remove every value of which `is_outdated` is true."""
        for key, entry in list(self._entries.items()):
            if is_outdated(entry.value):
                self._remove_weight(self._entries.pop(key))
        self._clock = deque(key for key in self._clock if key in self._entries)

    async def at(
        self,
        store: RevisionSource,
        key: Key,
        partitions: Sequence[str],
        make: Callable[[], Awaitable[Value]],
        weight: int = 1,
    ) -> Value:
        """The value under `key` at the present revisions of `partitions`; else the answer of `make`, which is cached.

        `make` reads only these partitions, through `store`. An answer None is returned, and not cached.
        """
        if store.is_dirty:
            return await make()
        revisions = await _revisions_of(store, partitions)
        found = self._find(key, revisions)
        if found is not None:
            return found
        made = await make()
        # INVARIANT: nothing is cached from a transaction with writes, because they may never be committed.
        if made is not None and not store.is_dirty:
            self.put(key, made, weight, revisions)
        return made

    async def get_at(self, store: RevisionSource, key: Key, partitions: Sequence[str]) -> Value | None:
        """The value under `key`, if it was cached at the revisions that `store` reads; None where that has writes."""
        return None if store.is_dirty else self._find(key, await _revisions_of(store, partitions))

    async def put_at(self, store: RevisionSource, key: Key, partitions: Sequence[str], value: Value) -> None:
        """Cache `value`, which was made of `partitions` as `store` reads them, unless that has writes."""
        revisions = await _revisions_of(store, partitions)
        if not store.is_dirty:
            self.put(key, value, revisions=revisions)

    def _find(self, key: Key, revisions: Hashable) -> Value | None:
        entry = self._entries.get(key)
        if entry is None or entry.revisions != revisions:
            return None
        entry.is_used = True
        return entry.value

    def _drop(self, key: Key) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._remove_weight(entry)
            self._clock.remove(key)

    def _evict(self) -> None:
        while self.weight > self._limit:
            key = self._clock.popleft()
            entry = self._entries[key]
            if entry.is_used:
                entry.is_used = False
                self._clock.append(key)
            else:
                del self._entries[key]
                self._remove_weight(entry)

    def _add_weight(self, entry: _Entry[Value]) -> None:
        self.weight += entry.weight
        for part in self._parts_of(entry.value):
            holders = self._holders.get(part, 0)
            self._holders[part] = holders + 1
            if not holders:
                self.weight += part.weight

    def _remove_weight(self, entry: _Entry[Value]) -> None:
        self.weight -= entry.weight
        for part in self._parts_of(entry.value):
            holders = self._holders[part] - 1
            if holders:
                self._holders[part] = holders
            else:
                del self._holders[part]
                self.weight -= part.weight


async def _revisions_of(store: RevisionSource, partitions: Sequence[str]) -> Hashable:
    """The revisions of `partitions`, as one value. For one partition it is the revision itself, to save memory."""
    if len(partitions) == 1:
        return await store.revision(partitions[0])
    return tuple([await store.revision(partition) for partition in partitions])
