"""`broker audit files`: the files of the journal, how old they are, and what becomes of them."""

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from broker.audit.retention import JournalPart
    from broker.config import Settings

FILES = """\
Show the files of the journal, the newest first: their sizes, the times of their first and last records, and what
becomes of them. A file goes when audit.keep others were begun after it, or audit.keep_days after its last record;
never before every trail has got it (`undelivered`).

  broker audit files
  broker audit files --json | jq -r 'select(.state == "undelivered") | .file'
"""
_DAY = 86400.0


def add_files_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def show_files(chosen: argparse.Namespace, settings: "Settings", now: float) -> None:
    """Raises OSError."""
    from broker.audit.retention import journal_parts
    from broker.commands.terminal import print_table

    rows = [_row(one, settings.audit.keep_days, now) for one in journal_parts(Path(settings.audit.path))]
    if chosen.json:
        for row in rows:
            print(json.dumps(row))
        return
    shown = [[str(value) for value in row.values()] for row in rows]
    print_table(["FILE", "BYTES", "FIRST RECORD", "LAST RECORD", "STATE"], shown)


def _row(part: "JournalPart", keep_days: int, now: float) -> dict[str, str | int]:
    return {
        "file": str(part.path),
        "bytes": part.size,
        "first": _time(part.began_at) if part.began_at else "-",
        "last": _time(part.changed_at),
        "state": _state(part, keep_days, now),
    }


def _state(part: "JournalPart", keep_days: int, now: float) -> str:
    if part.is_current:
        return "current"
    if part.is_undelivered:
        return "undelivered"
    if not keep_days:
        return "kept"
    ends_at = part.changed_at + keep_days * _DAY
    return f"kept until {_time(ends_at)}" if ends_at > now else "expired"


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
