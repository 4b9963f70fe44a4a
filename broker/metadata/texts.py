"""JSON as the metadata service prints it: a member a line, ` : ` in between, times without fractions."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

_encode = msgspec.json.Encoder().encode


def json_text(members: Mapping[str, Any]) -> str:
    """An object in AWS's layout, members in the order given."""
    lines = ",\n".join(f'  "{name}" : {_encode(value).decode()}' for name, value in members.items())
    return f"{{\n{lines}\n}}"


def iso_time(seconds: float) -> str:
    """Epoch seconds as `2026-01-01T00:00:00Z`."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
