"""`broker audit`: find records of the journal, show the last ones and those that follow, and show its files."""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from broker.commands.audit_files import FILES, add_files_arguments, show_files
from broker.commands.audit_filters import FILTERS, add_filters, filter_of
from broker.commands.colours import in_red
from broker.commands.settings import add_settings_arguments, settings_of

if TYPE_CHECKING:
    from broker.audit.facets import RecordFilter
    from broker.audit.reader import FoundRecord

DESCRIPTION = """\
Read the journal: who did what, when, from where, and how it ended. It is read where audit.path says, on this machine:
of several nodes, each has its own. Refusals of unauthenticated callers are in a second file, PATH.unauthenticated;
both are read.

  broker audit find --principal alice --outcome denied --since 1d
  broker audit tail --follow
  broker audit files
"""
FIND = f"""\
Find records of the journal, the newest first: a table on a terminal; in a pipe, and with --json, the records
themselves, one JSON object a line, in CloudTrail's form.

  broker audit find --id 5f1d3c2a-…                            what became of a request
  broker audit find --principal alice --since 1d               what somebody did
  broker audit find --event AssumeRole --resource reader       who took a role
  broker audit find --outcome denied -n 1000 | jq -r .eventName | sort | uniq -c

{FILTERS}
The first search makes an index in PATH.index, which takes about half a minute for a million records; later ones read
it. It may be deleted at any time. Exit status: 0 with the records, none included; 3 where the journal cannot be read.
"""
TAIL = f"""\
Show the last records of the journal, one line each: when, who, what, from where, and the error where there was one.

  broker audit tail -n 50
  broker audit tail -f                                         also new records, across rotations
  broker audit tail -f --outcome denied --account 111111111111
  broker audit tail -f --json | jq 'select(.errorCode)'        whole records, in CloudTrail's form

{FILTERS}"""
_SHOWN_ON_A_TERMINAL = 50
_PAGE = 500
_WIDE = 130  # columns of a terminal that has room for ids of requests


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    raw = argparse.RawDescriptionHelpFormatter
    find = actions.add_parser(
        "find", help="records by who, what, when and outcome", description=FIND, formatter_class=raw
    )
    find.add_argument(
        "-n", "--lines", metavar="N", type=_count, help="at most so many (50 on a terminal, else all)"
    )
    find.add_argument("--json", action="store_true", help="whole records, one a line, also on a terminal")
    tail = actions.add_parser(
        "tail", help="the last records, and those that follow", description=TAIL, formatter_class=raw
    )
    tail.add_argument("-f", "--follow", action="store_true", help="also print new records")
    tail.add_argument(
        "-n", "--lines", metavar="N", type=_count, default=20, help="how many records to begin with (20)"
    )
    tail.add_argument("--json", action="store_true", help="whole records, one a line")
    for one in (find, tail):
        add_filters(one)
        add_settings_arguments(one, is_asked_of_broker=False)
    files = actions.add_parser(
        "files", help="its files, and what becomes of them", description=FILES, formatter_class=raw
    )
    add_files_arguments(files)
    add_settings_arguments(files, is_asked_of_broker=False)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of records: 0 or more")
    return int(text)


def run(chosen: argparse.Namespace) -> int:
    """0 when the records are printed or the reader of the pipe has ended, 3 where there is no journal."""
    from broker.app import clock
    from broker.causes import explained
    from broker.commands.refusing import NO_ANSWER, failed, refused_settings
    from broker.config import ConfigurationError

    command = f"broker audit {chosen.action}"
    try:
        settings = settings_of(chosen)
        path = Path(settings.audit.path)
    except ConfigurationError as error:
        return refused_settings(command, error)
    is_following = chosen.action == "tail" and chosen.follow
    if not path.exists() and not is_following:
        return failed(command, f"there is no journal at {path}; audit.path says where it is", NO_ANSWER)
    if chosen.action != "tail" and not path.is_file():
        return failed(command, f"{path} is a device or a pipe, which keeps no records", NO_ANSWER)
    try:
        if chosen.action == "files":
            show_files(chosen, settings, clock())
        else:
            (_tail if chosen.action == "tail" else _find)(chosen, path)
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:  # as with `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return failed(command, explained(error, path), NO_ANSWER)
    return 0


def _tail(chosen: argparse.Namespace, path: Path) -> None:
    from broker.app import clock
    from broker.audit.facets import find_event
    from broker.audit.following import tail_lines

    wanted = filter_of(chosen, clock())

    def earlier() -> list[str]:
        return [one.line.decode() for one in _found(path, wanted, chosen.lines)][::-1]

    is_filtered = wanted != type(wanted)()
    for line in tail_lines(path, chosen.lines, chosen.follow, earlier if is_filtered else None):
        if is_filtered and ((event := find_event(line.encode())) is None or not wanted.matches(event)):
            continue
        print(line if chosen.json else shown_record(line), flush=chosen.follow)


def _find(chosen: argparse.Namespace, path: Path) -> None:
    from broker.app import clock

    is_table = sys.stdout.isatty() and not chosen.json
    most = chosen.lines
    if most is None and is_table:
        most = _SHOWN_ON_A_TERMINAL + 1
    found = _found(path, filter_of(chosen, clock()), most)
    if not is_table:
        for one in found:
            print(one.line.decode())
        return
    _print_table(list(found), chosen.lines is None)


def _found(path: Path, wanted: "RecordFilter", most: int | None) -> "Iterator[FoundRecord]":
    """Raises OSError."""
    import time

    from broker.audit.reader import JournalReader

    reader, after, left = JournalReader(path, time.perf_counter), None, most
    while left is None or left > 0:
        size = _PAGE if left is None else min(left, _PAGE)
        page = reader.find(wanted, size, after, note=_note_progress)
        yield from page.records
        if not page.has_more:
            return
        after = page.records[-1].place
        left = None if left is None else left - size


def _note_progress(left: int) -> None:
    if sys.stderr.isatty():
        ending = "\r" if left > 1 else "\r\x1b[K"
        print(f"reading the journal: {left} parts to be indexed   ", end=ending, file=sys.stderr, flush=True)


def _print_table(found: "list[FoundRecord]", is_limited: bool) -> None:
    from broker.audit.facets import name_of_caller, outcome_of_record
    from broker.audit.resources import resources_of
    from broker.commands.refusing import printable
    from broker.commands.terminal import print_table

    rows = []
    for one in found[:_SHOWN_ON_A_TERMINAL] if is_limited else found:
        event = one.event
        resource = next((shown.name for shown in resources_of(event)), "-")
        service = event.event_source.removesuffix(".amazonaws.com")
        who, outcome = name_of_caller(event) or "-", event.error_code or outcome_of_record(event).value
        what = f"{service}:{event.event_name}" if event.event_name else "-"
        cells = [event.event_time, who, what, resource, event.source_ip, outcome, event.request_id]
        rows.append([printable(cell) for cell in cells])
    headings = ["TIME", "WHO", "WHAT", "RESOURCE", "FROM", "OUTCOME", "REQUEST"]
    if shutil.get_terminal_size().columns < _WIDE:
        headings, rows = headings[:-1], [row[:-1] for row in rows]
    styles = {row[5]: "green" if row[5] == "succeeded" else "red" for row in rows}
    print_table(headings, rows, styles)
    if is_limited and len(found) > _SHOWN_ON_A_TERMINAL:
        print(f"# the newest {_SHOWN_ON_A_TERMINAL}; -n says how many", file=sys.stderr)
    if not found:
        print("# no record matches", file=sys.stderr)


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
