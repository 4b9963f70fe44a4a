"""The time of a signature: ISO 8601 basic format, or the Date header's RFC 1123 form."""

import math
import re
from datetime import UTC, datetime
from functools import lru_cache

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_BASIC = re.compile(r"\d{8}T\d{6}Z", re.A)
_RFC_1123 = re.compile(
    r"[A-Z][a-z]{2}, (\d{2}) ([A-Z][a-z]{2}) (\d{4}) (\d{2}):(\d{2}):(\d{2}) (?:GMT|UTC|[+-]0000)", re.A
)


def parse_time(text: str) -> int:
    """Epoch seconds of `YYYYMMDDTHHMMSSZ` or `Sun, 06 Nov 1994 08:49:37 GMT`. Raises ValueError.

    "The time stamp must be in UTC and in the following ISO 8601 format [...]. Do not include milliseconds"
    (Handling dates); the RFC 1123 form is what HTTP's own Date header holds, where botocore
    writes the zone as -0000.
    """
    if _BASIC.fullmatch(text):
        return int(datetime.fromisoformat(text).timestamp())
    match = _RFC_1123.fullmatch(text)
    if match is None:
        raise ValueError(text)
    month = _MONTHS.index(match[2]) + 1
    day, year, hour, minute, second = (int(match[group]) for group in (1, 3, 4, 5, 6))
    return int(datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp())


def format_timestamp(epoch_seconds: float) -> str:
    return _format_second(math.floor(epoch_seconds))


@lru_cache(maxsize=64)
def _format_second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y%m%dT%H%M%SZ")
