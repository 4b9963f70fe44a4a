"""`broker env`: a profile's credentials as lines for a shell."""

import argparse
import os
from typing import TYPE_CHECKING, Any

from broker.commands.client import (
    CLIENT_HELP,
    add_client_arguments,
    add_shell_argument,
    client_of,
    shell_of,
    with_client,
)

if TYPE_CHECKING:
    from botocore.session import Session

DESCRIPTION = f"""\
Print a profile's credentials, the broker's address and the region as lines that a shell evaluates.

  eval "$(broker env --profile data-reader)"                  bash, zsh
  broker env --profile data-reader --shell fish | source
  broker env --profile data-reader --shell powershell | Invoke-Expression

The profile's own way to credentials is used: a role is assumed, a sign-in of `broker login` or `aws sso login` is used.
They do not renew themselves in the shell: run it again when they have ended.
{CLIENT_HELP}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_client_arguments(parser)
    add_shell_argument(parser)


def run(chosen: argparse.Namespace) -> int:
    """0 with the lines, 1 where the broker refuses, 2 for wrong use, 3 where it does not answer."""

    def work(session: "Session") -> int:
        from botocore.exceptions import NoCredentialsError

        from broker.portal.shells import shell_lines

        client = client_of(session, "sts", chosen)
        found = session.get_credentials()
        if found is None:
            raise NoCredentialsError
        frozen = found.get_frozen_credentials()
        variables = environment_of(frozen.access_key, frozen.secret_key, frozen.token, client)
        print(shell_lines(shell_of(chosen, dict(os.environ)), variables), end="")
        return 0

    return with_client(chosen, work)


def environment_of(
    access_key_id: str, secret_access_key: str, token: str | None, client: Any
) -> dict[str, str]:
    """What a program needs to use these credentials with the broker of `client`."""
    from broker.portal.shells import broker_variables

    variables = {"AWS_ACCESS_KEY_ID": access_key_id, "AWS_SECRET_ACCESS_KEY": secret_access_key}
    if token:
        variables["AWS_SESSION_TOKEN"] = token
    return variables | broker_variables(client.meta.endpoint_url, client.meta.region_name)
