"""Descriptions of changes: the old and the new value where both are short, else only the name of the property.

They are shown on screens and written to the journal, so they hold no secret, no document and no user data.
"""

from typing import Any

import msgspec

_LONGEST = 120  # characters of the old and the new value together


def describe_change(name: str, before: Any, after: Any) -> str:
    """`max_session_duration 3600 -> 7200`, or `name` alone."""
    texts = [_text_of(before), _text_of(after)]
    if None in texts or sum(map(len, filter(None, texts))) > _LONGEST:
        return name
    return f"{name} {texts[0]} -> {texts[1]}"


def describe_changes(before: msgspec.Struct, after: msgspec.Struct) -> str:
    """The fields that differ between two records of one type."""
    return ", ".join(
        describe_change(name, getattr(before, name), getattr(after, name))
        for name in before.__struct_fields__
        if getattr(before, name) != getattr(after, name)
    )


def _text_of(value: Any) -> str | None:
    """A string, number, boolean or list of strings as the file writes it; None for everything else."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str():
            return (value or '""') if value.isprintable() else None
        case tuple():
            members = [_text_of(member) for member in value]
            return None if None in members else f"[{', '.join(filter(None, members))}]"
    return None
