"""`broker audit tail`: the journal, for a reader."""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from broker.commands.colours import in_red
from broker.commands.settings import add_settings_arguments, settings_of

DESCRIPTION = """\
Show the last records of the journal, one line each: when, who, what, from where, and the error where there was one.

  broker audit tail -n 50
  broker audit tail -f                                         as they come, rotations included
  broker audit tail -f --json | jq 'select(.errorCode)'        whole records, in CloudTrail's form
"""

_POLL_SECONDS = 0.3
_SEARCHES = 10
_LATE_SECONDS = 1.5  # workers may write so long into a file that another one has renamed
_BLOCK = 64 << 10


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
    tail.add_argument("-f", "--follow", action="store_true", help="go on with what is written from now on")
    tail.add_argument(
        "-n", "--lines", metavar="N", type=_count, default=20, help="how many records to begin with (20)"
    )
    tail.add_argument("--json", action="store_true", help="whole records, one a line")
    add_settings_arguments(tail)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of records: 0 or more")
    return int(text)


def run(chosen: argparse.Namespace) -> int:
    """0 when the records are shown or the reader had enough, 1 where there is no journal."""
    from broker.commands.refusing import failed, refused_settings
    from broker.config import ConfigurationError

    try:
        path = Path(settings_of(chosen).audit.path)
    except ConfigurationError as error:
        return refused_settings("broker audit tail", error)
    if not path.exists() and not chosen.follow:
        return failed("broker audit tail", f"there is no journal at {path}; audit.path says where it is")
    try:
        for line in tail_lines(path, chosen.lines, chosen.follow):
            print(line if chosen.json else shown_record(line), flush=chosen.follow)
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:  # `| head` has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return failed("broker audit tail", str(error))
    return 0


def tail_lines(path: Path, number: int, follow: bool) -> Iterator[str]:
    """The last `number` lines of the journal, then, where `follow` says so, those to come, across rotations."""
    is_new = not path.exists()
    while not path.exists():
        time.sleep(_POLL_SECONDS)
    handle: IO[bytes] = path.open("rb")
    try:
        handle.seek(0 if is_new else _start_of_last(handle, number))
        rest, patience = b"", _LATE_SECONDS
        while True:
            *lines, rest = (rest + handle.read()).split(b"\n")
            yield from (line.decode("utf-8", "replace") for line in lines)
            if not follow:
                return
            successor = _successor(path, handle)
            if successor is None or (successor == path and patience > 0):
                patience -= _POLL_SECONDS if successor else 0
                time.sleep(_POLL_SECONDS)
                continue
            # Once more: there may be more since the last look, and nobody writes there now.
            yield from (line.decode("utf-8", "replace") for line in (rest + handle.read()).splitlines())
            following = _open_successor(path, handle)
            handle.close()
            handle, rest, patience = following, b"", _LATE_SECONDS
    finally:
        handle.close()


def _open_successor(path: Path, handle: IO[bytes]) -> IO[bytes]:
    """The file that follows the one of `handle`, whatever is renamed while it is looked for."""
    while True:
        try:
            following = (_successor(path, handle) or path).open("rb")
            if os.path.samestat(os.fstat(following.fileno()), (_successor(path, handle) or path).stat()):
                return following
            following.close()
        except FileNotFoundError:
            time.sleep(_POLL_SECONDS)


def _successor(path: Path, handle: IO[bytes]) -> Path | None:
    """Where the file lies that was begun after the one of `handle`; None while that is the one that is written."""
    own = os.fstat(handle.fileno())
    # A rotation that is under way may have renamed it behind our back; one that was moved elsewhere stays away.
    for _ in range(_SEARCHES):
        newer = path
        for place in _files(path):
            if _is_at(place, own):
                return newer if place != path else None
            newer = place
    return path


def _files(path: Path) -> list[Path]:
    """The journal's files, the newest first."""
    parts = [file.name.rpartition(".") for file in path.parent.iterdir()]
    rotated = sorted(int(number) for name, _, number in parts if name == path.name and number.isdecimal())
    return [path, *(path.with_name(f"{path.name}.{number}") for number in rotated)]


def _is_at(place: Path, own: os.stat_result) -> bool:
    try:
        return os.path.samestat(place.stat(), own)
    except FileNotFoundError:
        return False


def _start_of_last(handle: IO[bytes], number: int) -> int:
    """The position where the last `number` lines begin; reads backwards, for journals are long."""
    position = handle.seek(0, os.SEEK_END)
    if number == 0:
        return position
    seen = 0
    while position > 0:
        size = min(_BLOCK, position)
        position -= size
        handle.seek(position)
        block = handle.read(size)
        found = len(block)
        while (found := block.rfind(b"\n", 0, found)) >= 0:
            seen += 1
            if seen > number:
                return position + found + 1
    return 0


def shown_record(line: str) -> str:
    """A record as one line for a reader; what is no record is shown as it is, but nothing speaks to the terminal."""
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
