"""`broker sessions`: the sessions that can still live."""

import argparse
import sys
from typing import TYPE_CHECKING

from broker.commands.settings import add_settings_arguments

if TYPE_CHECKING:
    from broker.app import Broker
    from broker.sts.living_sessions import LivingSession, LivingSessions

DESCRIPTION = """\
List the sessions that were minted and have not expired, the newest first: of roles, of users (GetSessionToken), of
federated users and of root; those that the metadata service delivers, too.

  broker sessions                                                        of all accounts
  broker sessions --account 123456789012
  broker sessions --principal arn:aws:iam::123456789012:role/app         of one role, or of one user and its guests
  broker sessions --principal arn:aws:sts::123456789012:assumed-role/app/night
  broker sessions --issued-by AKIA…                                      what was asked for with that access key
  broker sessions --json | jq '.[] | select(.state == "live")'

STATE is `live`, or why the session is refused already: `revoked`, `principal gone` (its role or user was deleted) or
`key dropped`. ISSUED BY is the access key that asked for it, or the provider, instance or principal where there was
none. From which address that was, the journal says: look there for the session's access key id.

The list is written up to five seconds behind. It holds the newest 1,000 sessions of each account, and says where there
are more. Sessions are good whether they are listed or not, and `broker revoke` ends them, listed or not.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--account", metavar="ACCOUNT", help="only those of this account")
    parser.add_argument(
        "--principal", metavar="ARN", help="only those of this role, user, root user or session"
    )
    parser.add_argument("--issued-by", metavar="KEY", help="only those that this access key asked for")
    parser.add_argument("--json", action="store_true", help="as a JSON list")
    add_settings_arguments(parser)


def run(chosen: argparse.Namespace) -> int:
    """0 with the sessions, none included; 1 where there is no such account or principal."""
    from broker.commands.opening import with_broker

    async def work(broker: "Broker") -> int:
        from broker.commands.living_sessions import shown_session
        from broker.commands.terminal import print_json

        living = await _chosen_sessions(broker, chosen)
        if chosen.json:
            print_json([shown_session(one) for one in living.sessions])
        else:
            print_sessions(living.sessions)
        for line in _warnings(living):
            print(line, file=sys.stderr)
        return 0

    return with_broker(chosen, work)


async def _chosen_sessions(broker: "Broker", chosen: argparse.Namespace) -> "LivingSessions":
    """Raises CommandRefused."""
    import msgspec

    from broker.commands.living_sessions import find_identity, living_sessions, require_account

    store, account, identity = broker.store.transaction(), chosen.account, None
    if account is not None:
        await require_account(store, account)
    if chosen.principal is not None and not chosen.principal.startswith("arn:aws:sts:"):
        identity = await find_identity(store, chosen.principal)
        account = account or identity.account
    living = await living_sessions(broker, account)

    def is_chosen(one: "LivingSession") -> bool:
        session = one.session
        if chosen.issued_by is not None and session.issued_by != chosen.issued_by:
            return False
        if identity is not None:
            return session.identity_id == identity.identity_id
        return chosen.principal is None or session.arn == chosen.principal

    return msgspec.structs.replace(living, sessions=tuple(filter(is_chosen, living.sessions)))


def print_sessions(sessions: "tuple[LivingSession, ...]") -> None:
    from broker.audit.event import iso_time
    from broker.commands.terminal import print_table

    rows = [
        [
            one.session.access_key_id,
            one.session.arn,
            iso_time(one.session.issued_at),
            iso_time(one.session.expires_at),
            one.session.issued_by or "-",
            one.state,
        ]
        for one in sessions
    ]
    headings = ["ACCESS KEY", "SESSION OF", "ISSUED", "EXPIRES", "ISSUED BY", "STATE"]
    print_table(headings, rows, {"live": "green", "revoked": "red"})


def _warnings(living: "LivingSessions") -> list[str]:
    from broker.audit.event import iso_time

    return [
        f"# account {account} has more sessions than are listed: of those issued until "
        f"{iso_time(unlisted.issued_until)} some are missing"
        for account, unlisted in sorted(living.unlisted.items())
    ]
