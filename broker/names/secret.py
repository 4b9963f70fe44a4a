"""Secrets that do not print themselves."""

from functools import cached_property
from hashlib import sha256

import msgspec


class SecretKey(msgspec.Struct, frozen=True, dict=True):
    """A secret in text form; `reveal` is the only way to its value, so every use can be searched for."""

    value: str

    def reveal(self) -> str:
        return self.value

    @cached_property
    def digest(self) -> bytes:
        """SHA-256, for caches that must check that an entry was made with this secret."""
        return sha256(self.value.encode()).digest()

    def __repr__(self) -> str:
        return "SecretKey(***)"

    __str__ = __repr__
