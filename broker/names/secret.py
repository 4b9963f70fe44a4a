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
        """SHA-256: what a cache may keep, to tell whether it was made with this very secret."""
        return sha256(self.value.encode()).digest()

    def __repr__(self) -> str:
        return "SecretKey(***)"

    __str__ = __repr__
