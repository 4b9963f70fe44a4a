"""JSON as the metadata service prints it: one member a line, ` : ` between name and value."""

from collections.abc import Mapping
from typing import Any

import msgspec

_encode = msgspec.json.Encoder().encode


def json_text(members: Mapping[str, Any]) -> str:
    """An object in AWS's layout; the members keep their order."""
    lines = ",\n".join(f'  "{name}" : {_encode(value).decode()}' for name, value in members.items())
    return f"{{\n{lines}\n}}"
