"""Claims of a token as rules and session tags read them. Pure."""

from collections.abc import Mapping
from typing import Any

import msgspec


def claim_texts(claims: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """The values of a claim as texts; () where it is absent, or an object."""
    value = claims.get(name)
    values = value if type(value) is list else [value]
    if not all(type(one) in (str, int, float, bool) for one in values):
        return ()
    return tuple(one if isinstance(one, str) else msgspec.json.encode(one).decode() for one in values)


def claim_text(claims: Mapping[str, Any], name: str) -> str | None:
    """The one value of a claim that is no list."""
    return None if type(claims.get(name)) is list else next(iter(claim_texts(claims, name)), None)
