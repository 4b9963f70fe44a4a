"""`broker whoami`: whose credentials these are, as the broker sees them."""

import argparse
from typing import TYPE_CHECKING

from broker.commands.client import CLIENT_HELP, add_client_arguments, client_of, with_client

if TYPE_CHECKING:
    from botocore.session import Session

DESCRIPTION = f"""\
Ask the broker whose credentials these are, and show where they were found and when they end.

  broker whoami
  broker whoami --profile data-reader
  broker whoami --json | jq -r .Arn
{CLIENT_HELP}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_client_arguments(parser)
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(chosen: argparse.Namespace) -> int:
    """0 with the answer, 1 where the broker refuses the credentials, 2 for wrong use, 3 where it does not answer."""

    def work(session: "Session") -> int:
        from broker.commands.terminal import print_json, print_table

        found = _found(session, chosen)
        if chosen.json:
            print_json(found)
        else:
            print_table(["WHAT", "VALUE"], [[name, value] for name, value in found.items()])
        return 0

    return with_client(chosen, work)


def _found(session: "Session", chosen: argparse.Namespace) -> dict[str, str]:
    from broker.commands.refusing import printable

    client = client_of(session, "sts", chosen)
    answer = client.get_caller_identity()
    credentials = session.get_credentials()
    frozen = credentials.get_frozen_credentials()
    found = {
        "Arn": answer["Arn"],
        "Account": answer["Account"],
        "UserId": answer["UserId"],
        "AccessKeyId": frozen.access_key,
        "Method": credentials.method,
        "Endpoint": client.meta.endpoint_url,
    }
    expires_at = getattr(credentials, "_expiry_time", None)
    if expires_at is not None:
        found["Expires"] = expires_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {name: printable(str(value)) for name, value in found.items()}
