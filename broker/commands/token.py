"""`broker token inspect`: the claims of a session token, for the operator who has the keyring."""

import argparse
import sys
from typing import TYPE_CHECKING, Any

from broker.commands.settings import add_settings_arguments

if TYPE_CHECKING:
    from broker.app import Broker

DESCRIPTION = """\
Open a session token with this broker's keyring and print its claims as JSON, expired or not. A token does not contain
the secret access key. It is no proof of identity: everyone who has seen a token can present it.

  echo "$AWS_SESSION_TOKEN" | broker token inspect       the token stays out of the shell's history
  broker token inspect TOKEN
"""

# Not shown: the session's secret is derived from it.
_HIDDEN = ("session_id",)
_TIMES = ("issued_at", "expires_at", "mfa_authenticated_at")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    inspect = actions.add_parser(
        "inspect",
        help="print a token's claims",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    inspect.add_argument("token", metavar="TOKEN", nargs="?", help="without it, standard input is read")
    add_settings_arguments(inspect)


def run(chosen: argparse.Namespace) -> int:
    """0 with the claims, 1 for a token that this broker did not seal."""
    from broker.commands.opening import with_broker
    from broker.commands.refusing import WRONG_USE, CommandRefused, failed
    from broker.sealing.envelope import SealBroken
    from broker.sealing.session import inspect_session_token

    unverified_token = (chosen.token or sys.stdin.read()).strip()
    if not unverified_token:
        message = "no token was given: name it, or write it to standard input"
        return failed("broker token", message, WRONG_USE)

    async def work(broker: "Broker") -> int:
        from broker.app import clock
        from broker.commands.terminal import print_json

        try:
            claims = inspect_session_token(broker.keyrings.sessions(), unverified_token)
        except SealBroken as error:
            raise CommandRefused(f"this is no token of this broker's keyring: {error.reason}") from None
        print_json(shown_claims(claims, clock()))
        return 0

    return with_broker(chosen, work, standard_input=unverified_token)


def shown_claims(claims: Any, now: float) -> dict[str, Any]:
    """The claims that are not empty, with times in ISO 8601, and whether the session has expired."""
    import msgspec

    from broker.audit.event import iso_time

    fields = {
        name: value
        for name, value in msgspec.structs.asdict(claims).items()
        if name not in _HIDDEN and value not in (None, (), False)
    }
    for name in _TIMES:
        if name in fields:
            fields[name] = iso_time(fields[name])
    for name in ("tags", "context"):
        if name in fields:
            fields[name] = dict(fields[name])
    if "original" in fields:
        fields["original"] = shown_claims(fields["original"], now)
    kind = type(claims).__name__.removesuffix("Claims")
    return {
        "kind": kind,
        "arn": claims.principal.arn,
        **fields,
        "is_expired": now >= claims.expires_at,
    }
