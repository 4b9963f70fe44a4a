"""How a change is told: what was and what will be, where both are short, and by its name alone where they are not.

Only what may be on a screen and in a journal is given here: no secret, no document, no user data.
"""

from typing import Any

import msgspec

_LONGEST = 120  # characters of what was and what will be together


def told_change(name: str, before: Any, after: Any) -> str:
    """`max_session_duration 3600 -> 7200`, or `name` alone."""
    told = [_told(before), _told(after)]
    if None in told or sum(map(len, filter(None, told))) > _LONGEST:
        return name
    return f"{name} {told[0]} -> {told[1]}"


def told_changes(before: msgspec.Struct, after: msgspec.Struct) -> str:
    """The fields that are not the same in two records of one type."""
    return ", ".join(
        told_change(name, getattr(before, name), getattr(after, name))
        for name in before.__struct_fields__
        if getattr(before, name) != getattr(after, name)
    )


def _told(value: Any) -> str | None:
    """A text, number, truth or list of texts in the file's words; None for everything else."""
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
            members = [_told(member) for member in value]
            return None if None in members else f"[{', '.join(filter(None, members))}]"
    return None
