"""Secrets that do not print themselves."""

import re
from functools import cached_property
from hashlib import sha256

import msgspec

_PASSWORD_OPTION = re.compile(r"([?&][^=&]*password)=[^&]*", re.IGNORECASE)


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


def shown_url(url: SecretKey) -> str:
    """Where the records are, in a form that may be printed: without the password, wherever in the URL it is."""
    before, at, rest = url.reveal().rpartition("@")
    scheme, separator, login = before.partition("://")
    if at:
        user = login.partition(":")[0] if separator else ""
        rest = f"{scheme if separator else ''}{separator}{user}:***@{rest}"
    return _PASSWORD_OPTION.sub(r"\1=***", rest)
