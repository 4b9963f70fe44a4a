"""A moment as people write it: a time, or how long ago."""

import re
from datetime import UTC, datetime

_AGO = re.compile(r"([0-9]{1,6})([smhd])", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_moment(text: str, now: float) -> int:
    """Epoch seconds of `2026-01-31T12:00Z` (UTC where it names no zone), or of `15m` ago; raises ValueError."""
    if (ago := _AGO.fullmatch(text)) is not None:
        return max(0, int(now) - int(ago[1]) * _UNITS[ago[2]])
    try:
        moment = datetime.fromisoformat(text)
        return max(0, int((moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()))
    except (ValueError, OverflowError):
        message = f"{text[:64]!r} is no time: 2026-01-31T12:00Z, or how long ago: 30s, 15m, 2h, 7d"
        raise ValueError(message) from None
