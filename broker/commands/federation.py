"""`broker federation check`: why an assertion is refused. Prints each check, what was found and what was expected."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from broker.commands.settings import add_settings_arguments

if TYPE_CHECKING:
    from broker.app import Broker
    from broker.assertions.checks import Check

DESCRIPTION = """\
Run the checks that AssumeRoleWithWebIdentity or AssumeRoleWithSAML would make of an assertion now, with this broker's
providers and settings: its form, the provider, its keys, signature, times, audience, then each condition of the role's
trust policy with the value that it is compared with, and the permissions for tags and a source identity.

  broker federation check --role arn:aws:iam::111111111111:role/deployer token.jwt
  pbpaste | broker federation check --role ROLE_ARN -                       a token, from standard input
  broker federation check --role ROLE_ARN --provider SAML_PROVIDER_ARN response.b64

No credentials are made, and an assertion for single use is not used up. The exit status is 0 where the role would be
assumed, 1 where that would be refused. An assertion is a secret until it expires: it is read from a file or from
standard input, and never printed.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    check = actions.add_parser(
        "check",
        help="show each check of an assertion",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    check.add_argument(
        "file", metavar="FILE", help="the token or the SAML response (base64); - for standard input"
    )
    check.add_argument("--role", metavar="ROLE_ARN", required=True, help="the role that is to be assumed")
    check.add_argument(
        "--provider",
        metavar="SAML_PROVIDER_ARN",
        help="the SAML provider; without it, FILE holds an OpenID token",
    )
    check.add_argument(
        "--session-name", default="check", help="the role session name of a web identity (check)"
    )
    add_settings_arguments(check)


def run(chosen: argparse.Namespace) -> int:
    """0 where every check passes, 1 where one fails."""
    from broker.commands.opening import with_broker
    from broker.commands.refusing import failed

    try:
        text = sys.stdin.read() if chosen.file == "-" else Path(chosen.file).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return failed("broker federation", f"{chosen.file} cannot be read: {error}")
    return with_broker(chosen, lambda broker: _check(broker, chosen, text.strip()))


async def _check(broker: "Broker", chosen: argparse.Namespace, unverified_assertion: str) -> int:
    from broker.app import clock, entropy
    from broker.sts.examination import examine

    examined = await examine(
        broker.federation,
        broker.store.transaction(),  # never committed
        broker.gate,
        broker.mint,
        entropy,
        broker.settings.quotas,
        broker.passwords,
        clock(),
        role_arn=chosen.role,
        saml_provider_arn=chosen.provider,
        session_name=chosen.session_name,
        unverified_assertion=unverified_assertion,
    )
    _print_checks(examined.checks)
    if examined.refusal:
        print(f"\nThe client would get: {examined.refusal}")
        return 1
    print(f"\nThe role would be assumed: {examined.session_arn}")
    return 0


def _print_checks(checks: "tuple[Check, ...]") -> None:
    from broker.commands.terminal import print_table

    rows = [
        [check.name, "passed" if check.passed else "FAILED", check.found, check.wanted] for check in checks
    ]
    print_table(["CHECK", "RESULT", "FOUND", "WANTED"], rows, {"passed": "green", "FAILED": "bold red"})
