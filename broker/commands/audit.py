"""`broker audit tail`: the records of the journal's two files, merged by time."""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from broker.commands.colours import in_red
from broker.commands.settings import add_settings_arguments, settings_of

DESCRIPTION = """\
Show the last records of the journal, one line each: when, who, what, from where, and the error where there was one.
Refusals of unauthenticated callers are in a second file, PATH.unauthenticated; both files are merged by time.

  broker audit tail -n 50
  broker audit tail -f                                         also new records, across rotations
  broker audit tail -f --json | jq 'select(.errorCode)'        whole records, in CloudTrail's form
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    tail = actions.add_parser(
        "tail",
        help="the last records, and those that follow",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    tail.add_argument("-f", "--follow", action="store_true", help="also print new records")
    tail.add_argument(
        "-n", "--lines", metavar="N", type=_count, default=20, help="how many records to begin with (20)"
    )
    tail.add_argument("--json", action="store_true", help="whole records, one a line")
    add_settings_arguments(tail, is_asked_of_broker=False)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of records: 0 or more")
    return int(text)


def run(chosen: argparse.Namespace) -> int:
    """0 when the records are printed or the reader of the pipe has ended, 3 where there is no journal."""
    from broker.causes import explained
    from broker.commands.following import tail_lines
    from broker.commands.refusing import NO_ANSWER, failed, refused_settings
    from broker.config import ConfigurationError

    try:
        path = Path(settings_of(chosen).audit.path)
    except ConfigurationError as error:
        return refused_settings("broker audit tail", error)
    if not path.exists() and not chosen.follow:
        return failed(
            "broker audit tail", f"there is no journal at {path}; audit.path says where it is", NO_ANSWER
        )
    try:
        for line in tail_lines(path, chosen.lines, chosen.follow):
            print(line if chosen.json else shown_record(line), flush=chosen.follow)
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:  # as with `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return failed("broker audit tail", explained(error, path), NO_ANSWER)
    return 0


def shown_record(line: str) -> str:
    """A record as one readable line, without control characters; a line that is no record is shown unchanged."""
    from broker.commands.refusing import printable

    summary, failure = (printable(part) for part in _summary(line))
    if not failure:
        return summary
    return f"{summary}  {in_red(failure, sys.stdout)}"


def _summary(line: str) -> tuple[str, str]:
    """What happened, and the error, which may be empty."""
    try:
        record: Any = json.loads(line)
        who = record["userIdentity"].get("arn") or record["userIdentity"].get("type", "")
        source = record.get("eventSource", "").removesuffix(".amazonaws.com")
        what = f"{source}:{record.get('eventName', '')}"
        shown = f"{record['eventTime']}  {what:<34}  {record.get('sourceIPAddress', ''):<15}  {who}"
        error = record.get("errorCode")
    except (ValueError, KeyError, AttributeError, TypeError):
        return line, ""
    return shown, f"{error}: {record.get('errorMessage', '')}".rstrip(": ") if error else ""
