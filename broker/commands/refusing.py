"""Errors of commands: one line on standard error that begins with the command, and an exit status."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from broker.causes import cause_of
from broker.commands.colours import in_red

if TYPE_CHECKING:
    from broker.config import ConfigurationError
    from broker.policy import MalformedPolicy


# What `broker --help` and deploy/README.md say of every command's exit status.
DONE, REFUSED, WRONG_USE, NO_ANSWER = 0, 1, 2, 3


class CommandRefused(Exception):
    """The command refuses, and has changed nothing; the message says why, and what to do next."""

    status = REFUSED


class WrongUse(CommandRefused):
    """An option, a setting, or a file that one of them names, is not usable."""

    status = WRONG_USE


class NoAnswer(CommandRefused):
    """Store, journal, disk, network or output failed; the message says what was done."""

    status = NO_ANSWER


def failed(command: str, message: str, status: int = REFUSED) -> int:
    """Print the error message on one line; returns `status`."""
    print(f"{in_red(f'{command}:', sys.stderr)} {message}", file=sys.stderr)
    return status


def refused_settings(command: str, error: ConfigurationError) -> int:
    """Prints each fault on a line."""
    for fault in str(error).splitlines():
        failed(command, fault)
    return WRONG_USE


def malformed(error: MalformedPolicy) -> str:
    """AWS's error message for a policy, and below it what AWS does not say: what is wrong, and where."""
    return printable(error.message) + (f"\n  {printable(error.fault)}" if error.fault else "")


def printable(text: str) -> str:
    """`text` without control characters: names come from clients, and could control the operator's terminal."""
    return "".join(one if one.isprintable() else "\ufffd" for one in text)


def read_text(file: Path) -> str:
    """A file's text; `-` is standard input. Raises WrongUse."""
    from broker.commands.remote import current_remote

    remote = current_remote()
    if remote is not None and str(file) != "-":
        if str(file) not in remote.files:
            raise WrongUse(f"{file} was not sent with the request")
        return remote.files[str(file)]
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text("utf-8")
    except OSError as error:
        raise WrongUse(f"{file} cannot be read: {cause_of(error)}") from None
    except UnicodeDecodeError:
        raise WrongUse(f"{file} cannot be read: it is not UTF-8") from None
