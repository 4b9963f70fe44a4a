"""`broker assume-role`: credentials of a role, for a shell, a program, or one command."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from broker.causes import cause_of
from broker.commands.client import (
    CLIENT_HELP,
    add_client_arguments,
    add_shell_argument,
    client_of,
    shell_of,
    with_client,
)
from broker.commands.refusing import WRONG_USE, CommandRefused, failed, read_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botocore.session import Session

DESCRIPTION = f"""\
Assume a role, and print its credentials as lines for a shell, print them as JSON, or run one command with them.

  eval "$(broker assume-role arn:aws:iam::222222222222:role/data-reader)"
  broker assume-role arn:aws:iam::222222222222:role/admin --mfa-serial arn:aws:iam::111111111111:mfa/alice
  broker assume-role arn:aws:iam::222222222222:role/data-reader --exec aws s3 ls
  credential_process = broker assume-role arn:aws:iam::222222222222:role/data-reader --json     in ~/.aws/config

With --mfa-serial it asks for the device's code in the terminal, unless --mfa-code has it. --exec has to be the last
option: all that follows is the command, whose exit status is this one's. It gets the credentials in its environment,
without AWS_PROFILE; they end when the role's session does.
{CLIENT_HELP}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("role_arn", metavar="ROLE_ARN", help="the role")
    parser.add_argument(
        "--session-name", metavar="NAME", help="the session's name (the user's name on this machine)"
    )
    parser.add_argument("--duration", metavar="SECONDS", type=int, help="how long it lasts (3600)")
    parser.add_argument("--external-id", metavar="ID", help="what the trust policy asks for")
    parser.add_argument(
        "--policy", metavar="FILE", type=Path, help="a session policy, JSON; - for standard input"
    )
    parser.add_argument("--mfa-serial", metavar="ARN", help="the MFA device")
    parser.add_argument("--mfa-code", metavar="CODE", help="its code, instead of asking for it")
    add_client_arguments(parser)
    add_shell_argument(parser)
    parser.add_argument("--json", action="store_true", help="as a credential_process prints them")
    parser.add_argument(
        "--exec", metavar="COMMAND", nargs=argparse.REMAINDER, help="run this command with the credentials"
    )


def run(chosen: argparse.Namespace) -> int:
    """0 with the credentials, else the command's; 1 where the broker refuses, 2 for wrong use, 3 without an answer."""
    command = "broker assume-role"
    if chosen.exec is not None and not chosen.exec:
        return failed(command, "--exec needs a command", WRONG_USE)
    if chosen.mfa_code and not chosen.mfa_serial:
        return failed(command, "--mfa-code needs --mfa-serial", WRONG_USE)
    try:
        parameters = _parameters(chosen)
    except CommandRefused as error:
        return failed(command, str(error), WRONG_USE)

    def work(session: "Session") -> int:
        from broker.commands.env import environment_of

        client = client_of(session, "sts", chosen)
        credentials = client.assume_role(**parameters)["Credentials"]
        if chosen.json:
            return _print_json(credentials)
        variables = environment_of(
            credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"], client
        )
        if chosen.exec:
            return _execute(chosen.exec, variables)
        from broker.portal.shells import shell_lines

        print(shell_lines(shell_of(chosen, dict(os.environ)), variables), end="")
        return 0

    return with_client(chosen, work)


def _parameters(chosen: argparse.Namespace) -> dict[str, Any]:
    """The parameters of AssumeRole. Raises CommandRefused."""
    from getpass import getuser

    asked = {
        "RoleArn": chosen.role_arn,
        "RoleSessionName": chosen.session_name or getuser(),
        "DurationSeconds": chosen.duration,
        "ExternalId": chosen.external_id,
        "Policy": read_text(chosen.policy) if chosen.policy else None,
        "SerialNumber": chosen.mfa_serial,
        "TokenCode": _code(chosen) if chosen.mfa_serial else None,
    }
    return {name: value for name, value in asked.items() if value is not None}


def _code(chosen: argparse.Namespace) -> str:
    if chosen.mfa_code:
        return str(chosen.mfa_code)
    if not sys.stdin.isatty():
        raise CommandRefused("there is no terminal to ask for the code: give it with --mfa-code")
    from getpass import getpass

    return getpass(f"Code of {chosen.mfa_serial}: ").strip()


def _print_json(credentials: dict[str, Any]) -> int:
    import json

    shown = {name: credentials[name] for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")}
    expiration = credentials["Expiration"].strftime("%Y-%m-%dT%H:%M:%SZ")
    print(json.dumps({"Version": 1, **shown, "Expiration": expiration}))
    return 0


def _execute(command: "Sequence[str]", variables: dict[str, str]) -> int:
    """Becomes the command; returns only where it cannot be started."""
    kept = {name: value for name, value in os.environ.items() if name not in _OF_ANOTHER_IDENTITY}
    try:
        os.execvpe(command[0], list(command), {**kept, **variables})  # noqa: S606 - the person's own command
    except OSError as error:
        return failed("broker assume-role", f"{command[0]} cannot be run: {cause_of(error)}", WRONG_USE)


_OF_ANOTHER_IDENTITY = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")
