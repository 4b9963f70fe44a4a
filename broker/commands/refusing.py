"""How a command says no: one line on standard error that begins with the command, and an exit status."""

import sys
from pathlib import Path


class CommandRefused(Exception):
    """The command cannot do what it was asked for; the message says why, and what to do next."""


def failed(command: str, message: str, status: int = 1) -> int:
    print(f"{command}: {message}", file=sys.stderr)
    return status


def read_text(file: Path) -> str:
    """A file's text; `-` is standard input. Raises CommandRefused."""
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CommandRefused(f"{file} cannot be read: {reason}") from None
