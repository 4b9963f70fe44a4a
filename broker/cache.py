"""One bounded cache: CLOCK eviction by weight, and values that are valid while what they were made of is unchanged.

CLOCK eviction: a hit sets one flag. To make room, the oldest entry is evicted, unless its flag is set: then the flag is
cleared and the entry becomes the youngest. So entries used once do not evict entries in use, and a hit is cheap.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Iterable
from typing import Generic, NamedTuple, Protocol, TypeVar

import msgspec

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Part(Hashable, Protocol):
    """A part that several values share; equal only to itself. Its weight counts once."""

    @property
    def weight(self) -> int: ...


class MadeOf(msgspec.Struct, frozen=True, gc=False):
    """What a value was made of, in one partition: the records under `keys` at `revision`; None: all records."""

    partition: str
    revision: Hashable
    keys: tuple[str, ...] | None


class RecordSource(Protocol):
    """A transaction of the store; `is_dirty` is true while it has writes."""

    is_dirty: bool

    async def renewed(self, source: MadeOf) -> MadeOf | None:
        """`source` at the revision that is read; None where what it names has changed, or may have."""
        ...

    async def recorded(self, make: Callable[[], Awaitable[Value]]) -> tuple[Value, tuple[MadeOf, ...]]:
        """The answer of `make`, and what it has read."""
        ...


class CacheSize(NamedTuple):
    """`weight` is in the cache's own unit."""

    weight: int
    entries: int


class _Entry(msgspec.Struct, Generic[Value], eq=False, gc=False):
    """Caches have hundreds of thousands; garbage collection does not look at them: no value refers to its entry."""

    value: Value
    weight: int
    sources: tuple[MadeOf, ...] | None
    is_used: bool = False

    def __repr__(self) -> str:
        return "_Entry(***)"  # a value may be secret


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
        """The value under `key`, whatever it was made of."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        entry.is_used = True
        return entry.value

    def put(self, key: Key, value: Value, weight: int = 1, sources: tuple[MadeOf, ...] | None = None) -> None:
        """Cache `value` under `key`, instead of any other; `weight` is without its parts."""
        if weight > self._limit:
            self.drop(key)
            return
        entry = self._entries.get(key)
        if entry is None:
            self._entries[key] = entry = _Entry(value, weight, sources)
            self._clock.append(key)
        else:
            self._remove_weight(entry)
            entry.value, entry.weight, entry.sources = value, weight, sources
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
            self.drop(key)
        self._evict()

    def drop(self, key: Key) -> None:
        """Remove the value under `key`, if there is one."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._remove_weight(entry)
            self._clock.remove(key)

    def discard(self, is_outdated: Callable[[Value], bool]) -> None:
        """Remove every value of which `is_outdated` is true."""
        for key, entry in list(self._entries.items()):
            if is_outdated(entry.value):
                self._remove_weight(self._entries.pop(key))
        self._clock = deque(key for key in self._clock if key in self._entries)

    async def at(
        self, store: RecordSource, key: Key, make: Callable[[], Awaitable[Value]], weight: int = 1
    ) -> Value:
        """The value under `key` if all that it was made of is unchanged; else the answer of `make`, which is cached.

        `make` depends on nothing but `key` and what it reads through `store`. An answer None is not cached.
        """
        found = await self.find(store, key)
        if found is not None:
            return found
        if store.is_dirty:
            return await make()
        made, sources = await store.recorded(make)
        self.put_made(store, key, made, sources, weight)
        return made

    async def find(self, store: RecordSource, key: Key) -> Value | None:
        """The value under `key` if all that it was made of is as `store` reads it; None where that has writes."""
        entry = self._entries.get(key)
        if entry is None or entry.sources is None or store.is_dirty:
            return None
        value, sources = entry.value, entry.sources
        for source in sources:
            if await store.renewed(source) is not source:
                break
        else:
            entry.is_used = True
            return value
        renewed = [await store.renewed(source) for source in sources]
        if not all(renewed):
            return None
        if entry.sources is sources:
            entry.sources = tuple(filter(None, renewed))
        entry.is_used = True
        return value

    def put_made(
        self, store: RecordSource, key: Key, value: Value, sources: tuple[MadeOf, ...], weight: int = 1
    ) -> None:
        """Cache `value`, which was made of `sources` through `store`; None is not cached.

        # INVARIANT: nothing is cached from a transaction with writes, because they may never be committed.
        """
        if value is not None and not store.is_dirty:
            self.put(key, value, weight, sources)

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
