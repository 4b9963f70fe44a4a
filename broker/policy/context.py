"""The request context: condition keys and their values.

Keys compare without case (IAM User Guide, "IAM JSON policy elements: Condition"). A value is always a tuple
of strings: one for a single-valued key, any number, none included, for a multivalued one.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

Values = tuple[str, ...]
ByKey = dict[str, Values]


class Keyed(Protocol):
    """The context that decisions read; it may be made lazily, when the first condition or variable reads it."""

    @property
    def by_key(self) -> ByKey:
        """All values by lower-case key: always the same dict. Never change it."""
        ...


class Context:
    """A context that is made eagerly. `by_key`: see `Keyed`."""

    __slots__ = ("by_key",)

    def __init__(self, items: Mapping[str, str | Sequence[str]] | None = None) -> None:
        self.by_key: ByKey = {
            key.lower(): (value,) if isinstance(value, str) else tuple(value)
            for key, value in (items or {}).items()
        }

    @classmethod
    def of_lowered(cls, by_key: ByKey) -> "Context":
        """A context without a copy: keys must be lower-case, and the caller must not use `by_key` any more."""
        context = cls.__new__(cls)
        context.by_key = by_key
        return context

    def __repr__(self) -> str:
        return f"Context({self.by_key!r})"
