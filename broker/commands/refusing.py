"""Errors of commands: one line on standard error that begins with the command, and an exit status."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from broker.commands.colours import in_red

if TYPE_CHECKING:
    from broker.config import ConfigurationError
    from broker.policy import MalformedPolicy


class CommandRefused(Exception):
    """The command cannot do its work; the message says why, and what to do next."""


def failed(command: str, message: str, status: int = 1) -> int:
    print(f"{in_red(f'{command}:', sys.stderr)} {message}", file=sys.stderr)
    return status


def refused_settings(command: str, error: ConfigurationError) -> int:
    """Prints each fault on a line."""
    for fault in str(error).splitlines():
        failed(command, fault)
    return 2


def malformed(error: MalformedPolicy) -> str:
    """AWS's error message for a policy, and below it what AWS does not say: what is wrong, and where."""
    return printable(error.message) + (f"\n  {printable(error.fault)}" if error.fault else "")


def printable(text: str) -> str:
    """`text` without control characters: names come from clients, and could control the operator's terminal."""
    return "".join(one if one.isprintable() else "\ufffd" for one in text)


def read_text(file: Path) -> str:
    """A file's text; `-` is standard input. Raises CommandRefused."""
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CommandRefused(f"{file} cannot be read: {reason}") from None
