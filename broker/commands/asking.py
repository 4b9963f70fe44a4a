"""Hands a command to the running broker by its admin socket, where there is one."""

import argparse
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from broker.causes import cause_of
from broker.commands.refusing import NO_ANSWER, CommandRefused, NoAnswer, WrongUse, failed
from broker.commands.remote import MOST_REQUEST_BYTES, CommandAnswer, CommandRequest, Shown
from broker.commands.settings import settings_of
from broker.config import FILE_VARIABLE, ConfigurationError

DEFAULT_SOCKET = Path("/run/broker/admin.sock")


def find_admin_socket(chosen: argparse.Namespace, environment: Mapping[str, str]) -> socket.socket | None:
    """A connection to the broker that the settings mean; None where it has no socket, or is not running.

    Without any setting that names a broker it is the one at DEFAULT_SOCKET. Raises WrongUse where this user may not.
    """
    if chosen.direct:
        return None
    names_one = chosen.config or chosen.store or {FILE_VARIABLE, "BROKER_STORE_URL"} & environment.keys()
    path = DEFAULT_SOCKET
    if names_one or not path.exists():
        try:
            path = Path(settings_of(chosen).listen.admin)
        except ConfigurationError:
            return None  # reported by the command itself
    if not path.name:
        return None
    one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        one.connect(str(path))
    except (FileNotFoundError, ConnectionRefusedError):
        one.close()
        return None
    except OSError as error:
        one.close()
        hint = "; its group may use it (ls -l), and root" if isinstance(error, PermissionError) else ""
        raise WrongUse(f"the admin socket {path} cannot be used: {cause_of(error)}{hint}") from None
    return one


def ask(connection: socket.socket, request: CommandRequest) -> int:
    """Print what the command prints there; its exit status. Raises NoAnswer."""
    line = msgspec.json.encode(request) + b"\n"
    if len(line) > MOST_REQUEST_BYTES:
        raise WrongUse(
            f"the files are larger than the admin socket takes ({MOST_REQUEST_BYTES >> 20} MiB): --direct"
        )
    with connection, connection.makefile("rb") as stream:
        try:
            connection.sendall(line)
            while True:
                answer = msgspec.json.decode(stream.readline(), type=CommandAnswer)
                sys.stderr.write(answer.errors)
                why_not = _shown(answer.output)
                if answer.status is not None:
                    return answer.status if not why_not else _not_shown(request, why_not)
                connection.sendall(msgspec.json.encode(Shown(why_not)) + b"\n")
        except (OSError, msgspec.DecodeError):
            raise NoAnswer(
                "the broker ended the connection of its admin socket: the journal has what was done"
            ) from None


def _shown(text: str) -> str:
    """Print `text`; why it could not be printed, or ""."""
    from broker.commands.showing import deliver, discard_output

    if not text:
        return ""
    try:
        deliver(text)
    except (OSError, ValueError) as error:
        discard_output()
        return cause_of(error)
    return ""


def _not_shown(request: CommandRequest, why: str) -> int:
    return failed(f"broker {request.arguments[0]}", f"done, but not shown: {why}", NO_ANSWER)


def asked_of_running_broker(
    chosen: argparse.Namespace, standard_input: str, files: Mapping[str, str]
) -> int | None:
    """The exit status of the command that the running broker performed; None where this process has to."""
    try:
        connection = find_admin_socket(chosen, os.environ)
        if connection is None:
            return None
        if chosen.needs_direct:
            connection.close()
            raise WrongUse(
                f"{chosen.needs_direct}: add --direct, which opens the store here with the master key"
            )
        return ask(connection, CommandRequest(chosen.arguments, standard_input, dict(files)))
    except CommandRefused as error:
        return failed(f"broker {chosen.command}", str(error), error.status)
