"""Secrets that do not print themselves."""

import msgspec


class SecretKey(msgspec.Struct, frozen=True):
    """A secret in text form; `reveal` is the only way to its value, so every use can be searched for."""

    value: str

    def reveal(self) -> str:
        return self.value

    def __repr__(self) -> str:
        return "SecretKey(***)"

    __str__ = __repr__
