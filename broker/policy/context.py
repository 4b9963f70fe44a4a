"""The request context: condition keys and their values.

Keys compare without case (IAM User Guide, "IAM JSON policy elements: Condition"). A value is always a tuple
of strings: one for a single-valued key, any number, none included, for a multivalued one.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

Values = tuple[str, ...]
ByKey = dict[str, Values]


class Keyed(Protocol):
    """What decisions read their context from; it may be made when the first condition or variable asks for it."""

    @property
    def by_key(self) -> ByKey:
        """All of it, by lower-case key: the same whenever it is asked for. Never change it."""
        ...


class Context:
    """An immutable mapping from condition key to values, made at once. `by_key`: see `Keyed`."""

    __slots__ = ("by_key",)

    def __init__(self, items: Mapping[str, str | Sequence[str]] | None = None) -> None:
        self.by_key: ByKey = {
            key.lower(): (value,) if isinstance(value, str) else tuple(value)
            for key, value in (items or {}).items()
        }

    @classmethod
    def of_lowered(cls, by_key: ByKey) -> "Context":
        """Keys are lower-case, and `by_key` is given away for good."""
        context = cls.__new__(cls)
        context.by_key = by_key
        return context

    def get(self, key: str) -> Values | None:
        """The values of `key`, or None where the request carries no such key."""
        return self.by_key.get(key.lower())

    def with_(self, items: Mapping[str, str | Sequence[str]]) -> "Context":
        """A new context in which `items` replace what stood under their keys."""
        return Context.of_lowered({**self.by_key, **Context(items).by_key})

    def __iter__(self) -> Iterator[str]:
        return iter(self.by_key)

    def __contains__(self, key: str) -> bool:
        return key.lower() in self.by_key

    def __len__(self) -> int:
        return len(self.by_key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Context) and self.by_key == other.by_key

    def __hash__(self) -> int:
        return hash(frozenset(self.by_key.items()))

    def __repr__(self) -> str:
        return f"Context({self.by_key!r})"
