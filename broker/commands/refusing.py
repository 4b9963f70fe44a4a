"""How a command says no: one line on standard error that begins with the command, and an exit status."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from broker.commands.colours import in_red

if TYPE_CHECKING:
    from broker.config import ConfigurationError
    from broker.policy import MalformedPolicy


class CommandRefused(Exception):
    """The command cannot do what it was asked for; the message says why, and what to do next."""


def failed(command: str, message: str, status: int = 1) -> int:
    print(f"{in_red(f'{command}:', sys.stderr)} {message}", file=sys.stderr)
    return status


def refused_settings(command: str, error: ConfigurationError) -> int:
    """Each of the faults on a line of its own."""
    for fault in str(error).splitlines():
        failed(command, fault)
    return 2


def malformed(error: MalformedPolicy) -> str:
    """AWS's sentence on a policy, and below it what AWS keeps to itself: what is wrong, and where."""
    return printable(error.message) + (f"\n  {printable(error.fault)}" if error.fault else "")


def printable(text: str) -> str:
    """Control characters, which a stranger may have put into a name, do nothing to the reader's terminal."""
    return "".join(one if one.isprintable() else "\ufffd" for one in text)


def read_text(file: Path) -> str:
    """A file's text; `-` is standard input. Raises CommandRefused."""
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CommandRefused(f"{file} cannot be read: {reason}") from None
