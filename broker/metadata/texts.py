"""JSON as the metadata service prints it: a member a line, ` : ` in between."""

from collections.abc import Mapping
from typing import Any

import msgspec

_encode = msgspec.json.Encoder().encode


def json_text(members: Mapping[str, Any]) -> str:
    """An object in AWS's layout, members in the order given."""
    lines = ",\n".join(f'  "{name}" : {_encode(value).decode()}' for name, value in members.items())
    return f"{{\n{lines}\n}}"
